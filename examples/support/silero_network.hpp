#pragma once
/// The voice activity detector of Silero as equalize/ takes it: four convolutions over time, an
/// LSTM cell, a linear layer.
///
/// Inputs are chunks of 512 samples with the 64 samples before, padded to 640 by reflection: one
/// chunk in each row, in the order of time. The forward starts from a state of zeros at each call.
/// The short-time Fourier transform stays in the user's code, in float. Outputs are the
/// probabilities of speech, one in each row.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "real_networks.hpp"

namespace fewbit::examples {

namespace silero_detail {

constexpr index chunk = 512, context = 64, padded = 640, frames = 4, bins = 129, width = 128;

/// [out, in, kernel] as [out][kernel][in].
inline matrix over_time(const tensor& w, index kernel) {
  return ohwi_from_oihw(w.matrix<float>(), {1, kernel});
}

inline network_layer conv(const safetensors& file, const std::string& name, index length,
                          index channels, index stride) {
  network_layer l;
  l.name = name;
  l.kind = layer_kind::conv2d;
  l.weights = over_time(file[name + ".weight"], 3);
  l.bias = file[name + ".bias"].matrix<float>();
  l.image = {1, length, channels};
  l.window = {{1, 3}, {1, stride}, {}, {0, 0, 1, 1}};
  l.activation = layer_activation::relu;
  return l;
}

inline network_layer linear(const safetensors& file, const std::string& name,
                            const std::string& weights, const std::string& bias) {
  network_layer l;
  l.name = name;
  const matrix w = file[weights].matrix<float>();
  l.weights = Eigen::Map<const matrix>(w.data(), w.size() / width, width);
  l.bias = file[bias].matrix<float>();
  return l;
}

/// Magnitudes of the short-time Fourier transform of each row: 4 frames of 129 bins.
inline matrix magnitudes(const matrix& chunks, const matrix& basis) {
  matrix all(chunks.rows(), frames * bins);
  for (index f = 0; f < frames; ++f) {
    const matrix parts = chunks.middleCols(f * 128, 256) * basis.transpose();
    all.middleCols(f * bins, bins) =
        (parts.leftCols(bins).array().square() + parts.rightCols(bins).array().square()).sqrt();
  }
  return all;
}

inline float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

inline matrix forward(const matrix& basis, const matrix& inputs, const compute_function& compute) {
  matrix x = magnitudes(inputs, basis), y;
  for (index i = 0; i < 4; ++i) {
    compute(i, x, y);
    std::swap(x, y);
  }
  matrix from_x, from_h, h = matrix::Zero(1, width), c = h, all(inputs.rows(), width);
  compute(4, x, from_x);
  for (index t = 0; t < inputs.rows(); ++t) {
    compute(5, h, from_h);
    for (index i = 0; i < width; ++i) {
      const auto gate = [&](index g) {
        return from_x(t, g * width + i) + from_h(0, g * width + i);
      };
      c(0, i) = sigmoid(gate(1)) * c(0, i) + sigmoid(gate(0)) * std::tanh(gate(2));
      h(0, i) = sigmoid(gate(3)) * std::tanh(c(0, i));
    }
    all.row(t) = h.row(0).cwiseMax(0.0F);
  }
  compute(6, all, y);
  return y.unaryExpr(&sigmoid);
}

/// Rows first .. first + count - 1 of the chunks of a recording.
inline matrix chunks(const tensor& audio, index first, index count) {
  const auto samples = audio.as<std::int16_t>();
  matrix rows(count, padded);
  for (index r = 0; r < count; ++r) {
    for (index i = 0; i < context + chunk; ++i) {
      const index at = (first + r) * chunk + i - context;
      rows(r, i) =
          at < 0 ? 0.0F : static_cast<float>(samples[static_cast<std::size_t>(at)]) / 32768.0F;
    }
    for (index i = 0; i < 64; ++i) rows(r, 576 + i) = rows(r, 574 - i);
  }
  return rows;
}

}  // namespace silero_detail

/// The metric is the percentage of decisions (probability > 0.5) that equal those of the network in
/// float.
inline real_network load_silero(const std::string& data) {
  namespace d = silero_detail;
  const std::string folder = data + "/silero_vad/";
  const safetensors file = read_safetensors(folder + "silero_vad_jit_v6_16k.safetensors");
  real_network net;
  net.name = "Silero VAD";
  net.layers = layer_list({d::conv(file, "conv1", 4, d::bins, 1), d::conv(file, "conv2", 4, 128, 2),
                           d::conv(file, "conv3", 2, 64, 2), d::conv(file, "conv4", 1, 64, 1),
                           d::linear(file, "lstm_x", "lstm_cell.weight_ih", "lstm_cell.bias_ih"),
                           d::linear(file, "lstm_h", "lstm_cell.weight_hh", "lstm_cell.bias_hh"),
                           d::linear(file, "final_conv", "final_conv.weight", "final_conv.bias")});
  net.links = {{"conv1", "", {"conv2"}},
               {"conv2", "", {"conv3"}},
               {"conv3", "", {"conv4"}},
               {"conv4", "", {"lstm_x"}}};
  const matrix basis = file["stft_conv.weight"].matrix<float>();
  net.forward = [basis](const matrix& inputs, const compute_function& compute) {
    return d::forward(basis, inputs, compute);
  };
  net.unit = "decisions %";
  const auto audio = std::make_shared<tensor>(read_npy(folder + "audio_public_i16.npy"));
  net.batches = [audio](index count, index at_a_time) {
    return real_networks_detail::batches_of(
        [audio](index first, index n) { return d::chunks(*audio, first, n); }, count, at_a_time);
  };
  const tensor probabilities = read_npy(folder + "jit_v6_public_probs.npy");
  const auto all = probabilities.as<float>();
  net.metric = [audio, forward = net.forward,
                real = std::vector<float>(all.begin(), all.end())](index count) {
    return [=](const compute_function& compute) {
      const matrix p = forward(d::chunks(*audio, 0, count), compute);
      index equal = 0;
      for (index i = 0; i < count; ++i)
        equal += (p(i, 0) > 0.5F) == (real[static_cast<std::size_t>(i)] > 0.5F) ? 1 : 0;
      return 100.0 * static_cast<double>(equal) / static_cast<double>(count);
    };
  };
  return net;
}

}  // namespace fewbit::examples
