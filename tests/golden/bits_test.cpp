// Results have equal bits on every compiler, instruction set, optimization level and thread count.
// This test compares digests of results with stored ones. A digest may only change by a deliberate
// decision about numeric behaviour.

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>

#include "fewbit/codebook/kmeans.hpp"
#include "fewbit/fewbit.hpp"

namespace fewbit { namespace golden_bits_test {

/// FNV-1a hash over the bytes of values, low byte first.
class digest {
 public:
  template <class T>
  void add(T value) {
    using bits =
        std::conditional_t<sizeof(T) == 4, std::uint32_t,
                           std::conditional_t<sizeof(T) == 2, std::uint16_t, std::uint8_t>>;
    const auto word = std::uint64_t{std::bit_cast<bits>(value)};
    for (std::size_t byte = 0; byte < sizeof(T); ++byte) {
      hash_ = (hash_ ^ ((word >> (8 * byte)) & 0xFF)) * 0x100000001B3ULL;
    }
  }
  template <class Values>
  void add_all(const Values& values) {
    for (const auto value : values) add(value);
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325ULL;
};

template <class T>
std::uint64_t digest_of(const row_matrix<T>& m) {
  digest d;
  d.add_all(std::span<const T>(m.data(), static_cast<std::size_t>(m.size())));
  return d.value();
}

row_matrix<float> reals(index rows, index cols, std::uint64_t seed) {
  row_matrix<float> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) m.data()[i] = normal({seed}, i);
  return m;
}

template <class S>
std::uint64_t digest_of(const quantized_matrix<S>& q) {
  digest d;
  d.add_all(q.bytes());
  d.add_all(q.scales());
  d.add_all(q.zero_points());
  return d.value();
}

template <class S, class Inputs>
std::uint64_t outputs_of(linear<S, Inputs>&& layer) {
  const row_matrix<float> x = reals(133, layer.inputs(), 11);
  row_matrix<float> y(x.rows(), layer.outputs());
  layer(x, y);
  return digest_of(y);
}

TEST(bits, of_random_numbers) {
  digest d;
  for (index i = 0; i < 1000; ++i) d.add(uniform({5}, i));
  EXPECT_EQ(d.value(), 0xDBFE929FDC80AF16ULL);
  EXPECT_EQ(digest_of(reals(10, 100, 5)), 0xFB18E17A28E1B6D4ULL);
}

TEST(bits, of_quantized_matrices) {
  const row_matrix<float> w = reals(37, 101, 1);
  EXPECT_EQ(digest_of(quantize<int8_per_row>(w)), 0xE0D851A66351E46EULL);
  EXPECT_EQ(digest_of(quantize<uint8_affine>(w)), 0xF5413D39ED20A650ULL);
  EXPECT_EQ(digest_of(quantize<int4_grouped<32>>(w)), 0xCE4CCDC0830F75E7ULL);
  EXPECT_EQ(digest_of(quantize<uint4_grouped<16>>(w)), 0x3AF87DB14DB38525ULL);
  EXPECT_EQ(digest_of(quantize<ternary_per_row>(w)), 0xFE7F03C198115623ULL);
  EXPECT_EQ(digest_of(quantize<binary_per_row>(w)), 0x43B60364AB2A5996ULL);
  EXPECT_EQ(digest_of(quantize<int8_power_of_two>(w)), 0x5CF5533392CBEE10ULL);
  EXPECT_EQ((digest_of(quantize<scheme<int8, per_col, symmetric, real_scale, half_away>>(w))),
            0x0F7308E41380181BULL);
  EXPECT_EQ(
      (digest_of(quantize<scheme<int8, per_row, affine, real_scale, stochastic>>(w, generator{3}))),
      0x41D2571D2A209F87ULL);
  EXPECT_EQ(digest_of(dequantize(quantize<int4_grouped<32>>(w))), 0x86C60DE3CD422529ULL);
  std::vector<float> importance(101);
  for (std::size_t k = 0; k < 101; ++k)
    importance[k] = w(0, static_cast<index>(k)) * w(0, static_cast<index>(k));
  EXPECT_EQ(digest_of(weighted_quantize<int4_grouped<32>>(w, importance)), 0x0066833884FC66CDULL);
}

TEST(bits, of_calibrated_ranges) {
  histogram_observer seen;
  seen.observe(reals(300, 100, 2));
  seen.observe(reals(5, 7, 3) * 4.0F);
  digest d;
  for (const range r : {seen.range(by_max{}), seen.range(by_percentile{99.9}),
                        seen.range(by_entropy{}), seen.range(by_mse{8}), seen.range(by_mse{4})}) {
    d.add(r.lo);
    d.add(r.hi);
  }
  EXPECT_EQ(d.value(), 0x239066CDBBE67425ULL);
}

TEST(bits, of_linear_layers) {
  const row_matrix<float> w = reals(45, 200, 1);
  const Eigen::VectorXf b = reals(45, 1, 2);
  const quant_params p{0.03F, 120};
  EXPECT_EQ((outputs_of(linear<int8_per_row>(w, b))), 0xEFAF0AF5BCC79D14ULL);
  EXPECT_EQ((outputs_of(linear<int4_grouped<32>>(w, b))), 0x0241CA82056AA923ULL);
  EXPECT_EQ((outputs_of(linear<uint4_grouped<32>>(w, b))), 0xA9C396EE7243A3F7ULL);
  EXPECT_EQ((outputs_of(linear<binary_per_row>(w, b))), 0x401FB1C84C0ACF30ULL);
  EXPECT_EQ((outputs_of(linear<int8_per_row, static_uint8>(w, b, p))), 0x452CB8D0A6E6B3B2ULL);
  EXPECT_EQ((outputs_of(linear<uint8_affine_per_row, static_int8>(w, b, quant_params{0.03F, -8}))),
            0x2CF047D2AB348EDAULL);
  EXPECT_EQ((outputs_of(linear<int8_per_row, float_inputs>(w, b))), 0xC50C362465260B76ULL);
  EXPECT_EQ((outputs_of(linear<uint4_grouped<32>, float_inputs>(w, b))), 0x54CC2663D16617AEULL);
}

TEST(bits, of_clusterings) {
  const auto digest_of_clusters = [](const kmeans_result& r) {
    digest d;
    d.add_all(
        std::span<const float>(r.centroids.data(), static_cast<std::size_t>(r.centroids.size())));
    for (const std::int32_t j : r.assignment) d.add(j);
    return d.value();
  };
  EXPECT_EQ(digest_of_clusters(kmeans(reals(2000, 1, 4), 50)), 0xF385812F500A5BBCULL);
  EXPECT_EQ(digest_of_clusters(optimal_kmeans_1d(reals(300, 1, 4), 9)), 0x35F3A91106D82C4BULL);
  EXPECT_EQ(digest_of_clusters(kmeans(reals(3000, 5, 4), 20, {.restarts = 2})),
            0x5C27C96608F40B48ULL);
  EXPECT_EQ(digest_of_clusters(kmeans(reals(3000, 2, 4), 300, {.iterations = 5})),
            0xEF4C9B83ADD5CE41ULL);
}

TEST(bits, of_requantized_products) {
  row_matrix<std::uint8_t> a(50, 130);
  row_matrix<std::int8_t> w(70, 130);
  for (index i = 0; i < a.size(); ++i)
    a.data()[i] = static_cast<std::uint8_t>(random_bits(1, static_cast<std::uint64_t>(i))[0]);
  for (index i = 0; i < w.size(); ++i)
    w.data()[i] = static_cast<std::int8_t>(random_bits(2, static_cast<std::uint64_t>(i))[0]);
  std::vector<float> factors(70);
  for (std::size_t j = 0; j < 70; ++j) factors[j] = 0.0001F * static_cast<float>(j + 1);
  row_matrix<std::int8_t> c(50, 70);
  gemm::multiply(a, gemm::pack_int8<std::uint8_t>(w), c,
                 gemm::requantize<xnn_fp32>(factors) | gemm::to_int8{3});
  EXPECT_EQ(digest_of(c), 0xF68BD75F15F1487BULL);
}

}  // namespace golden_bits_test
}  // namespace fewbit
