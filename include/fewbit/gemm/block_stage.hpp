#pragma once
/// Processes the sums of each block of k if k is cut into blocks.
///
/// A block stage updates a running total for each element of C:
///
///     struct my_blocks : gemm::block_stage {
///       using total = float;          // lane type of the running total, which starts at 0
///       template <class T, class V>   // T: lanes of total, V: lanes of std::int32_t
///       T operator()(const T& so_far, const V& sum, index block, const at& where) const noexcept;
///     };
///
/// The micro-kernel calls it after every `block_depth` codes. The last total goes to the epilogue.
/// With a block stage, scales can change along k while sums stay exact integers, and this layer has
/// no scales.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>

#include "fewbit/gemm/epilogue.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// The base of block stages.
struct block_stage {};

template <class S>
concept BlockStage = std::derived_from<S, block_stage> && requires { typename S::total; };

/// The total is the sum of all blocks. It costs nothing if k is one block.
struct whole_depth : block_stage {
  using total = std::int32_t;

  template <class T, class V>
  FEWBIT_ALWAYS_INLINE T operator()(const T& so_far, const V& sum, index,
                                    const at&) const noexcept {
    return arch::add_wrapping(so_far, sum);
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
