// Fuzz target: from_text() must either reject a text or restore an observer that writes the same
// text.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/calib/moving_average_observer.hpp"
#include "fewbit/calib/per_channel.hpp"
#include "fewbit/calib/threshold_observer.hpp"
#include "fewbit/core/error.hpp"

namespace {

template <class Observer>
void read(std::string_view text) {
  try {
    const Observer observer = Observer::from_text(text);
    if (observer.to_text() != text) {
      std::fputs("accepted a text that it would not write\n", stderr);
      std::abort();
    }
    if constexpr (requires { observer.snapshot(fewbit::clip::affine); }) {
      for (const auto ends : {fewbit::clip::symmetric, fewbit::clip::affine}) {
        if (observer.count() != 0) (void)observer.range(fewbit::by_percentile{99.0}, ends);
      }
    }
  } catch (const fewbit::error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read<fewbit::max_observer>(text);
  read<fewbit::moving_average_observer>(text);
  read<fewbit::histogram_observer>(text);
  read<fewbit::fixed_histogram>(text);
  read<fewbit::percentile_observer>(text);
  read<fewbit::per_channel<fewbit::max_observer>>(text);
  read<fewbit::per_channel<fewbit::moving_average_observer>>(text);
  read<fewbit::per_channel<fewbit::histogram_observer>>(text);
  return 0;
}
