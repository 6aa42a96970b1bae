#pragma once
/// Products of this library for the GEMM benchmark.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fewbit/fewbit.hpp"

namespace fewbit::benchmarks {

template <class Operands, class Arch>
class fewbit_product {
 public:
  using operands = Operands;

  explicit fewbit_product(operands& data)
      : data_(data),
        packed_(gemm::pack_int8<typename operands::lhs, Arch>(data.w, 0, largest_activation())),
        scratch_(gemm::scratch_bytes(packed_)) {}

  void operator()() {
    if constexpr (requires { data_.factors; }) {
      const auto epilogue = gemm::add_bias(data_.bias.data()) |
                            gemm::requantize<xnn_fp32>(data_.factors) |
                            gemm::saturate<typename operands::out>{operands::zero_point};
      gemm::multiply(data_.a, packed_, data_.c, epilogue, scratch_);
    } else {
      gemm::multiply(data_.a, packed_, data_.c, gemm::raw{}, scratch_);
    }
  }

  static std::string label() {
    using tile = typename gemm::default_kernel<typename operands::lhs, Arch>::tile;
    return "tile " + std::to_string(tile::rows) + "x" + std::to_string(tile::cols) + "x" +
           std::to_string(tile::depth);
  }

  /// Adds the number of weights of each panel to the count of its proof, indexed as gemm::proof.
  void count_weights(std::array<index, 3>& by_proof) const {
    if constexpr (requires { packed_.proven(0); }) {
      for (index col = 0; col < packed_.n(); col += packed_.panel_cols(col)) {
        const index cols = std::min(packed_.panel_cols(col), packed_.n() - col);
        by_proof[static_cast<std::size_t>(packed_.proven(col))] += cols * packed_.k();
      }
    }
  }

  /// Adds the products of each tile and block of k to those of its proof, as
  /// gemm/int8/dots_by_block.hpp chooses it: fours if they hold for all of k, else pairs where they
  /// hold. For unsigned activations; calls of few rows are left out.
  void count_work_by_proof(std::array<double, 3>& work) const
    requires gemm::detail::Proving<
        typename gemm::default_kernel<typename operands::lhs, Arch>::unit>
  {
    using tile = typename gemm::default_kernel<typename operands::lhs, Arch>::tile;
    constexpr index depth = gemm::detail::proof_depth;
    const index k = data_.a.cols();
    if (data_.a.rows() <= gemm::detail::few_rows) return;
    for (index row = 0; row < data_.a.rows(); row += tile::rows) {
      const auto rows = data_.a.middleRows(row, std::min(index{tile::rows}, data_.a.rows() - row));
      const int least = rows.minCoeff();
      for (index col = 0; col < packed_.n(); col += packed_.panel_cols(col)) {
        const auto limits = packed_.limits(col);
        const auto fits = [&](const std::uint8_t* limit, index b) {
          const auto block = rows.middleCols(b * depth, std::min(depth, k - b * depth));
          return k >= gemm::detail::searched_depth && block.maxCoeff() - least <= limit[b];
        };
        bool fours = true;
        for (index b = 0; b * depth < k; ++b) fours = fours && fits(limits.fours, b);
        const index cols = std::min(packed_.panel_cols(col), packed_.n() - col);
        for (index b = 0; b * depth < k; ++b) {
          work[fours                   ? 2
               : fits(limits.pairs, b) ? 1
                                       : 0] +=
              static_cast<double>(rows.rows() * cols * std::min(depth, k - b * depth));
        }
      }
    }
  }

 private:
  static constexpr index largest_activation() {
    if constexpr (requires { operands::largest_activation; }) {
      return operands::largest_activation;
    } else {
      return gemm::largest_code<typename operands::lhs>;
    }
  }

  operands& data_;
  gemm::int8_weights<typename operands::lhs, gemm::default_kernel<typename operands::lhs, Arch>>
      packed_;
  workspace scratch_;
};

}  // namespace fewbit::benchmarks
