#pragma once
/// The text of a scheme in files and on command lines (quant/scheme_words.hpp), and the matrices
/// that files hold. Read next: quantized.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/scheme_words.hpp"
#include "fewbit/quant/two_scale_ternary.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What can be in a file: a scheme, or two_scale_ternary.
template <class S>
concept StoredScheme = Scheme<S> || std::same_as<S, two_scale_ternary>;

namespace detail {

template <class S>
struct quantized_type {
  using type = two_scale_ternary;
};
template <Scheme S>
struct quantized_type<S> {
  using type = quantized_matrix<S>;
};

}  // namespace detail

/// The matrix of S: quantized_matrix<S>, or two_scale_ternary.
template <StoredScheme S>
using quantized = typename detail::quantized_type<S>::type;

/// The words of S with one space between them.
template <StoredScheme S>
[[nodiscard]] std::string scheme_text() {
  return detail::text_of_words(detail::words_of<S>);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
