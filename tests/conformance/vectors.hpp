#pragma once
/// The cases that the index.json of a folder names, as parameters of a test:
///
///     class cmsis_nn : public testing::TestWithParam<vector_case> {};
///     INSTANTIATE_TEST_SUITE_P(, cmsis_nn, testing::ValuesIn(vectors_of("cmsis_nn")), name_of);

#include <gtest/gtest.h>

#include <cctype>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "safetensors.hpp"
#include "support/data.hpp"

namespace fewbit::tests {

struct vector_case {
  std::string folder;
  std::string name;
  nlohmann::json description;

  [[nodiscard]] examples::safetensors tensors() const {
    const auto file = data_dir() / folder / description.at("file").get<std::string>();
    return examples::read_safetensors(file.string());
  }
  friend std::ostream& operator<<(std::ostream& out, const vector_case& c) {
    return out << c.folder << "/" << c.name;
  }
};

/// All cases of a folder; one case without a description where the folder is missing.
inline std::vector<vector_case> vectors_of(const std::string& folder) {
  std::ifstream file(data_dir() / folder / "index.json");
  if (!file) return {{folder, "missing", {}}};
  const nlohmann::json all = nlohmann::json::parse(file);
  std::vector<vector_case> cases;
  for (const auto& [name, description] : all.items()) cases.push_back({folder, name, description});
  return cases;
}

inline std::string name_of(const testing::TestParamInfo<vector_case>& info) {
  std::string name = info.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

/// Compares codes or sums with the expected ones.
template <class Values>
void expect_equal_codes(const Values& got, const examples::tensor& expected) {
  using T = typename Values::Scalar;
  const auto want = expected.as<T>();
  ASSERT_EQ(got.size(), static_cast<index>(want.size())) << "number of outputs";
  index different = 0;
  index first = -1;
  for (index i = 0; i < got.size(); ++i) {
    if (got.data()[i] == want[static_cast<std::size_t>(i)]) continue;
    if (different++ == 0) first = i;
  }
  if (different == 0) return;
  ADD_FAILURE() << different << " of " << got.size() << " outputs differ; the first is number "
                << first << ": " << std::int64_t{got.data()[first]} << ", expected "
                << std::int64_t{want[static_cast<std::size_t>(first)]};
}

}  // namespace fewbit::tests
