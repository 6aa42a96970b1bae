// Layers of arbitrary tensors are refused, or their values are kept when they are quantized and
// packed again.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "io/checkpoint_cases.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// One change in 64 starts again from a golden file.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned random) {
  const auto& files = fewbit::tests::golden_checkpoints;
  if (random % 64 == 0) {
    const std::string seed = fewbit::tests::encode_checkpoint(files[random / 64 % files.size()]);
    if (seed.size() <= most) {
      std::memcpy(data, seed.data(), seed.size());
      size = seed.size();
    }
  }
  return LLVMFuzzerMutate(data, size, most);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fewbit::tests::checkpoint_input input({reinterpret_cast<const char*>(data), size});
  bool is_accepted = false;
  const std::string rule =
      fewbit::tests::read_hostile_checkpoint(input.file, input.options, is_accepted);
  if (rule.empty()) return 0;
  std::fprintf(stderr, "%s\n", rule.c_str());
  std::abort();
}
