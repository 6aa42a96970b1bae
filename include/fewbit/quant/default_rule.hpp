#pragma once
/// The rule that chooses the scales of a scheme if the user does not name one.
///
/// | storage   | rule            | header                                   |
/// |-----------|-----------------|------------------------------------------|
/// | integers  | full_range      | this one                                 |
/// | binary    | mean_magnitude  | quant/magnitude_rule.hpp                 |
/// | ternary   | ternary_optimum | quant/magnitude_rule.hpp                 |
/// | codebooks | lloyd_max       | codebook/lloyd_max.hpp, included by name |
///
/// Read next: quantize.hpp.

#include "fewbit/begin.hpp"

#include "fewbit/quant/magnitude_rule.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/storage.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The scale covers all data of its group: max|x|, or min and max if S is affine or has minima
/// (choose_params).
struct full_range {
  template <Storage St>
  static constexpr bool fits = St::is_integer;
};

/// The rule of a storage. Specialize it to give another storage a default.
template <Storage St>
struct default_rule_of {
  using type = full_range;
};
template <>
struct default_rule_of<binary> {
  using type = mean_magnitude;
};
template <>
struct default_rule_of<ternary> {
  using type = ternary_optimum;
};

/// full_range for integer storages, mean_magnitude for binary, ternary_optimum for ternary. A
/// codebook has lloyd_max once codebook/lloyd_max.hpp is included.
template <Scheme S>
using default_rule = typename default_rule_of<typename S::storage>::type;

/// A rule that fits the storage of S.
template <class R, class S>
concept RuleFor = R::template fits<typename S::storage>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
