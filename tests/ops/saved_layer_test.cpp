#include "fewbit/ops/saved_layer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/io/packed_file.hpp"
#include "fewbit/io/packed_writer.hpp"
#include "io/support.hpp"
#include "ops/saved_layers.hpp"
#include "support/memory_archive.hpp"

namespace fewbit { namespace ops_saved_layer_test {

using tests::for_each_packed_linear;
using tests::for_each_packed_window;
using tests::packed_floats;
using tests::packed_outputs;
using tests::temporary_folder;

/// Whether all memory of the weights of a layer is in the file, where the class shows them.
template <class Layer>
void expect_views(const Layer& layer, const char* name) {
  if constexpr (requires { layer.weights().owns_memory(); }) {
    EXPECT_FALSE(layer.weights().owns_memory()) << name;
  } else if constexpr (requires { layer.weights()[0].owns_memory(); }) {
    for (const auto& w : layer.weights()) EXPECT_FALSE(w.owns_memory()) << name;
  }
}

/// Layers that are saved, and then what they return.
template <class Arch>
struct saved {
  temporary_folder folder;
  std::string path = folder / "layers.fewbit";

  saved() {
    packed_writer out(path);
    const auto save = [&](const char* name, const auto& layer) { layer.save(out, name); };
    for_each_packed_linear<Arch>(save);
    for_each_packed_window<Arch>(save);
    out.close();
  }
};

/// Loads each layer for Arch from a file of another instruction set, and compares.
template <class Arch, class From>
void expect_equal_layers(bool is_same) {
  const saved<From> from;
  packed_file file(from.path, packed_check::contents);
  EXPECT_EQ(file.arch(), arch::native::name);
  const auto compare = [&]<class Layer>(const char* name, const Layer& layer) {
    const Layer loaded = Layer::load(file, name);
    EXPECT_EQ(packed_outputs(loaded), packed_outputs(layer)) << name;
    EXPECT_EQ(loaded.bytes(), layer.bytes()) << name;
    if (is_same) expect_views(loaded, name);
  };
  for_each_packed_linear<Arch>(compare);
  for_each_packed_window<Arch>(compare);
  EXPECT_EQ(file.repacked() == 0, is_same);
}

TEST(saved_layer, loads_what_was_saved) { expect_equal_layers<arch::native, arch::native>(true); }

TEST(saved_layer, keeps_further_kinds) {
  const temporary_folder folder;
  packed_writer out(folder / "a.fewbit");
  tests::for_each_packed_native(
      [&](const char* name, const auto& layer) { layer.save(out, name); });
  out.close();
  packed_file file(folder / "a.fewbit", packed_check::contents);
  packed_writer again(folder / "b.fewbit");
  tests::for_each_packed_native([&]<class Layer>(const char* name, const Layer& layer) {
    const Layer loaded = Layer::load(file, name);
    EXPECT_EQ(packed_outputs(loaded), packed_outputs(layer)) << name;
    EXPECT_EQ(loaded.bytes(), layer.bytes()) << name;
    expect_views(loaded, name);
    loaded.save(again, name);
  });
  again.close();
  EXPECT_EQ(file.repacked(), 0);
  EXPECT_TRUE(tests::content_of(folder / "a.fewbit") == tests::content_of(folder / "b.fewbit"));
}

// Writers and readers of a program need no files.
TEST(saved_layer, goes_through_an_archive_in_memory) {
  tests::memory_archive archive;
  const linear<int8_per_row> layer(packed_floats(5, 70), Eigen::VectorXf::Ones(5));
  layer.save(archive, "fc");
  EXPECT_EQ(archive.entries.size(), 4U);
  const auto loaded = linear<int8_per_row>::load(archive, "fc");
  EXPECT_EQ(packed_outputs(loaded), packed_outputs(layer));
  EXPECT_TRUE(archive.holds(loaded.weights().panel(0)));
  EXPECT_TRUE(archive.repacked.empty());
  using other = linear<int8_per_row, dynamic_int8, arch::scalar>;
  if (!std::is_same_v<arch::scalar, arch::native>) {
    EXPECT_EQ(packed_outputs(other::load(archive, "fc")), packed_outputs(layer));
    EXPECT_EQ(archive.repacked, std::vector<std::string>{"fc/weights"});
  }
}

TEST(saved_layer, packs_weights_of_another_instruction_set_anew) {
  using weakest = arch::scalar;
  constexpr bool is_same = std::is_same_v<weakest, arch::native>;
  expect_equal_layers<arch::native, weakest>(is_same);
  expect_equal_layers<weakest, arch::native>(is_same);
}

#if FEWBIT_HAS_AVX2
TEST(saved_layer, keeps_or_makes_transformed_weights) {
  constexpr bool is_same = std::is_same_v<arch::avx2, arch::native>;
  expect_equal_layers<arch::avx2, arch::native>(is_same);
  expect_equal_layers<arch::avx2, arch::avx2>(true);
}
#endif

}}  // namespace fewbit::ops_saved_layer_test
