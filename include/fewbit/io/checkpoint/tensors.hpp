#pragma once
/// Reads the tensors of one layer of a checkpoint: words, floats and groups of inputs, with their
/// types and shapes checked.
///
/// Read next: checkpoint/read_layer.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The tensors <prefix>.<suffix> of a file. Each error names file, tensor and byte.
class checkpoint_tensors {
 public:
  checkpoint_tensors(const char* function, const safetensors_file& file, std::string_view prefix)
      : function_(function), file_(file), prefix_(prefix) {}

  [[nodiscard]] std::string name_of(std::string_view suffix) const {
    return prefix_ + "." + std::string(suffix);
  }
  [[nodiscard]] std::optional<tensor_view> find(std::string_view suffix) const {
    return file_.find(name_of(suffix));
  }
  [[nodiscard]] tensor_view at(std::string_view suffix) const {
    const auto found = find(suffix);
    if (!found) {
      fail_in_file(function_, "tensor " + name_text(name_of(suffix)), {file_.name()}, "missing",
                   "one of the layer " + name_text(prefix_));
    }
    return *found;
  }

  /// Fails with the layer.
  [[noreturn]] void fail_layer(std::string_view what, const std::string& got,
                               const std::string& want) const {
    fail_in_file(function_, std::string(what) + " of layer " + name_text(prefix_), {file_.name()},
                 got, want);
  }
  /// Fails with a tensor, or with an element whose number is known.
  [[noreturn]] void fail_tensor(const tensor_view& t, std::string_view what, const std::string& got,
                                const std::string& want, std::uint64_t byte = 0) const {
    fail_in_file(function_, what, {t.file, static_cast<std::int64_t>(t.byte + byte), t.name}, got,
                 want);
  }

  /// Fails unless t has the shape rows x cols, at least one each.
  void expect_shape(const tensor_view& t, index rows, index cols) const {
    const index want[] = {rows, cols};
    if (t.shape.size() == 2 && t.shape[0] == rows && t.shape[1] == cols) return;
    fail_tensor(t, "shape", text_of_shape(t.shape), text_of_shape(want));
  }

  /// A tensor of two extents of at least 1.
  [[nodiscard]] tensor_view matrix(std::string_view suffix) const {
    const tensor_view t = at(suffix);
    if (t.shape.size() != 2 || t.shape[0] < 1 || t.shape[1] < 1) {
      fail_tensor(t, "shape", text_of_shape(t.shape), "rows and columns, at least one each");
    }
    return t;
  }

  /// Words of a tensor of I32 or U32.
  [[nodiscard]] std::vector<std::uint32_t> words(const tensor_view& t) const {
    if (t.type != dtype::i32 && t.type != dtype::u32) fail_type(t, "I32");
    return numbers<std::uint32_t>(t);
  }

  /// Numbers of a tensor of F16, BF16 or F32.
  [[nodiscard]] std::vector<float> floats(const tensor_view& t) const {
    if (t.type != dtype::f16 && t.type != dtype::bf16 && t.type != dtype::f32) {
      fail_type(t, "F16, BF16 or F32");
    }
    const row_matrix<float> values = t.to_floats();
    return {values.data(), values.data() + values.size()};
  }

  /// The groups of k inputs, if there is such a tensor.
  [[nodiscard]] std::vector<std::int32_t> groups(std::string_view suffix, index k) const {
    const auto t = find(suffix);
    if (!t) return {};
    if (t->shape.size() != 1 || t->shape[0] != k) {
      const index want[] = {k};
      fail_tensor(*t, "shape", text_of_shape(t->shape), text_of_shape(want));
    }
    if (t->type == dtype::i32) return numbers<std::int32_t>(*t);
    if (t->type != dtype::i64) fail_type(*t, "I32 or I64");
    std::vector<std::int32_t> result;
    for (const std::int64_t g : numbers<std::int64_t>(*t)) {
      const bool fits = g >= -1 && g <= std::numeric_limits<std::int32_t>::max();
      if (!fits) {
        fail_tensor(*t, item("group", static_cast<index>(result.size())), std::to_string(g),
                    "a group");
      }
      result.push_back(static_cast<std::int32_t>(g));
    }
    return result;
  }

  /// The bias of n outputs, or nothing.
  [[nodiscard]] Eigen::VectorXf bias(index n) const {
    const auto t = find("bias");
    if (!t) return {};
    const index want[] = {n};
    if (t->shape.size() != 1 || t->shape[0] != n) {
      fail_tensor(*t, "shape", text_of_shape(t->shape), text_of_shape(want));
    }
    const std::vector<float> values = floats(*t);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (is_finite(values[i])) continue;
      fail_tensor(*t, item("number", static_cast<index>(i)), text(values[i]), "a finite number");
    }
    return Eigen::Map<const Eigen::VectorXf>(values.data(), n);
  }

  template <class T>
  [[nodiscard]] static std::vector<T> numbers(const tensor_view& t) {
    std::vector<T> result(t.bytes.size() / sizeof(T));
    if (!result.empty()) std::memcpy(result.data(), t.bytes.data(), t.bytes.size());
    return result;
  }

  [[noreturn]] void fail_type(const tensor_view& t, const std::string& want) const {
    fail_tensor(t, "type", std::string(fewbit::name_of(t.type)), want);
  }

 private:
  const char* function_;
  const safetensors_file& file_;
  std::string prefix_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
