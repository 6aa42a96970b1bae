#include "fewbit/calib/threshold_observer.hpp"

#include <gtest/gtest.h>

#include <string>

#include "calib/support.hpp"

namespace calib_threshold_observer_test {

using fewbit::by_entropy;
using fewbit::by_mse;
using fewbit::by_percentile;
using fewbit::clip;
using fewbit::entropy_observer;
using fewbit::histogram_observer;
using fewbit::mse_observer;
using fewbit::nan_policy;
using fewbit::percentile_observer;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::row_of;

static_assert(fewbit::MergeableObserver<percentile_observer>);
static_assert(fewbit::MergeableObserver<entropy_observer>);
static_assert(fewbit::MergeableObserver<mse_observer>);

template <class O>
class threshold_observer_test : public testing::Test {
 protected:
  static std::string name() {
    if constexpr (std::is_same_v<O, percentile_observer>) {
      return "fewbit: percentile_observer";
    } else {
      return std::is_same_v<O, mse_observer> ? "fewbit: mse_observer" : "fewbit: entropy_observer";
    }
  }

  using method_type = std::remove_cvref_t<decltype(O().method())>;

  static method_type other_method() {
    if constexpr (std::is_same_v<O, percentile_observer>) {
      return {95.0};
    } else {
      return {.bits = 4, .unsigned_codes = true, .first_bin = 64};
    }
  }
};
using observers = testing::Types<percentile_observer, entropy_observer, mse_observer>;
TYPED_TEST_SUITE(threshold_observer_test, observers);

TYPED_TEST(threshold_observer_test, returns_the_range_of_its_method) {
  histogram_observer h(1024);
  h.observe(row_of(fewbit::tests::laplacian()));
  for (const clip ends : {clip::symmetric, clip::affine}) {
    for (const auto& method : {typename TestFixture::method_type{}, this->other_method()}) {
      TypeParam o(method, ends, 1024);
      o.observe(row_of(fewbit::tests::laplacian()));
      EXPECT_EQ(o.range(), h.range(method, ends));
      EXPECT_EQ(o.method(), method);
      EXPECT_EQ(o.ends(), ends);
      EXPECT_EQ(o.values(), h);
    }
  }
}

TYPED_TEST(threshold_observer_test, batches_and_merging_do_not_matter) {
  fewbit::tests::expect_order_batches_and_merging_do_not_matter(
      TypeParam{}, fewbit::tests::wild_values(3000, 6, 1));
}

TYPED_TEST(threshold_observer_test, merges_equal_settings_only) {
  TypeParam o;
  o.observe(row_of({1, 2}));
  const TypeParam before = o;
  const std::string words =
      this->name() + "::merge: method of other is another one, expected that of this observer";
  expect_error([&] { o.merge(TypeParam(this->other_method())); }, words);
  expect_error([&] { o.merge(TypeParam({}, clip::affine)); }, words);
  expect_error([&] { o.merge(TypeParam({}, clip::symmetric, 64)); },
               this->name() + "::merge: bins of other is 64, expected 2048");
  EXPECT_EQ(o, before);
}

TYPED_TEST(threshold_observer_test, errors_name_the_function_of_the_user) {
  const std::string name = this->name();
  TypeParam o;
  expect_error([&] { (void)o.range(); },
               name + "::range: count of observed values is 0, expected at least 1");
  expect_error(
      [&] {
        o.observe(row_of({1, std::nanf("")}));
      },
      name + "::observe: x(0, 1) is nan, expected a finite number");
  expect_error([&] { o.observe(fewbit::tests::matrix(3, 0)); },
               name + "::observe: x is 3 x 0, expected at least one row and one column");
  expect_error([&] { o.merge(TypeParam({}, clip::symmetric, 2048, nan_policy::skip)); },
               name + "::merge: nan_policy of other is skip, expected fail");
  expect_error([&] { (void)TypeParam({}, clip::symmetric, 17); },
               name + ": bins is 17, expected a power of two from 16 to 65536");
  expect_error([&] { (void)TypeParam::from_text(""); },
               name + "::from_text: line 1 is missing, expected '" +
                   o.to_text().substr(0, o.to_text().find('\n')) + "'");
  EXPECT_EQ(o, TypeParam{});
}

TEST(threshold_observer_settings_test, are_checked_before_the_first_value) {
  expect_error([] { percentile_observer({100.5}); },
               "fewbit: percentile_observer: p is 100.5, expected above 0 and at most 100");
  expect_error([] { entropy_observer({.bits = 17}); },
               "fewbit: entropy_observer: bits is 17, expected from 2 to 16");
  expect_error([] { mse_observer({.first_bin = 0}); },
               "fewbit: mse_observer: first_bin is 0, expected at least 1");
}

TYPED_TEST(threshold_observer_test, its_text_is_exact) {
  TypeParam o(this->other_method(), clip::affine, 64, nan_policy::skip);
  EXPECT_EQ(TypeParam::from_text(o.to_text()), o);
  o.observe(row_of(fewbit::tests::wild_values(300, 6, 1)));
  o.observe(row_of({std::nanf("")}));
  const TypeParam copy = TypeParam::from_text(o.to_text());
  EXPECT_EQ(copy, o);
  EXPECT_EQ(copy.skipped(), 1U);
  EXPECT_EQ(copy.policy(), nan_policy::skip);
}

TYPED_TEST(threshold_observer_test, rejects_malformed_text) {
  TypeParam o(this->other_method(), clip::affine, 16);
  o.observe(row_of({1, -2}));
  fewbit::tests::expect_survives_hostile_text(o.to_text(), TypeParam::from_text);
}

TEST(threshold_observer_text_test, is_golden) {
  const std::string histogram =
      "fewbit histogram_observer 2\npolicy 0\nbins 16\ncount 0\nskipped 0\nlo 00000000\n"
      "hi 00000000\nfilled 0\noctave_bins 0\n";
  EXPECT_EQ(percentile_observer({99.5}, clip::affine, 16).to_text(),
            "fewbit percentile_observer 1\np 4058e00000000000\naffine 1\n" + histogram);
  EXPECT_EQ(
      entropy_observer({}, clip::symmetric, 16).to_text(),
      "fewbit entropy_observer 1\nbits 8\nunsigned_codes 0\nfirst_bin 128\naffine 0\n" + histogram);
  EXPECT_EQ(
      mse_observer({.bits = 4}, clip::symmetric, 16).to_text(),
      "fewbit mse_observer 1\nbits 4\nunsigned_codes 0\nfirst_bin 128\naffine 0\n" + histogram);
}

TEST(threshold_observer_text_test, rejects_bad_settings) {
  const std::string percentile = "fewbit: percentile_observer::from_text: ";
  const std::string start = "fewbit: mse_observer::from_text: ";
  expect_error([] { (void)mse_observer::from_text("fewbit entropy_observer 1\n"); },
               start + "line 1 is 'fewbit entropy_observer 1', expected 'fewbit mse_observer 1'");
  expect_error(
      [] {
        (void)percentile_observer::from_text("fewbit percentile_observer 1\np 7ff8000000000000\n");
      },
      percentile + "p is nan, expected above 0 and at most 100");
  expect_error(
      [] {
        (void)mse_observer::from_text(
            "fewbit mse_observer 1\nbits 1\nunsigned_codes 0\nfirst_bin 128\n");
      },
      start + "bits is 1, expected from 2 to 16");
  expect_error(
      [] {
        (void)mse_observer::from_text(
            "fewbit mse_observer 1\nbits 4\nunsigned_codes 0\nfirst_bin 0\n");
      },
      start + "first_bin is 0, expected at least 1");
}

}  // namespace calib_threshold_observer_test
