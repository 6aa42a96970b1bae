// Calls every function of quant/, gemm/ and io/ that prepares data with each bad input and checks
// the error sentence (the rule is in core/error.hpp). The sentence gives the function and the
// argument by the names that the caller wrote.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "fewbit/formats/ggml_convert.hpp"
#include "fewbit/formats/ggml_weighted.hpp"
#include "fewbit/formats/onnx_blocks.hpp"
#include "support/sentence.hpp"

#if FEWBIT_HAS_EXCEPTIONS

namespace fewbit { namespace formats_bad_input_test {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float subnormal = 0x1p-127F;

using reals = row_matrix<float>;
using codes = row_matrix<std::int8_t>;
using floats = std::vector<float>;

/// A call that fails, and its error sentence without "fewbit: ".
struct refusal {
  std::function<void()> call;
  std::string sentence;
};

void expect_refused(const std::vector<refusal>& all) {
  for (const refusal& r : all) {
    const std::string got = tests::sentence_of([&] {
      r.call();
      return 0;
    });
    EXPECT_EQ(got, "fewbit: " + r.sentence);
  }
}

const std::string no_elements = ", expected at least one row and one column";
const std::string not_finite = ", expected a finite number";
const std::string not_positive = ", expected a finite positive number";
const std::string too_small = " is 5.87747175e-39, expected at least 2^-126";
const std::string is_null = " is null, expected a pointer to numbers";

reals ones_with(float bad) {
  reals w = reals::Ones(2, 32);
  w(1, 2) = bad;
  return w;
}

/// The refusals of every function that reads a matrix w of floats.
template <class F>
void expect_reads_w(const std::string& name, const F& call) {
  SCOPED_TRACE(name);
  const Eigen::Map<const reals> null(nullptr, 2, 32);
  expect_refused({{[&] { call(ones_with(nan)); }, name + ": w(1, 2) is nan" + not_finite},
                  {[&] { call(ones_with(inf)); }, name + ": w(1, 2) is inf" + not_finite},
                  {[&] { call(ones_with(-inf)); }, name + ": w(1, 2) is -inf" + not_finite},
                  {[&] { call(reals(0, 32)); }, name + ": w is 0 x 32" + no_elements},
                  {[&] { call(reals(2, 0)); }, name + ": w is 2 x 0" + no_elements},
                  {[&] { call(null); }, name + ": w" + is_null}});
}

TEST(bad_input, matrices_of_reals) {
  const floats importance(32, 1.0F), levels = {-1.0F, 0.0F, 0.5F, 1.0F};
  const std::vector<quant_params> params(1);
  using random = scheme<int8, per_row, symmetric, real_scale, stochastic>;
  const generator g{1};
  expect_reads_w("quantize", [](const auto& w) { (void)quantize<int8_per_row>(w); });
  expect_reads_w("quantize", [](const auto& w) { (void)quantize<uint4_grouped<32>>(w); });
  expect_reads_w("quantize", [](const auto& w) { (void)quantize<binary_per_row>(w); });
  expect_reads_w("quantize",
                 [](const auto& w) { (void)quantize<ternary_per_row, ternary_twn>(w); });
  expect_reads_w("quantize", [&](const auto& w) { (void)quantize<random>(w, g); });
  expect_reads_w("quantize", [&](const auto& w) { (void)quantize<uint8_affine>(w, params); });
  expect_reads_w("quantize", [&](const auto& w) { (void)quantize<uint8_affine>(w, params[0]); });
  expect_reads_w("quantize",
                 [&](const auto& w) { (void)quantize<codebook_per_row<2>>(w, levels); });
  expect_reads_w("quantize",
                 [](const auto& w) { (void)quantize<codebook_per_row<4>, normal_quantiles>(w); });
  expect_reads_w("fake_quantize", [](const auto& w) { (void)fake_quantize<int8_per_row>(w); });
  expect_reads_w("fake_quantize", [&](const auto& w) { (void)fake_quantize<random>(w, g); });
  expect_reads_w("fake_quantize",
                 [&](const auto& w) { (void)fake_quantize<int8_per_tensor>(w, params); });
  expect_reads_w("fake_quantize",
                 [&](const auto& w) { (void)fake_quantize<codebook_per_row<2>>(w, levels); });
  expect_reads_w("weighted_quantize",
                 [&](const auto& w) { (void)weighted_quantize<int4_grouped<32>>(w, importance); });
  expect_reads_w("quantize_ttq", [](const auto& w) { (void)quantize_ttq(w); });
  expect_reads_w("measure_error", [](const auto& w) { (void)measure_error(w, w); });
  expect_reads_w("mse", [](const auto& w) { (void)mse(w, w); });
  expect_reads_w("sqnr_db", [](const auto& w) { (void)sqnr_db(w, w); });
  expect_reads_w("cosine", [](const auto& w) { (void)cosine(w, w); });
  expect_reads_w("max_error", [](const auto& w) { (void)max_error(w, w); });
  expect_reads_w("quantize_blocks", [](const auto& w) { (void)quantize_blocks<q4_0>(w); });
  expect_reads_w("quantize_blocks", [](const auto& w) { (void)quantize_blocks<q4_1>(w); });
  expect_reads_w("weighted_quantize_blocks",
                 [&](const auto& w) { (void)weighted_quantize_blocks(w, importance); });
}

TEST(bad_input, parameters) {
  const reals w = reals::Ones(2, 32);
  for (const std::string name : {"quantize", "fake_quantize"}) {
    const auto call = [&](std::vector<quant_params> p) {
      return [&, p] {
        if (name == "quantize") (void)quantize<int8_affine_per_row>(w, p);
        if (name != "quantize") (void)fake_quantize<int8_affine_per_row>(w, p);
      };
    };
    expect_refused(
        {{call({{1, 0}}), name + ": number of params is 1, expected 2"},
         {call({}), name + ": number of params is 0, expected 2"},
         {call({{1, 0}, {nan, 0}}), name + ": params[1].scale is nan" + not_positive},
         {call({{inf, 0}, {1, 0}}), name + ": params[0].scale is inf" + not_positive},
         {call({{-1, 0}, {1, 0}}), name + ": params[0].scale is -1" + not_positive},
         {call({{0, 0}, {1, 0}}), name + ": params[0].scale is 0" + not_positive},
         {call({{subnormal, 0}, {1, 0}}), name + ": params[0].scale" + too_small},
         {call({{1, 0}, {1, 128}}), name + ": params[1].zero_point is 128, expected -128 to 127"},
         {call({{1, 0}, {1, -129}}),
          name + ": params[1].zero_point is -129, expected -128 to 127"}});
  }
  const auto importance = [](floats values) {
    values.resize(32, 1.0F);
    return values;
  };
  for (const std::string name : {"weighted_quantize", "weighted_quantize_blocks"}) {
    const auto call = [&](floats values) {
      return [&, values] {
        if (name == "weighted_quantize") (void)weighted_quantize<int8_per_row>(w, values);
        if (name != "weighted_quantize") (void)weighted_quantize_blocks(w, values);
      };
    };
    const std::string want = ", expected a finite number, at least 0";
    expect_refused({{call({1, 1}), name + ": length of importance is 2, expected 32"},
                    {call({}), name + ": length of importance is 0, expected 32"},
                    {call(importance({1, -1})), name + ": importance[1] is -1" + want},
                    {call(importance({1, 1, nan})), name + ": importance[2] is nan" + want},
                    {call(importance({inf})), name + ": importance[0] is inf" + want}});
  }
  const auto range_of = [](float lo, float hi) {
    return [=] { (void)choose_params<int8_affine>({lo, hi}); };
  };
  expect_refused({{range_of(nan, 0), "choose_params: range.lo is nan" + not_finite},
                  {range_of(0, inf), "choose_params: range.hi is inf" + not_finite},
                  {range_of(1, -1), "choose_params: range.lo is 1, expected at most range.hi, -1"},
                  {[] {
                     (void)onnx::dynamic_quantize_linear({nan, 0});
                   },
                   "onnx::dynamic_quantize_linear: range.lo is nan" + not_finite},
                  {[] {
                     (void)fbgemm::choose_params<std::uint8_t>({0, nan});
                   },
                   "fbgemm::choose_params: range.hi is nan" + not_finite},
                  {[] {
                     (void)tflite::choose_params<std::int8_t>({0, inf});
                   },
                   "tflite::choose_params: range.hi is inf" + not_finite},
                  {[&] { (void)quantize_ttq(w, -0.1); },
                   "quantize_ttq: threshold is -0.1, expected at least 0 and less than 1"},
                  {[&] { (void)quantize_ttq(w, std::numeric_limits<double>::quiet_NaN()); },
                   "quantize_ttq: threshold is nan, expected at least 0 and less than 1"}});
}

TEST(bad_input, parts_of_quantized_matrices) {
  const codes c = codes::Ones(2, 4);
  const floats one(2, 1.0F);
  const auto of_scales = [&](float bad) {
    return [&, bad] { (void)quantized_matrix<int8_per_row>(c, floats{1.0F, bad}); };
  };
  const std::string name = "quantized_matrix: ";
  expect_refused(
      {{of_scales(nan), name + "scales[1] is nan" + not_positive},
       {of_scales(inf), name + "scales[1] is inf" + not_positive},
       {of_scales(-1), name + "scales[1] is -1" + not_positive},
       {of_scales(0), name + "scales[1] is 0" + not_positive},
       {of_scales(subnormal), name + "scales[1]" + too_small},
       {[&] {
          (void)quantized_matrix<binary_per_row>(c, floats{subnormal, 0.0F});
        },
        name + "scales[0]" + too_small},
       {[&] { (void)quantized_matrix<int8_per_row>(c, floats{}); },
        name + "number of scales is 0, expected 2"},
       {[&] { (void)quantized_matrix<int8_per_row>(codes(0, 4), floats{}); },
        name + "codes is 0 x 4" + no_elements},
       {[&] { (void)quantized_matrix<int8_per_row>(Eigen::Map<const codes>(nullptr, 2, 4), one); },
        name + "codes" + is_null}});
  const auto two = [&](const floats& positive, const floats& negative) {
    return [&, positive, negative] { (void)two_scale_ternary(c, positive, negative); };
  };
  const std::string ttq = "two_scale_ternary: ";
  expect_refused({{two({1, nan}, one), ttq + "positive scales[1] is nan" + not_positive},
                  {two({0, 1}, one), ttq + "positive scales[0] is 0" + not_positive},
                  {two({1}, one), ttq + "number of positive scales is 1, expected 2"},
                  {two(one, {1, subnormal}), ttq + "negative scales[1]" + too_small},
                  {two(one, {}), ttq + "number of negative scales is 0, expected 2"},
                  {[&] { (void)two_scale_ternary(codes::Constant(2, 4, 2), one, one); },
                   ttq + "codes(0, 0) is 2, expected -1 to 1"},
                  {[&] { (void)two_scale_ternary(codes(2, 0), one, one); },
                   ttq + "codes is 2 x 0" + no_elements}});
}

TEST(bad_input, arrays) {
  float x = 1.0F, scale = 1.0F;
  std::int8_t code = 1;
  const auto to = [&](quant_params p) { return [&, p] { quantize_array(&x, 1, p, &code); }; };
  const auto from = [&](quant_params p) { return [&, p] { dequantize_array(&code, 1, p, &x); }; };
  for (const bool forth : {true, false}) {
    const std::string name = forth ? "quantize_array: " : "dequantize_array: ";
    const auto call = [&](quant_params p) -> std::function<void()> {
      return forth ? std::function<void()>(to(p)) : from(p);
    };
    expect_refused({{call({0, 0}), name + "params.scale is 0" + not_positive},
                    {call({nan, 0}), name + "params.scale is nan" + not_positive},
                    {call({-inf, 0}), name + "params.scale is -inf" + not_positive},
                    {call({subnormal, 0}), name + "params.scale" + too_small},
                    {call({1, 128}), name + "params.zero_point is 128, expected -128 to 127"}});
  }
  const quant_params p;
  expect_refused(
      {{[&] { quantize_array(&x, -1, p, &code); }, "quantize_array: n is -1, expected 0 or more"},
       {[&] { quantize_array(nullptr, 1, p, &code); }, "quantize_array: x" + is_null},
       {[&] { dequantize_array(&code, 1, p, nullptr); }, "dequantize_array: x" + is_null},
       {[&] { quantize_rows(&x, 1, 1, &code, nullptr, nullptr); },
        "quantize_rows: scales" + is_null},
       {[&] { quantize_rows(&x, 1, -1, &code, &scale, nullptr); },
        "quantize_rows: cols is -1, expected 0 or more"}});
  EXPECT_EQ(x, 1.0F);
  EXPECT_EQ(code, 1);
  const reals in = reals::Ones(2, 3);
  codes out = codes::Constant(2, 3, 9), narrow(2, 2);
  const auto with = [&](quant_params q) {
    return [&, q] { quantize_with<onnx, std::int8_t>(in, out, q); };
  };
  expect_refused({{with({0, 0}), "quantize_with: params.scale is 0" + not_positive},
                  {with({nan, 0}), "quantize_with: params.scale is nan" + not_positive},
                  {with({subnormal, 0}), "quantize_with: params.scale" + too_small},
                  {with({1, 200}), "quantize_with: params.zero_point is 200, expected -128 to 127"},
                  {[&] { quantize_with<tflite, std::int8_t>(in, narrow, {}); },
                   "quantize_with: out is 2 x 2, expected 2 x 3"}});
  EXPECT_EQ(out, codes::Constant(2, 3, 9));
}

/// The refusals of every function that packs a matrix w of codes.
template <class F>
void expect_packs_w(const std::string& name, const F& pack) {
  expect_refused({{[&] { pack(codes(0, 4)); }, name + ": w is 0 x 4" + no_elements},
                  {[&] { pack(codes(4, 0)); }, name + ": w is 4 x 0" + no_elements},
                  {[&] { pack(codes(0, 0)); }, name + ": w is 0 x 0" + no_elements},
                  {[&] { pack(Eigen::Map<const codes>(nullptr, 2, 4)); }, name + ": w" + is_null}});
}

TEST(bad_input, int8_weights) {
  using gemm::binary_bits, gemm::signed_bits, gemm::ternary_bits;
  expect_packs_w("pack_int8", [](const auto& w) { (void)gemm::pack_int8<std::int8_t>(w); });
  expect_packs_w("pack_int8", [](const auto& w) { (void)gemm::pack_int8<std::uint8_t>(w, 2); });
  expect_packs_w("pack_planes",
                 [](const auto& w) { (void)gemm::pack_planes<binary_bits, binary_bits>(w); });
  expect_packs_w("pack_planes",
                 [](const auto& w) { (void)gemm::pack_planes<ternary_bits, ternary_bits>(w); });
  expect_packs_w("pack_table",
                 [](const auto& w) { (void)gemm::pack_table<signed_bits<8>, binary_bits>(w); });
  const codes twos = codes::Constant(2, 4, 2);
  expect_refused(
      {{[&] { (void)gemm::pack_planes<binary_bits, binary_bits>(twos); },
        "pack_planes: w(0, 0) is 2, expected -1 or 1"},
       {[&] { (void)gemm::pack_table<signed_bits<8>, ternary_bits>(twos); },
        "pack_table: w(0, 0) is 2, expected -1, 0 or 1"},
       {[&] { (void)gemm::to_planes<binary_bits>(twos); },
        "to_planes: a(0, 0) is 2, expected -1 or 1"},
       {[&] { (void)gemm::to_planes<binary_bits>(codes(2, 0)); },
        "to_planes: number of columns of a is 0, expected at least 1"},
       {[&] { (void)gemm::to_planes<binary_bits>(Eigen::Map<const codes>(nullptr, 2, 4)); },
        "to_planes: a" + is_null},
       {[&] { (void)gemm::pack_int8<std::uint8_t>(twos, -1); },
        "pack_int8: block_depth is -1, expected 0 or more"},
       {[&] { (void)gemm::pack_int8<std::uint8_t>(twos, 0, 256); },
        "pack_int8: largest_activation is 256, expected 0 to 255"},
       {[&] { (void)gemm::few_bit_weights<2>(Eigen::Map<const codes>(nullptr, 2, 4)); },
        "few_bit_weights: w" + is_null},
       {[&] { (void)gemm::few_bit_weights<2>(twos); },
        "few_bit_weights: w(0, 0) is 2, expected -2 to 1"}});
}

TEST(bad_input, stages) {
  const std::int32_t one = 1;
  const auto factors = [](floats f) { return [f] { (void)gemm::requantize<xnn_fp32>(f); }; };
  expect_refused(
      {{factors({1, nan}), "requantize: factors[1] is nan" + not_finite},
       {factors({inf, 1}), "requantize: factors[0] is inf" + not_finite},
       {factors({1, 1, -inf}), "requantize: factors[2] is -inf" + not_finite},
       {factors({}), "requantize: number of factors is 0, expected at least 1"},
       {[&] { (void)gemm::requantize<tflite_double>(nullptr, &one); },
        "requantize: mantissas" + is_null},
       {[&] { (void)gemm::requantize<xnn_rndnu>(&one, nullptr); },
        "requantize: exponents" + is_null},
       {[] { (void)gemm::requantize<q7_pot>(32); }, "requantize: shift is 32, expected 0 to 31"},
       {[] { (void)gemm::requantize<q7_pot>(-1); }, "requantize: shift is -1, expected 0 to 31"},
       {[] { (void)gemm::to_int8(256); }, "to_int8: zero_point is 256, expected -255 to 255"},
       {[] { (void)gemm::to_uint8(-256); }, "to_uint8: zero_point is -256, expected -255 to 255"},
       {[] { (void)gemm::add_bias(nullptr); }, "add_bias: bias" + is_null},
       {[&] { (void)gemm::subtract_outer(&one, nullptr); }, "subtract_outer: cols" + is_null},
       {[] { (void)gemm::scale_columns(nullptr); }, "scale_columns: factors" + is_null},
       {[] { (void)gemm::scale_rows(nullptr); }, "scale_rows: factors" + is_null},
       {[] { (void)gemm::add_columns(nullptr); }, "add_columns: terms" + is_null},
       {[] { (void)gemm::scale_by(nan); }, "scale_by: factor is nan" + not_finite},
       {[] { (void)gemm::nearest(inf); }, "nearest: factor is inf" + not_finite},
       {[] { (void)gemm::at_least(nan); }, "at_least: lowest is nan, expected a number"},
       {[] { (void)gemm::clamp_to<float>(nan, 1); }, "clamp_to: lo is nan, expected at most hi, 1"},
       {[] { (void)gemm::clamp_to<int>(2, 1); }, "clamp_to: lo is 2, expected at most hi, 1"},
       {[] { (void)gemm::to_codes<std::int8_t>(nan, 0); },
        "to_codes: inverse_scale is nan" + not_finite},
       {[] { (void)gemm::to_codes<std::int8_t>(1, 300); },
        "to_codes: zero_point is 300, expected -255 to 255"}});
}

template <class Mode>
void expect_refuses_factors(const std::string& name, const std::string& want) {
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    expect_refused({{[=] { (void)Mode::multiplier(bad); },
                     name + "::multiplier: real is " + detail::text(bad) + ", expected " + want}});
  }
}

TEST(bad_input, multipliers) {
  const std::string finite = "a finite number that is not negative";
  expect_refuses_factors<tflite_double>("tflite_double", finite);
  expect_refuses_factors<tflite_double_neon>("tflite_double_neon", finite);
  expect_refuses_factors<tflite_single>("tflite_single", finite);
  expect_refuses_factors<cmsis_default>("cmsis_default", finite);
  expect_refuses_factors<xnn_rndnu>("xnn_rndnu", "at least 2^-32 and less than 256");
  expect_refuses_factors<xnn_fp32>("xnn_fp32", "at least 2^-32 and less than 256");
  expect_refused({{[] { (void)quantize_multiplier(-1); },
                   "quantize_multiplier: real is -1, expected " + finite},
                  {[] { (void)quantize_multiplier(0x1p30); },
                   "quantize_multiplier: real is 1.07374182e+09, expected less than 2^30"},
                  {[] { (void)quantize_multiplier_saturating(-1); },
                   "quantize_multiplier_saturating: real is -1, expected " + finite}});
}

TEST(bad_input, blocks) {
  const reals w = reals::Ones(2, 33);
  const std::string whole = "number of columns is 33, expected a multiple of 32";
  const floats importance(33, 1.0F);
  using int8_groups = quantized_matrix<int8_grouped<32>>;
  using uint4_groups = quantized_matrix<uint4_grouped<32>>;
  matmul_nbits w4{1, 32, std::vector<std::uint8_t>(16, 0x99), {1.0F}, {}};
  const auto nbits = [&](float scale) {
    w4.scales[0] = scale;
    return tests::sentence_of([&] { return from_matmul_nbits<32>(w4); });
  };
  const std::string block = "fewbit: from_matmul_nbits: scale of block(0, 0) is ";
  EXPECT_EQ(nbits(1), "no error");
  EXPECT_EQ(nbits(nan), block + "nan" + not_finite);
  EXPECT_EQ(nbits(-inf), block + "-inf" + not_finite);
  EXPECT_EQ(nbits(-subnormal),
            block + "-5.87747175e-39, expected 0 or at least 2^-126 in magnitude");
  expect_refused(
      {{[&] { (void)quantize_blocks<q8_0>(w); }, "quantize_blocks: " + whole},
       {[&] { (void)weighted_quantize_blocks(w, importance); },
        "weighted_quantize_blocks: " + whole},
       {[&] { (void)to_blocks<q8_0>(quantize<int8_grouped<32>>(w)); }, "to_blocks: " + whole},
       {[] { (void)to_blocks<q8_0>(int8_groups()); }, "to_blocks: q is 0 x 0" + no_elements},
       {[] { (void)to_blocks(codes_with_minima{}); }, "to_blocks: codes is 0 x 0" + no_elements},
       {[] { (void)to_quantized(block_matrix<q4_0>()); },
        "to_quantized: blocks is 0 x 0" + no_elements},
       {[] { (void)to_quantized(block_matrix<q4_1>()); },
        "to_quantized: blocks is 0 x 0" + no_elements},
       {[] { (void)with_plain_zeros(block_matrix<q5_0>()); },
        "with_plain_zeros: matrix is 0 x 0" + no_elements},
       {[] { (void)to_matmul_nbits(uint4_groups()); }, "to_matmul_nbits: q is 0 x 0" + no_elements},
       {[] { (void)from_matmul_nbits<32>({}); }, "from_matmul_nbits: shape is 0 x 0" + no_elements},
       {[] { (void)block_matrix<q4_0>(0, 32, std::vector<q4_0>()); },
        "block_matrix: shape is 0 x 32, expected at least one row of whole blocks of 32"},
       {[] { (void)block_matrix<q4_0>(1, 32, std::vector<q4_0>(2)); },
        "block_matrix: number of bytes is 36, expected 1 rows of 1 blocks of 18"}});
}

}  // namespace formats_bad_input_test
}  // namespace fewbit

#endif
