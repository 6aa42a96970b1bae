#pragma once
/// The directory of data files that are too large for the repository.
///
/// The environment variable FEWBIT_DATA_DIR overrides the directory that the build defines. A test
/// that needs missing files is skipped with a message:
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

/// Skips the test unless `relative` exists in the data directory. It is a macro because GTEST_SKIP
/// returns from the enclosing function.
#define FEWBIT_SKIP_WITHOUT_DATA(relative)                                  \
  if (!fewbit::tests::has_data(relative))                                   \
  GTEST_SKIP() << "no data at " << (fewbit::tests::data_dir() / (relative)) \
               << "; set FEWBIT_DATA_DIR to the directory that holds it"
