#pragma once
/// The values of a tensor or of a quantized matrix, whatever its file stores: rows of floats.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "fewbit/io/gguf_quantized.hpp"
#include "fewbit/io/quantized.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

namespace values_detail {

template <class... Lists>
struct joined;
template <class... A>
struct joined<scheme_list<A...>> {
  using type = scheme_list<A...>;
};
template <class... A, class... B, class... Rest>
struct joined<scheme_list<A...>, scheme_list<B...>, Rest...>
    : joined<scheme_list<A..., B...>, Rest...> {};

/// The schemes of blocks of ggml that known_schemes lacks.
using schemes_of_blocks = scheme_list<scheme_of<q2_k>, scheme_of<q3_k>, scheme_of<q5_k>,
                                      scheme_of<q6_k>, scheme_of<tq1_0>>;

}  // namespace values_detail

/// What the program reads: the known schemes and those of all blocks.
using readable_schemes =
    values_detail::joined<known_schemes, values_detail::schemes_of_blocks>::type;

/// Rows of floats of one tensor or matrix.
struct value_reader {
  matrix_shape shape;
  std::function<row_matrix<float>(index first, index count)> rows;
};

namespace values_detail {

template <class Q>
row_matrix<float> decoded(const Q& q, index first, index count) {
  row_matrix<float> w(count, q.cols());
  for (index r = 0; r < count; ++r) {
    if constexpr (std::is_same_v<Q, two_scale_ternary>) {
      const float values[3] = {-q.negative_scale(first + r), 0.0F, q.positive_scale(first + r)};
      for (index c = 0; c < w.cols(); ++c) w(r, c) = values[q.code(first + r, c) + 1];
    } else {
      detail::decode_row(q, first + r, w.data() + r * w.cols());
    }
  }
  return w;
}

}  // namespace values_detail

namespace values_detail {

template <class S>
value_reader reader_of(const safetensors_file& file, const std::string& name) {
  const auto q = std::make_shared<const quantized<S>>(load<S>(file, name));
  return {{q->rows(), q->cols()},
          [q](index first, index count) { return decoded(*q, first, count); }};
}

/// As visit() of io/quantized.hpp, which compiles longer for lists of this length.
template <class... S>
value_reader reader_of(scheme_list<S...> /*schemes*/, const safetensors_file& file,
                       const std::string& name, std::string_view scheme) {
  value_reader reader;
  const bool is_known =
      ((scheme == scheme_text<S>() && (reader = reader_of<S>(file, name), true)) || ...);
  if (!is_known) {
    detail::fail_in_file("values", "scheme", {file.name(), -1, name}, detail::name_text(scheme),
                         "a scheme that this program reads");
  }
  return reader;
}

}  // namespace values_detail

/// The values of a quantized matrix of fewbit. Its codes are held in memory.
///
/// @throws failure if its parts are damaged or the scheme is unknown
[[nodiscard]] inline value_reader values_of_matrix(const source& file, const std::string& name) {
  value_reader reader = or_exit(exit_input, [&] {
    return values_detail::reader_of(readable_schemes(), *file.safetensors(), name,
                                    file.matrices().at(name).scheme);
  });
  for (const source_tensor& t : file.tensors()) {
    if (t.owner == name) mapped_file::forget(t.bytes());
  }
  return reader;
}

/// The values of a tensor of floats or blocks, as a matrix of that shape. Refers to both arguments.
[[nodiscard]] inline value_reader values_of_tensor(const source& file, const source_tensor& t,
                                                   const matrix_shape& shape) {
  const auto memory = std::make_shared<read_memory>();
  return {shape, [memory, &file, &t, shape](index first, index count) {
            return or_exit(exit_input, [&]() -> row_matrix<float> {
              return float_rows(*memory, file, t, shape, first, count).matrix();
            });
          }};
}

}  // namespace fewbit::examples::checkpoint
