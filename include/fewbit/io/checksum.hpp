#pragma once
/// A checksum of bytes, to find damage. It does not find forgery.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

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

}}  // namespace fewbit

#include "fewbit/end.hpp"
