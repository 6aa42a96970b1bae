#include "fewbit/core/error.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "support/sentence.hpp"

namespace core_error_test {

namespace detail = fewbit::detail;

static_assert(std::is_base_of_v<std::invalid_argument, fewbit::error>);

TEST(error, numbers_are_readable_text) {
  EXPECT_EQ(detail::text(42), "42");
  EXPECT_EQ(detail::text(-1L), "-1");
  EXPECT_EQ(detail::text(std::int8_t{65}), "65");
  EXPECT_EQ(detail::text(0.1F), "0.1");
  EXPECT_EQ(detail::text(1e-40), "1e-40");
  EXPECT_EQ(detail::text(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(detail::text(-std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(detail::text(-std::numeric_limits<float>::infinity()), "-inf");
  EXPECT_EQ(detail::text("words"), "words");
  EXPECT_EQ(detail::text(std::string("words")), "words");
}

TEST(error, shapes_and_positions_are_readable_text) {
  EXPECT_EQ(detail::shape_text(2, 3), "2 x 3");
  EXPECT_EQ(detail::element("w", 2, 3), "w(2, 3)");
  EXPECT_EQ(detail::item("scales", 3), "scales[3]");
  EXPECT_EQ(detail::interval(1, 4), "1 to 4");
  EXPECT_EQ(detail::interval(-1, -1), "-1");
}

TEST(error, a_true_condition_does_nothing) {
  detail::expect(true, "pack", "rows", 1, 2);
  detail::expect_equal("pack", "rows", 3, 3);
}

void ignore(const char*) {}

TEST(error, a_handler_is_replaced_and_restored) {
  const fewbit::error_handler first = fewbit::set_error_handler(&ignore);
  EXPECT_EQ(first, &fewbit::abort_with_message);
  EXPECT_EQ(fewbit::set_error_handler(nullptr), &ignore);
  EXPECT_EQ(fewbit::set_error_handler(nullptr), &fewbit::abort_with_message);
}

[[noreturn]] void leave_with(const char* sentence) {
  std::fprintf(stderr, "handler: %s", sentence);
  std::exit(3);
}

/// Errors on the hot path, with and without exceptions.
TEST(error_death_test, a_mismatch_calls_the_handler_and_terminates_the_program) {
  const auto stop = [](fewbit::error_handler handler) {
    fewbit::set_error_handler(handler);
    detail::stop("fewbit: %s: y.cols() is %d, expected %d", "linear", 3, 16);
  };
  EXPECT_DEATH(stop(nullptr), "fewbit: linear: y.cols.. is 3, expected 16");
  EXPECT_EXIT(stop(&leave_with), testing::ExitedWithCode(3),
              "handler: fewbit: linear: y.cols.. is 3, expected 16");
  EXPECT_DEATH(stop(&ignore), "");  // the program ends even if the handler returns
}

#if FEWBIT_HAS_EXCEPTIONS

using fewbit::tests::sentence_of;

TEST(error, names_function_argument_got_and_want) {
  EXPECT_EQ(sentence_of([] { detail::fail("load", "bits per code", 8, 4); }),
            "fewbit: load: bits per code is 8, expected 4");
  EXPECT_EQ(
      sentence_of([] { detail::expect(false, "quantize", "w(3, 4)", 0.5F, "a finite number"); }),
      "fewbit: quantize: w(3, 4) is 0.5, expected a finite number");
  EXPECT_EQ(sentence_of([] { detail::expect_equal("multiply", "rows of b", 3L, 5); }),
            "fewbit: multiply: rows of b is 3, expected 5");
}

TEST(error, preparation_does_not_call_the_handler_if_exceptions_are_on) {
  fewbit::set_error_handler(&ignore);
  EXPECT_EQ(sentence_of([] { detail::fail("f", "x", 1, 2); }), "fewbit: f: x is 1, expected 2");
  fewbit::set_error_handler(nullptr);
}

#else

TEST(error_death_test, without_exceptions_the_sentence_is_printed_and_the_program_aborts) {
  EXPECT_DEATH(detail::fail("load", "bits", 8, 4), "fewbit: load: bits is 8, expected 4");
  EXPECT_DEATH(detail::expect_equal("load", "bits", 8, 4), "fewbit: load: bits is 8, expected 4");
}

TEST(error_death_test, without_exceptions_the_handler_gets_the_sentence) {
  const auto fail = [](fewbit::error_handler handler) {
    fewbit::set_error_handler(handler);
    detail::fail("load", "bits", 8, 4);
  };
  EXPECT_EXIT(fail(&leave_with), testing::ExitedWithCode(3),
              "handler: fewbit: load: bits is 8, expected 4");
  EXPECT_DEATH(fail(&ignore), "");  // the program ends even if the handler returns
}

#endif

}  // namespace core_error_test
