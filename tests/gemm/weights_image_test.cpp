#include "fewbit/gemm/weights_image.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/gemm/multiply.hpp"
#include "support/archs.hpp"
#include "support/bit_codes.hpp"
#include "support/codes.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_weights_image_test {

using gemm::image_check;
using tests::random_codes_of;
using int8_bits = gemm::signed_bits<8>;
using bytes = aligned_buffer<std::byte>;

constexpr bool is_little_endian = std::endian::native == std::endian::little;

template <class W>
bytes image_of(const W& w) {
  bytes image(w.image_bytes());
  w.write_image(image);
  return image;
}

/// Positive, and of different powers of two.
std::vector<float> scales_for(index count) {
  std::vector<float> scales(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < scales.size(); ++i)
    scales[i] = (1.0F + static_cast<float>(i % 7) / 8.0F) * (i % 3 == 0 ? 0.25F : 4.0F);
  return scales;
}

/// Calls f(weights, activations) for weights of every form and of every kind of arrays.
template <class Arch, class F>
void for_each_form(index n, index k, const F& f) {
  using gemm::ternary_bits;
  const auto s8 = random_codes_of<int8_bits>(3, k, 1).array().max(std::int8_t{-127}).matrix();
  const row_matrix<std::int8_t> a = s8;
  const auto w = random_codes_of<ternary_bits>(n, k, 2);
  const auto w8 = random_codes_of<int8_bits>(n, k, 3);
  const auto groups = [&](index group) { return n * ((k + group - 1) / group); };
  const auto zeros = [&](index group) {
    return std::vector<std::uint8_t>(static_cast<std::size_t>(groups(group)), 5);
  };
  const auto u4 = random_codes_of<gemm::unsigned_bits<4>>(n, k, 4);
  const auto u8 = random_codes_of<gemm::unsigned_bits<8>>(n, k, 5);
  std::vector<float> wide = scales_for(groups(16));
  wide[0] = 0x1p-60F;
  f(gemm::pack_int8<std::int8_t, Arch>(w8), a);
  f(gemm::pack_int8<std::uint8_t, Arch>(w8, 0, 127),
    row_matrix<std::uint8_t>(random_codes_of<gemm::unsigned_bits<7>>(3, k, 6)));
  f(gemm::pack_few_bits<2, Arch>(w), a);
  f(gemm::pack_few_bits<3, Arch>(w, 3), a);
  f(gemm::pack_grouped<4, Arch>(u4, 16, scales_for(groups(16)), 8), a);
  f(gemm::pack_grouped<4, Arch>(u4, 32, scales_for(groups(32)), zeros(32)), a);
  f(gemm::pack_grouped<8, Arch>(u8, 16, wide, scales_for(groups(16))), a);
  f(gemm::pack_planes<ternary_bits, ternary_bits, Arch>(w), random_codes_of<ternary_bits>(3, k, 7));
  f(gemm::pack_planes<gemm::binary_bits, gemm::binary_bits, Arch>(
        random_codes_of<gemm::binary_bits>(n, k, 8)),
    random_codes_of<gemm::binary_bits>(3, k, 9));
  f(gemm::pack_table<int8_bits, ternary_bits, Arch>(w), a);
}

template <class W>
constexpr bool is_grouped = requires(const W& w) { w.groups(); };

template <class W, class A>
auto product(const A& a, const W& w) {
  row_matrix<std::conditional_t<is_grouped<W>, float, std::int32_t>> c(a.rows(), w.n());
  gemm::multiply(a, w, c);
  return c;
}

template <class Arch>
class weights_image_test : public testing::Test {};

TYPED_TEST_SUITE(weights_image_test, tests::archs, tests::arch_names);

TYPED_TEST(weights_image_test, view_multiplies_as_the_owner_does) {
  if constexpr (is_little_endian) {
    for (const auto& shape : {std::pair<index, index>{1, 1}, {70, 75}, {131, 600}}) {
      const index n = shape.first, k = shape.second;
      SCOPED_TRACE(testing::Message() << "n=" << n << " k=" << k);
      for_each_form<TypeParam>(n, k, [&]<class W>(const W& w, const auto& a) {
        const bytes image = image_of(w);
        EXPECT_EQ(image.size() % 64, 0);
        for (const auto check : {image_check::contents, image_check::header}) {
          const W v = W::view(image, check);
          EXPECT_EQ(v.n(), n);
          EXPECT_EQ(v.k(), k);
          EXPECT_EQ(v.bytes(), w.bytes());
          EXPECT_TRUE(w.owns_memory());
          EXPECT_FALSE(v.owns_memory());
          EXPECT_EQ(product(a, v), product(a, w));
          EXPECT_TRUE(std::ranges::equal(image_of(v), image)) << "written again";
        }
      });
    }
  }
}

TYPED_TEST(weights_image_test, keeps_blocks_of_k) {
  if constexpr (is_little_endian) {
    const auto w = random_codes_of<int8_bits>(70, 75, 1);
    const auto packed = gemm::pack_int8<std::int8_t, TypeParam>(w, 32);
    const bytes image = image_of(packed);
    const auto view = std::remove_const_t<decltype(packed)>::view(image);
    EXPECT_EQ(view.layout().blocks(), 3);
    EXPECT_EQ(view.layout().block_depth(), 32);
    EXPECT_TRUE(std::ranges::equal(image_of(view), image));
  }
}

TYPED_TEST(weights_image_test, copies_and_moves_read_the_same_memory) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(5, 70, [&]<class W>(const W& w, const auto& a) {
      const auto wanted = product(a, w);
      bytes image = image_of(w);
      W copied;
      {
        const W view = W::view(image);
        copied = view;
      }
      EXPECT_FALSE(copied.owns_memory());
      EXPECT_EQ(product(a, copied), wanted);
      W moved(std::move(copied));
      EXPECT_FALSE(moved.owns_memory());
      EXPECT_EQ(product(a, moved), wanted);

      W owner = w;  // deep
      EXPECT_TRUE(owner.owns_memory());
      const W second = owner;
      moved = std::move(owner);
      EXPECT_TRUE(moved.owns_memory());
      image = bytes();
      EXPECT_EQ(product(a, moved), wanted);
      EXPECT_EQ(product(a, second), wanted);
    });
  }
}

TYPED_TEST(weights_image_test, reads_from_the_middle_of_an_arena) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto& a) {
      bytes arena(192 + w.image_bytes() + 192);
      std::fill(arena.begin(), arena.end(), std::byte{0xA5});
      const std::span<std::byte> from = std::span<std::byte>(arena).subspan(192);
      w.write_image(from);
      EXPECT_EQ(arena[191], std::byte{0xA5});
      EXPECT_EQ(arena[192 + w.image_bytes()], std::byte{0xA5});
      EXPECT_EQ(product(a, W::view(from)), product(a, w)) << "bytes behind the image are ignored";
    });
  }
}

TYPED_TEST(weights_image_test, writes_zeros_between_arrays) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      bytes ones(w.image_bytes());
      std::fill(ones.begin(), ones.end(), std::byte{0xFF});
      w.write_image(ones);
      EXPECT_TRUE(std::ranges::equal(ones, image_of(w)));
    });
  }
}

#if FEWBIT_HAS_EXCEPTIONS

using tests::sentence_of;

template <class W>
std::string refusal_of(std::span<const std::byte> image,
                       image_check check = image_check::contents) {
  return sentence_of([&] { static_cast<void>(W::view(image, check)); });
}

bool is_refusal(const std::string& sentence) {
  return sentence.starts_with("fewbit: ") &&
         sentence.find("_weights::view: ") != std::string::npos &&
         sentence.find(", expected ") != std::string::npos;
}

/// Changes the header of an image and makes its checksum right.
bytes with_header(const bytes& image, const std::function<void(gemm::detail::image_header&)>& f) {
  bytes changed = image;
  gemm::detail::image_header header;
  std::memcpy(&header, changed.data(), sizeof(header));
  f(header);
  header.header_checksum = gemm::detail::checksum_of_header(header);
  std::memcpy(changed.data(), &header, sizeof(header));
  return changed;
}

TYPED_TEST(weights_image_test, refuses_short_and_misaligned_images) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      const bytes image = image_of(w);
      const std::span<const std::byte> all(image.data(), static_cast<std::size_t>(image.size()));
      for (std::size_t size = 0; size < all.size(); size += size < 130 ? 1 : 61) {
        // Memory of exactly this size, for the address sanitizer.
        auto* memory = static_cast<std::byte*>(::operator new(size, std::align_val_t{64}));
        std::copy_n(all.begin(), size, memory);
        EXPECT_TRUE(is_refusal(refusal_of<W>({memory, size}))) << size;
        ::operator delete(memory, std::align_val_t{64});
      }
      EXPECT_TRUE(is_refusal(refusal_of<W>(all.first(all.size() - 1))));
      EXPECT_TRUE(is_refusal(refusal_of<W>({})));
      bytes shifted(image.size() + 64);
      for (const index by : {1, 8, 32, 63}) {
        std::copy(image.begin(), image.end(), shifted.begin() + by);
        const std::string got =
            refusal_of<W>({shifted.data() + by, static_cast<std::size_t>(image.size())});
        EXPECT_NE(
            got.find("address of the image modulo 64 is " + std::to_string(by) + ", expected 0"),
            std::string::npos)
            << got;
      }
    });
  }
}

TYPED_TEST(weights_image_test, refuses_every_change_of_the_header) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      bytes image = image_of(w);
      for (index i = 0; i < 128; ++i) {
        for (const int bits : {1, 0x80, 0xFF}) {
          image[i] ^= static_cast<std::byte>(bits);
          EXPECT_TRUE(is_refusal(refusal_of<W>(image, image_check::header))) << i;
          image[i] ^= static_cast<std::byte>(bits);
        }
      }
      EXPECT_EQ(refusal_of<W>(image), "no error");
    });
  }
}

TYPED_TEST(weights_image_test, refuses_changed_contents) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      bytes image = image_of(w);
      for (index i = 128; i < image.size(); i += 7) {
        image[i] ^= std::byte{0x10};
        EXPECT_NE(refusal_of<W>(image).find("checksum of the arrays"), std::string::npos) << i;
        image[i] ^= std::byte{0x10};
      }
      image[image.size() - 1] ^= std::byte{1};
      EXPECT_TRUE(is_refusal(refusal_of<W>(image)));
    });
  }
}

TYPED_TEST(weights_image_test, refuses_hostile_headers) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      const bytes image = image_of(w);
      const auto expect_refused = [&](const char* what, const auto& change) {
        const std::string got = refusal_of<W>(with_header(image, change), image_check::header);
        EXPECT_TRUE(is_refusal(got)) << what << ": " << got;
      };
      using header = gemm::detail::image_header;
      for (const std::int64_t extent :
           {std::int64_t{0}, std::int64_t{-1}, std::int64_t{200}, std::int64_t{1} << 31,
            std::int64_t{1} << 40, std::int64_t{1} << 62, INT64_MAX, INT64_MIN}) {
        expect_refused("n", [&](header& h) { h.n = extent; });
        expect_refused("k", [&](header& h) { h.k = extent; });
        expect_refused("both", [&](header& h) { h.n = h.k = extent; });
        expect_refused("bytes", [&](header& h) { h.bytes = extent; });
        for (std::size_t i = 0; i < 5; ++i) {
          if (extent == 0 || extent == 200) continue;  // may be a value of the parameter
          const std::string got =
              refusal_of<W>(with_header(image, [&](header& h) { h.parameters[i] = extent; }),
                            image_check::header);
          EXPECT_TRUE(is_refusal(got)) << i << " " << extent << ": " << got;
        }
      }
      expect_refused("version", [](header& h) { h.version = 2; });
      expect_refused("form", [](header& h) { h.form = h.form % 5 + 1; });
      for (std::size_t i = 0; i < 8; ++i)
        expect_refused("layout", [&](header& h) { h.layout[i] += 1; });
    });
  }
}

TYPED_TEST(weights_image_test, gives_the_reason) {
  if constexpr (is_little_endian) {
    const auto w = random_codes_of<gemm::ternary_bits>(9, 40, 1);
    const auto packed = gemm::pack_few_bits<2, TypeParam>(w);
    using weights = std::remove_const_t<decltype(packed)>;
    const bytes image = image_of(packed);
    const auto refusal = [&](const auto& change) {
      return refusal_of<weights>(with_header(image, change));
    };
    using header = gemm::detail::image_header;
    const std::string call = "fewbit: few_bit_weights::view: ";
    EXPECT_EQ(refusal([](header& h) { h.parameters[0] = 5; }),
              call + "zero_point is 5, expected 0 to 4");
    EXPECT_EQ(refusal([](header& h) { h.version = 7; }),
              call + "version of the format is 7, expected 1");
    EXPECT_EQ(refusal([](header& h) { h.n = 0; }),
              call + "number of rows is 0, expected at least 1");
    EXPECT_EQ(
        refusal([](header& h) { h.layout[0] = 3; }),
        call + "number of bits of a weight is 3, expected 2 for this type and instruction set");
    EXPECT_EQ(refusal([](header& h) { h.magic[0] = 'F'; }),
              call + "start of the image is another sequence of bytes, expected \"fewbit\\0W\"");
    EXPECT_EQ(refusal_of<weights>({image.data(), 100}),
              call + "size of the image is 100, expected at least 128");
  }
}

TYPED_TEST(weights_image_test, refuses_a_proof_that_is_none) {
  if constexpr (is_little_endian) {
    using kernel = gemm::default_kernel<std::uint8_t, TypeParam>;
    if constexpr (gemm::detail::Proving<typename kernel::unit>) {
      const auto w = random_codes_of<int8_bits>(9, 40, 1);
      const auto packed = gemm::pack_int8<std::uint8_t, TypeParam>(w);
      bytes image = image_of(packed);
      image[image.size() - 128] = std::byte{3};  // one line of limits follows
      EXPECT_EQ(refusal_of<std::remove_const_t<decltype(packed)>>(image, image_check::header),
                "fewbit: int8_weights::view: proofs[0] is 3, expected 0 to 2");
    }
  }
}

/// Images are read by the form, the types and the layout that wrote them.
TYPED_TEST(weights_image_test, is_refused_by_others) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      const bytes image = image_of(w);
      index readers = 0;
      for_each_form<TypeParam>(9, 40, [&]<class V>(const V&, const auto&) {
        const std::string got = refusal_of<V>(image);
        EXPECT_EQ(got == "no error", (std::is_same_v<V, W>)) << got;
        readers += got == "no error" ? 1 : 0;
      });
      EXPECT_GE(readers, 1);
    });
  }
}

TYPED_TEST(weights_image_test, of_another_instruction_set_is_refused_or_equal) {
  if constexpr (is_little_endian) {
    const auto w = random_codes_of<int8_bits>(70, 75, 1);
    const auto a = row_matrix<std::uint8_t>(random_codes_of<gemm::unsigned_bits<8>>(3, 75, 2));
    const auto packed = gemm::pack_int8<std::uint8_t, TypeParam>(w);
    const bytes image = image_of(packed);
    arch::compiled::for_each([&]<class Other>() {
      using other_kernel = gemm::default_kernel<std::uint8_t, Other>;
      using other = gemm::int8_weights<std::uint8_t, other_kernel>;
      using kernel = gemm::default_kernel<std::uint8_t, TypeParam>;
      const std::string got = refusal_of<other>(image);
      if (kernel::tile::cols != other_kernel::tile::cols ||
          kernel::tile::depth != other_kernel::tile::depth) {
        EXPECT_TRUE(is_refusal(got)) << Other::name;
      }
      if (got == "no error") {
        EXPECT_EQ(product(a, other::view(image)), product(a, packed)) << Other::name;
      }
    });
  }
}

TYPED_TEST(weights_image_test, refuses_to_write_nothing) {
  if constexpr (is_little_endian) {
    for_each_form<TypeParam>(9, 40, [&]<class W>(const W& w, const auto&) {
      bytes image(w.image_bytes());
      const auto write = [&](const W& from, std::span<std::byte> to) {
        return sentence_of([&] { from.write_image(to); });
      };
      EXPECT_NE(write(W(), image).find("::write_image: number of rows is 0, expected at least 1"),
                std::string::npos);
      EXPECT_NE(write(w, std::span<std::byte>(image).first(100))
                    .find("::write_image: size of the image is 100, expected at least "),
                std::string::npos);
      W source = w;
      const W taken = std::move(source);
      EXPECT_NE(write(source, image).find("::write_image: number of elements is 0, expected "),
                std::string::npos);  // NOLINT(bugprone-use-after-move)
    });
  }
}

TEST(weights_image, is_refused_on_big_endian_processors) {
  if constexpr (!is_little_endian) {
    const auto packed = gemm::pack_int8<std::int8_t>(random_codes_of<int8_bits>(2, 3, 1));
    bytes image(packed.image_bytes());
    EXPECT_EQ(sentence_of([&] { packed.write_image(image); }),
              "fewbit: int8_weights::write_image: byte order of the processor is big-endian, "
              "expected little-endian");
    EXPECT_EQ(refusal_of<std::remove_const_t<decltype(packed)>>(image),
              "fewbit: int8_weights::view: byte order of the processor is big-endian, expected "
              "little-endian");
  }
}

#endif

/// Codes, scales and bias in constant memory, as a program for a microcontroller has them.
TEST(weights_image, is_a_layer_with_scales_beside_it) {
  if constexpr (is_little_endian) {
    const auto codes = random_codes_of<int8_bits>(20, 30, 1);
    const bytes image = image_of(gemm::pack_int8<std::int8_t>(codes));
    const std::vector<float> scales(20, 0.25F), bias(20, -2.0F);
    const auto a = random_codes_of<int8_bits>(2, 30, 2);
    row_matrix<float> y(2, 20);

    const auto w = gemm::int8_weights<std::int8_t>::view(image);
    workspace scratch(gemm::scratch_bytes(w));
    gemm::multiply(
        a, w, y,
        gemm::to_float{} | gemm::scale_columns{scales.data()} | gemm::add_columns{bias.data()},
        scratch);

    const auto sums = tests::wide_product_of(a, codes).cast<float>();
    EXPECT_EQ(y, (sums.array() * 0.25F - 2.0F).matrix());
  }
}

TEST(weights_image, checksum_sees_every_word) {
  bytes data(256);
  const std::uint64_t zero = gemm::detail::image_checksum(data.data(), data.size());
  EXPECT_NE(zero, gemm::detail::image_checksum(data.data(), 192)) << "length";
  for (index i = 0; i < data.size(); ++i) {
    data[i] = std::byte{1};
    EXPECT_NE(gemm::detail::image_checksum(data.data(), data.size()), zero) << i;
    data[i] = std::byte{0};
  }
}

}  // namespace gemm_weights_image_test
}  // namespace fewbit
