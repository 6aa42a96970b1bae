#pragma once
/// `inspect FILE`: what is in a file.

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <string_view>

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

}  // namespace inspect_detail

/// Prints metadata, tensors and totals by type. A quantized matrix of fewbit is one row.
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
    print_row(width, std::to_string(total.tensors) + " of", type, "", total.bytes, total.weights);
  }
}

}  // namespace fewbit::examples::checkpoint
