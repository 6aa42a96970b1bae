#pragma once
/// What linear layers have in common: which types their weights may have, and the class template
/// itself, which the other files of this folder specialize.
///
/// Read before: ops/layer.hpp (how layers are called), ops/inputs.hpp (kinds of inputs).
/// Read next: ops/linear/int8.hpp.

#include "fewbit/begin.hpp"

#include "fewbit/arch/arch.hpp"
#include "fewbit/ops/inputs.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

using linear_options = layer_options;
using linear_scratch = layer_scratch;

namespace detail {

/// Whether W is a type of weights that has no scheme: pq (ops/linear/pq.hpp), ttq
/// (ops/linear/two_scale.hpp).
template <class W>
inline constexpr bool are_weights_without_scheme = false;

}  // namespace detail

/// Types of weights of a linear layer: a scheme, pq (a product quantizer) or ttq.
template <class W>
concept LinearWeights = Scheme<W> || detail::are_weights_without_scheme<W>;

template <LinearWeights W, class Inputs = dynamic_int8, class Arch = arch::native>
class linear;

template <class W, class Inputs, class Arch>
inline constexpr const char* detail::layer_word<linear<W, Inputs, Arch>> = "linear";

}}  // namespace fewbit

#include "fewbit/end.hpp"
