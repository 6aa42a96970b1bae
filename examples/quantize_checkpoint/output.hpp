#pragma once
/// The file that a conversion writes.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <variant>

#include "failure.hpp"
#include "fewbit/io/gguf_quantized.hpp"
#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/io/quantized.hpp"
#include "header_writer.hpp"
#include "metadata.hpp"
#include "plan.hpp"

namespace fewbit::examples::checkpoint {

/// A file that is being written, in either format.
class output {
 public:
  /// @param space  the namespace of a header
  output(const std::string& path, file_format format, const std::string& space, read_back check) {
    or_exit(exit_output, [&] {
      if (format == file_format::header) {
        writer_.emplace<header_writer>(path, space);
      } else if (format == file_format::gguf) {
        writer_.emplace<gguf_writer>(path, check);
      } else {
        writer_.emplace<safetensors_writer>(path, check);
      }
    });
  }

  /// Declares metadata and tensors.
  void declare(const plan& todo) {
    or_exit(exit_plan, [&] {
      if (auto* const to = std::get_if<gguf_writer>(&writer_)) {
        copy_metadata(*todo.in, *to);
        for (const planned_tensor& t : todo.tensors) declare(*to, t);
      } else if (auto* const header = std::get_if<header_writer>(&writer_)) {
        for (const planned_tensor& t : todo.tensors) declare(*header, t);
      } else {
        auto& file = std::get<safetensors_writer>(writer_);
        copy_metadata(*todo.in, file);
        for (const planned_tensor& t : todo.tensors) declare(file, t);
      }
    });
  }

  /// Writes bytes of a tensor, from byte `at` of it.
  void write(const std::string& name, std::uint64_t at, std::span<const std::byte> bytes) {
    visit_writer([&](auto& to) { to.write_part(name, at, bytes); });
  }

  void close() {
    visit_writer([](auto& to) { to.close(); });
  }

 private:
  template <class F>
  void visit_writer(const F& f) {
    or_exit(exit_output, [&] {
      std::visit(
          [&](auto& to) {
            if constexpr (!std::is_same_v<decltype(to), std::monostate&>) f(to);
          },
          writer_);
    });
  }

  static void declare(header_writer& to, const planned_tensor& t) {
    const std::string& name = t.tensor->name;
    if (t.what == action::keep) {
      const auto type = [&]() -> std::optional<dtype> {
        if (const auto* const view = std::get_if<tensor_view>(&t.tensor->view)) return view->type;
        return plan_detail::dtype_of_gguf(std::get<gguf_tensor>(t.tensor->view).type);
      }();
      to.declare(name, *type, t.bytes_before(), t.tensor->type, t.tensor->shape);
      return;
    }
    const index extents[] = {t.shape.rows, t.shape.cols};
    for (const part& p : parts_of(t)) {
      to.declare(name + p.suffix, p.type, p.bytes, p.suffix.empty() ? text_of(t) : "",
                 p.suffix.empty() ? extents : std::span<const index>());
    }
  }

  static void declare(gguf_writer& to, const planned_tensor& t) {
    if (t.what == action::quantize) {
      t.how->declare(to, t.tensor->name, t.tensor->shape);
    } else if (const auto* const view = std::get_if<tensor_view>(&t.tensor->view)) {
      to.declare(t.tensor->name, *plan_detail::gguf_type_of(view->type), t.tensor->shape);
    } else {
      to.declare(std::get<gguf_tensor>(t.tensor->view));
    }
  }

  static void declare(safetensors_writer& to, const planned_tensor& t) {
    const std::string& name = t.tensor->name;
    if (t.what == action::quantize) {
      t.how->declare(to, name, t.shape);
    } else if (const auto* const view = std::get_if<tensor_view>(&t.tensor->view)) {
      to.declare(*view);
    } else {
      const auto& blocks = std::get<gguf_tensor>(t.tensor->view);
      if (t.what == action::keep) {
        to.declare(name, *plan_detail::dtype_of_gguf(blocks.type), t.tensor->shape);
      } else {
        detail::visit_block(detail::gguf_blocks(), blocks.type, [&](auto block) {
          using S = scheme_of<typename decltype(block)::type>;
          fewbit::declare<S>(to, name, t.shape.rows, t.shape.cols);
        });
      }
    }
    if (t.what != action::keep && t.tensor->shape.size() > 2) {
      std::string extents;
      for (const index extent : t.tensor->shape) {
        extents += (extents.empty() ? "" : " ") + std::to_string(extent);
      }
      to.set_metadata("fewbit_shape:" + name, extents);
    }
  }

  std::variant<std::monostate, safetensors_writer, gguf_writer, header_writer> writer_;
};

}  // namespace fewbit::examples::checkpoint
