#include "fewbit/core/range_checks.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/sentence.hpp"

namespace fewbit { namespace core_range_checks_test {

TEST(range_checks, sentences_have_numbers_and_bounds) {
  const auto text = [](index got, index least, index most) {
    return std::string(detail::range_sentence("f", "x", got, least, most).text());
  };
  EXPECT_EQ(text(-1, 0, 7), "fewbit: f: x is -1, expected 0 to 7");
  EXPECT_EQ(text(0, -12, -3), "fewbit: f: x is 0, expected -12 to -3");
  EXPECT_EQ(text(1024, 10, 10), "fewbit: f: x is 1024, expected 10");
  constexpr index least = std::numeric_limits<index>::min();
  EXPECT_EQ(text(least, 1, 2), "fewbit: f: x is " + std::to_string(least) + ", expected 1 to 2");
}

TEST(range_checks, long_sentences_are_cut) {
  const std::string name(200, 'a');
  const std::string text = detail::range_sentence(name.c_str(), "x", 1, 2, 3).text();
  EXPECT_EQ(text, ("fewbit: " + name).substr(0, 159));
}

TEST(range_checks_death_test, mismatches_end_the_program) {
  detail::stop_unless_equal("f", "length of x", 3, 3);
  EXPECT_DEATH(detail::stop_unless_equal("f", "length of x", 2, 3),
               "fewbit: f: length of x is 2, expected 3");
}

constexpr index checked(index x) {
  detail::expect_range("f", "x", x, 1, 3);
  return x;
}
static_assert(checked(1) == 1 && checked(3) == 3);

#if FEWBIT_HAS_EXCEPTIONS

TEST(range_checks, throw_outside_the_range) {
  using tests::sentence_of;
  EXPECT_EQ(sentence_of(checked, 2), "no error");
  EXPECT_EQ(sentence_of(checked, 0), "fewbit: f: x is 0, expected 1 to 3");
  EXPECT_EQ(sentence_of(checked, 4), "fewbit: f: x is 4, expected 1 to 3");
}

#else

TEST(range_checks_death_test, without_exceptions_the_program_ends) {
  EXPECT_DEATH(checked(4), "fewbit: f: x is 4, expected 1 to 3");
}

#endif

}}  // namespace fewbit::core_range_checks_test
