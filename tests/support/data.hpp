#pragma once
/// Where the tests find data files too large to live in the repository.
///
/// The environment variable FEWBIT_DATA_DIR wins over the directory the build names. A test that
/// needs files which are not there is skipped with a sentence:
///
///     TEST(fixed_point, agrees_with_tables) {
///       FEWBIT_SKIP_WITHOUT_DATA("fixedpoint");
///       read(fewbit::tests::data_dir() / "fixedpoint" / "gemmlowp_tables.safetensors");

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace fewbit::tests {

inline std::filesystem::path data_dir() {
  if (const char* named = std::getenv("FEWBIT_DATA_DIR"); named != nullptr && *named != '\0') {
    return named;
  }
#if defined(FEWBIT_DATA_DIR)
  return FEWBIT_DATA_DIR;
#else
  return {};
#endif
}

inline bool has_data(const std::filesystem::path& relative) {
  std::error_code ignored;
  return !data_dir().empty() && std::filesystem::exists(data_dir() / relative, ignored);
}

}  // namespace fewbit::tests

/// Skips the test unless `relative` exists in the data directory. A macro because GTEST_SKIP
/// returns from the function it stands in.
#define FEWBIT_SKIP_WITHOUT_DATA(relative)                                  \
  if (!fewbit::tests::has_data(relative))                                   \
  GTEST_SKIP() << "no data at " << (fewbit::tests::data_dir() / (relative)) \
               << "; set FEWBIT_DATA_DIR to the directory that holds it"
