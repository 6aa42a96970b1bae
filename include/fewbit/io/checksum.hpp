#pragma once
/// A checksum of bytes, to find damage. It does not find forgery.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// 64 bits that depend on all bytes and their number. They change if any one word of 64 bits
/// changes. Little-endian words; the same on every processor. Reads 8 bytes per multiplication of
/// 64 bits, in 8 independent chains: as fast as memory.
[[nodiscard]] inline std::uint64_t checksum(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t lanes = 8, block = lanes * 8;
  // A bijection of the sum for any word, and of the word for any sum.
  const auto add = [](std::uint64_t sum, std::uint64_t word) {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15U;
    return sum ^ sum >> 32;
  };
  std::uint64_t sums[lanes];
  for (std::size_t i = 0; i < lanes; ++i) sums[i] = i + 1;
  const auto add_block = [&](const std::byte* from) {
    for (std::size_t i = 0; i < lanes; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, from + 8 * i, 8);
      if constexpr (std::endian::native != std::endian::little) {
        std::uint64_t low_first = 0;
        for (int b = 0; b < 8; ++b) low_first |= (word >> 8 * b & 0xFFU) << (56 - 8 * b);
        word = low_first;
      }
      sums[i] = add(sums[i], word);
    }
  };
  std::size_t done = 0;
  for (; done + block <= bytes.size(); done += block) add_block(bytes.data() + done);
  if (done < bytes.size()) {
    std::byte rest[block] = {};
    std::memcpy(rest, bytes.data() + done, bytes.size() - done);
    add_block(rest);
  }
  std::uint64_t sum = bytes.size();
  for (const std::uint64_t lane : sums) sum = add(sum, lane);
  return add(sum, 0);
}

/// Two sums over the words of 32 bits of some bytes, w_0, w_1 ...
struct double_checksum {
  std::uint64_t sum = 0;       ///< sum of w_i, modulo 2^64
  std::uint64_t weighted = 0;  ///< sum of (i + 1) w_i, modulo 2^64

  friend bool operator==(const double_checksum&, const double_checksum&) = default;
};

/// A checksum that changes if any one or any two bits change, in up to 16 GiB. The bytes count as
/// if zeros filled the last word.
///
/// Proof: two bits i and j of words a and b change `sum` by +-2^i +-2^j, where i, j < 32. That is 0
/// only for the same bit in different directions. Then `weighted` changes by 2^i (a - b), which is
/// not 0 and less than 2^64 in magnitude. The checksum above is a number of 64 bits for any damage
/// of one word, but has no such proof for two words. The idea is that of Fletcher 1982, IEEE
/// Transactions on Communications 30(1), with sums that do not wrap.
[[nodiscard]] inline double_checksum two_sums(std::span<const std::byte> bytes) noexcept {
  constexpr int lanes = 8;  // words that are added side by side
  using words = arch::vec<std::uint32_t, lanes>;
  using sums = arch::vec<std::uint64_t, lanes>;
  constexpr std::size_t block = lanes * sizeof(std::uint32_t);
  const std::size_t blocks = (bytes.size() + block - 1) / block;
  // After all blocks, `later` of a lane is the sum of (blocks - b) w over blocks b.
  sums all(std::uint64_t{0}), later(std::uint64_t{0});
  const auto add = [&](const std::byte* from) {
    std::uint32_t row[lanes];
    std::memcpy(row, from, block);
    if constexpr (std::endian::native != std::endian::little) {
      for (std::uint32_t& w : row)
        w = w >> 24 | (w >> 8 & 0xFF00U) | (w << 8 & 0xFF0000U) | w << 24;
    }
    all += arch::convert<std::uint64_t>(words::load(&row[0]));
    later += all;
  };
  for (std::size_t b = 0; b < bytes.size() / block; ++b) add(bytes.data() + b * block);
  if (bytes.size() % block != 0) {
    std::byte rest[block] = {};
    std::memcpy(rest, bytes.data() + bytes.size() / block * block, bytes.size() % block);
    add(rest);
  }
  double_checksum result;
  for (int lane = 0; lane < lanes; ++lane) {
    // The word of block b and this lane has position i = b * lanes + lane.
    const std::uint64_t of_lane = all[lane];
    result.sum += of_lane;
    result.weighted +=
        lanes * (blocks * of_lane - later[lane]) + (static_cast<std::uint64_t>(lane) + 1) * of_lane;
  }
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
