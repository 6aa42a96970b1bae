// Arbitrary bytes are refused, or they are the file of a calibration that writes the same bytes.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "io/calibration_file_cases.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// One change in 64 starts again from a seed.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned random) {
  const auto& seeds = fewbit::tests::calibration_seeds;
  const std::string& seed = seeds[random / 64 % seeds.size()];
  if (random % 64 == 0 && seed.size() <= most) {
    std::memcpy(data, seed.data(), seed.size());
    size = seed.size();
  }
  return LLVMFuzzerMutate(data, size, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  bool is_accepted = false;
  const std::string rule = fewbit::tests::read_hostile_calibration(
      fewbit::tests::calibration_input_file(input), is_accepted);
  if (rule.empty()) return 0;
  std::fprintf(stderr, "%s\n", rule.c_str());
  std::abort();
}
