#include "fewbit/diagnose/recorded_run.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "diagnose/support.hpp"

namespace fewbit { namespace diagnose_recorded_run_test {

using tests::decibels;
using tests::in_sequence;
using tests::matrix;
using tests::sound_inputs;
using tests::sound_layers;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct runs {
  layer_list layers{sound_layers()};
  recorded_run exact = record_run(layers, in_sequence(4), sound_inputs(), float_compute(layers));
};

TEST(diagnose_recorded_run_test, names_the_first_layer_that_goes_wrong_with_its_worst_number) {
  const runs r;
  ASSERT_EQ(r.exact.size(), 4U);
  EXPECT_EQ(r.exact[2].layer, "third");
  const compute_function in_float = float_compute(r.layers);
  const compute_function broken = [&](index layer, const matrix& x, matrix& y) {
    in_float(layer, x, y);
    if (layer == 1) y(17, 22) += 50.0F;
  };
  const recorded_run other = record_run(r.layers, in_sequence(4), sound_inputs(), broken);
  const run_comparison c = compare_runs(r.exact, other);
  EXPECT_EQ(c.first_wrong, 1);
  EXPECT_EQ(c.calls[0].sqnr_db, infinity);
  EXPECT_EQ(c.calls[0].row, -1);
  EXPECT_NEAR(c.calls[1].max_error, 50.0, 1e-4);
  EXPECT_EQ(c.calls[1].row, 17);
  EXPECT_EQ(c.calls[1].col, 22);
  EXPECT_NEAR(c.calls[1].sqnr_db,
              decibels(r.exact[1].outputs.cast<double>(), other[1].outputs.cast<double>()), 1e-6);
  EXPECT_NE(c.sentence().find("layer 'second' (call 1) goes wrong first"), std::string::npos);
  EXPECT_NE(c.sentence().find("the largest error is 50.0 in row 17, column 22"), std::string::npos);
  const run_comparison same = compare_runs(r.exact, r.exact);
  EXPECT_EQ(same.first_wrong, -1);
  EXPECT_EQ(same.sentence(), "no call is below 20.0 dB");
}

TEST(diagnose_recorded_run_test, a_number_that_is_not_finite_in_one_run_is_wrong) {
  runs r;
  recorded_run other = r.exact;
  other[2].outputs(3, 4) = nan;
  const run_comparison c = compare_runs(r.exact, other);
  EXPECT_EQ(c.first_wrong, 2);
  EXPECT_EQ(c.calls[2].sqnr_db, -infinity);
  EXPECT_EQ(c.calls[2].row, 3);
  EXPECT_EQ(c.calls[2].col, 4);
  r.exact[2].outputs(3, 4) = nan;  // in both runs
  EXPECT_EQ(compare_runs(r.exact, other).first_wrong, -1);
}

TEST(diagnose_recorded_run_test, the_limit_is_the_callers) {
  const runs r;
  recorded_run other = r.exact;
  other[1].outputs *= 1.01F;  // 40 dB
  EXPECT_EQ(compare_runs(r.exact, other, 39.9).first_wrong, -1);
  EXPECT_EQ(compare_runs(r.exact, other, 40.1).first_wrong, 1);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(diagnose_recorded_run_test, names_bad_input) {
  const runs r;
  const auto sentence = [&](const recorded_run& a, const recorded_run& b) {
    return sentence_of([&] { return compare_runs(a, b); });
  };
  EXPECT_EQ(sentence({}, r.exact),
            "fewbit: compare_runs: number of calls of reference is 0, expected at least 1");
  EXPECT_EQ(sentence(r.exact, {}),
            "fewbit: compare_runs: number of calls of other is 0, expected at least 1");
  recorded_run other = r.exact;
  other[1].layer = "conv";
  EXPECT_EQ(sentence(r.exact, other),
            "fewbit: compare_runs: call 1 of other is of layer 'conv', expected of layer 'second'");
  other = r.exact;
  other[2].outputs.resize(2, 5);
  EXPECT_EQ(
      sentence(r.exact, other),
      "fewbit: compare_runs: outputs of call 2 of other of layer 'third' is 2 x 5, expected 48 "
      "x 32");
  other = r.exact;
  other.pop_back();
  EXPECT_EQ(sentence(r.exact, other),
            "fewbit: compare_runs: number of calls of other is 3, expected 4");
  EXPECT_EQ(sentence_of([&] { return compare_runs(r.exact, r.exact, infinity); }),
            "fewbit: compare_runs: least_db is inf, expected a finite number");
  const forward_function idle = [](const matrix& x, const compute_function&) { return x; };
  EXPECT_EQ(sentence_of([&] {
              return record_run(r.layers, idle, sound_inputs(), float_compute(r.layers));
            }),
            "fewbit: record_run: number of calls is 0, expected at least 1");
}
#endif

}}  // namespace fewbit::diagnose_recorded_run_test
