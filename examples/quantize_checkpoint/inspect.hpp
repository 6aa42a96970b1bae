#pragma once
/// `inspect FILE`: what is in a file.

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "failure.hpp"
#include "fewbit/io/checkpoint.hpp"
#include "fewbit/io/checkpoint_config.hpp"
#include "metadata.hpp"
#include "plan.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

namespace inspect_detail {

inline void print_metadata(std::string_view key, std::string_view value) {
  std::printf("%s = %s\n", detail::name_text(key).c_str(), detail::name_text(value, 60).c_str());
}

inline void print_metadata(const source& file) {
  if (const safetensors_file* f = file.safetensors()) {
    for (index i = 0; i < f->metadata_size(); ++i) {
      print_metadata(f->metadata_at(i).first, f->metadata_at(i).second);
    }
  } else {
    for (index i = 0; i < file.gguf()->values(); ++i) {
      const gguf_value value = file.gguf()->value(i);
      print_metadata(value.key, text_of_value(value));
    }
  }
}

struct type_total {
  index tensors = 0;
  index weights = 0;
  std::uint64_t bytes = 0;
};

inline void print_row(int width, const std::string& name, const std::string& type,
                      const std::string& shape, std::uint64_t bytes, index weights) {
  std::printf("%-*s  %-28s  %-16s  %10s  %11.2f\n", width, plain(name).c_str(), type.c_str(),
              shape.c_str(), size_text(bytes).c_str(), bits_per_weight(bytes, weights));
}

/// What the version of GPTQ was taken from.
inline const char* text_of(gptq_evidence evidence) {
  switch (evidence) {
    case gptq_evidence::declared:
      return "as the configuration says";
    case gptq_evidence::zero_points:
      return "by its zero points";
    default:
      return "by its zero points, against the configuration";
  }
}

inline std::string layer_text(const checkpoint_codes& layer) {
  std::string text = std::string(name_of(layer.format));
  if (layer.format == checkpoint_format::gptq_v1 || layer.format == checkpoint_format::gptq_v2) {
    text += std::string(", ") + text_of(layer.evidence);
  }
  return text + "; " + std::to_string(layer.weights.codes.rows()) + " outputs, " +
         std::to_string(layer.weights.codes.cols()) + " inputs, " +
         std::to_string(layer.weights.bits) + " bits, groups of " +
         std::to_string(layer.weights.group) +
         (layer.weights.order.empty() ? "" : ", inputs in an order of their own");
}

/// Layers of GPTQ, AWQ and compressed-tensors, and where a configuration differs from them.
inline void print_layers(const source& file) {
  if (file.safetensors() == nullptr) return;
  const std::vector<std::string_view> names = checkpoint_layers(*file.safetensors());
  if (names.empty()) return;
  or_exit(exit_input, [&] {
    const auto config = find_checkpoint_config(file.path());
    const checkpoint_options options = config ? options_of(*config) : checkpoint_options();
    for (const std::string_view name : names) {
      const checkpoint_codes layer = read_checkpoint(*file.safetensors(), name, options);
      std::printf("layer %s: %s\n", detail::name_text(name).c_str(), layer_text(layer).c_str());
      if (!config) continue;
      for (const std::string& difference : disagreements(*config, layer)) {
        std::printf("  %s\n", difference.c_str());
      }
    }
  });
}

}  // namespace inspect_detail

/// Prints metadata, tensors, totals by type, and the quantized layers of other programs. A
/// quantized matrix of fewbit is one row.
inline void inspect(const source& file) {
  using namespace inspect_detail;
  print_metadata(file);
  int width = 6;
  for (const source_tensor& t : file.tensors()) {
    width = std::max(width, static_cast<int>(std::min<std::size_t>(t.name.size(), 48)));
  }
  std::printf("%-*s  %-28s  %-16s  %10s  %11s\n", width, "tensor", "type", "shape", "bytes",
              "bits/weight");
  std::map<std::string, type_total> totals;
  const auto add = [&](const std::string& name, const std::string& type, const std::string& shape,
                       std::uint64_t bytes, index weights) {
    print_row(width, name, type, shape, bytes, weights);
    type_total& total = totals[type];
    ++total.tensors;
    total.weights += weights;
    total.bytes += bytes;
  };
  for (const source_tensor& t : file.tensors()) {
    if (t.kind != content::part || file.find(t.owner) == nullptr) {
      add(t.name, t.type, detail::text_of_shape(t.shape), t.bytes().size(), t.size());
    } else if (t.owner == t.name) {
      const source_matrix& m = file.matrices().at(t.name);
      std::uint64_t bytes = 0;
      for (const source_tensor& other : file.tensors()) {
        if (other.owner == t.name) bytes += other.bytes().size();
      }
      const index extents[] = {m.shape.rows, m.shape.cols};
      add(t.name, short_scheme(m.scheme), detail::text_of_shape(extents), bytes, m.shape.size());
    }
  }
  for (const auto& [type, total] : totals) {
    print_row(width, std::to_string(total.tensors) + (total.tensors == 1 ? " tensor" : " tensors"),
              type, "", total.bytes, total.weights);
  }
  print_layers(file);
}

}  // namespace fewbit::examples::checkpoint
