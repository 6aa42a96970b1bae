#pragma once
/// Joins images of codes along the channels; inputs of other scales are rescaled.
///
///     const concatenate_channels<std::int8_t> join(pixels, {{64, a_params}, {32, b_params}}, y);
///     const codes_view<std::int8_t> inputs[] = {view_of(a), view_of(b)};
///     join(inputs, y);
///
/// Along other axes tensors need no operator: rows of y are written by the operators before.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "fewbit/core/executor.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/requantize.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// An input of concatenate_channels.
struct channel_group {
  index channels = 1;
  quant_params params;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Codes that an operator reads, for operators with any number of inputs.
template <Code T>
using codes_view = Eigen::Map<const row_matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

/// The view of a matrix of codes, which must stay in its place.
template <class A>
  requires RowMajorDense<A, typename A::Scalar>
[[nodiscard]] codes_view<typename A::Scalar> view_of(const A& a) noexcept {
  return {a.data(), a.rows(), a.cols(), Eigen::OuterStride<>(a.outerStride())};
}

/// y = the channels of input 0, of input 1, ... for each pixel.
///
/// Codes of inputs with the scale and zero point of y are copied. Others are requantized as
/// code_requantizer does it.
/// Source: TFLite's kernel Concatenation, which rescales uint8 in float.
///
/// @tparam T     std::int8_t, std::uint8_t or std::int16_t
/// @tparam Mode  a rounding mode of core/fixed_point.hpp
template <Code T, class Mode = tflite_double>
class concatenate_channels {
  static constexpr const char* name = "concatenate_channels";

 public:
  /// @param pixels  of an image; 1 for vectors
  /// @throws fewbit::error if pixels or channels are less than 1, there are no inputs, a scale is
  ///         not positive, a zero point is no code, or the mode cannot rescale an input
  concatenate_channels(index pixels, std::span<const channel_group> inputs, const quant_params& y)
      : pixels_(pixels) {
    detail::expect_extent_in(name, "pixels", pixels, 1);
    detail::expect(!inputs.empty(), name, "number of inputs", 0, "at least 1");
    detail::expect_code_params<T>(name, "y_params", y);
    inputs_.reserve(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string item = detail::item("inputs", static_cast<index>(i));
      const auto& [channels, params] = inputs[i];
      detail::expect_extent_in(name, (item + ".channels").c_str(), channels, 1);
      detail::expect_code_params<T>(name, (item + ".params").c_str(), params);
      inputs_.push_back({channels, params == y, code_requantizer<T, T, Mode>(params, y)});
      channels_ += channels;
    }
  }
  concatenate_channels(index pixels, std::initializer_list<channel_group> inputs,
                       const quant_params& y)
      : concatenate_channels(pixels, std::span(inputs.begin(), inputs.size()), y) {}

  /// Channels of y.
  [[nodiscard]] index channels() const noexcept { return channels_; }

  /// @param x  a matrix for each input, images of pixels * channels codes in rows
  /// @param y  as many rows of pixels * channels() codes; no part of x
  /// @param executor  runs some pixels at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class Y, Executor E = inline_executor>
  void operator()(std::span<const codes_view<T>> x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y>()) {
      detail::expect_extent(name, "number of inputs in ", "x", "", static_cast<index>(x.size()),
                            static_cast<index>(inputs_.size()));
      detail::expect_cols(name, "y", y, pixels_ * channels_);
      auto&& to = detail::rows_of(y);
      for (std::size_t i = 0; i < x.size(); ++i) {
        detail::expect_rows(name, "input of x", x[i], to.rows());
        detail::expect_cols(name, "input of x", x[i], pixels_ * inputs_[i].channels);
      }
      const index group = std::min(pixels_, (detail::codes_per_task + channels_ - 1) / channels_);
      const index tasks = (pixels_ + group - 1) / group;
      executor.for_each(to.rows() * tasks, [&](index task) {
        const index image = task / tasks, first = task % tasks * group;
        const index end = std::min(pixels_, first + group);
        T* out = to.data() + image * to.outerStride();
        index at = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const input& in = inputs_[i];
          const T* from = x[i].data() + image * x[i].outerStride();
          for (index p = first; p < end; ++p) {
            T* pixel = out + p * channels_ + at;
            if (in.is_copied) {
              std::copy_n(from + p * in.channels, in.channels, pixel);
            } else {
              in.rescale.run(in.channels, from + p * in.channels, pixel);
            }
          }
          at += in.channels;
        }
      });
    }
  }

 private:
  struct input {
    index channels;
    bool is_copied;
    code_requantizer<T, T, Mode> rescale;
  };

  index pixels_;
  index channels_ = 0;
  std::vector<input> inputs_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
