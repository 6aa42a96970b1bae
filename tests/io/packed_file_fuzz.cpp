// Changed packed files are refused, or the layers that are loaded from them are called without a
// read outside of the file.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/packed_hostile.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::byte> seed = fewbit::tests::hostile_seed();
  (void)fewbit::tests::load_changed(seed, {data, size});
  return 0;
}
