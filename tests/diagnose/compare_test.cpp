#include "fewbit/diagnose/compare.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "fewbit/diagnose/findings.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace diagnose_compare_test {

layer_figures layer(const std::string& name, double own_db, const std::string& scheme = "int8") {
  layer_figures l;
  l.name = name;
  l.own_db = own_db;
  l.scheme = scheme;
  return l;
}

TEST(diagnose_compare_test, tells_what_became_worse_first) {
  network_report before;
  before.layers = {layer("a", 30), layer("b", 30), layer("c", 30), layer("gone", 30)};
  before.layers[0].bytes = 100;
  before.quantized_metric = 80;
  before.findings = {{fault::wide_row, 2, 5, -1, 100, "", ""}};
  network_report after;
  after.layers = {layer("new", 1), layer("c", 30), layer("b", 20.5), layer("a", 35, "int4")};
  after.layers[3].bytes = 50;
  after.quantized_metric = 79.5;
  after.findings = {{fault::dead_input, 1, -1, 3, 1, "", ""},
                    {fault::lowest_sqnr, 0, -1, -1, 1, "", ""}};
  const report_changes c = compare_reports(before, after);
  ASSERT_EQ(c.layers.size(), 3U);
  EXPECT_EQ(c.layers[0].name, "b");
  EXPECT_EQ(c.layers[0].own_db.value(), -9.5);
  EXPECT_EQ(c.layers[1].name, "c");
  EXPECT_EQ(c.layers[1].new_faults, std::vector<fault>{fault::dead_input});
  EXPECT_EQ(c.layers[1].gone_faults, std::vector<fault>{fault::wide_row});
  EXPECT_EQ(c.layers[2].bytes.value(), -50.0);
  EXPECT_TRUE(c.layers[2].has_new_scheme);
  EXPECT_FALSE(c.layers[0].loss);
  EXPECT_EQ(c.removed, std::vector<std::string>{"gone"});
  EXPECT_EQ(c.added, std::vector<std::string>{"new"});
  EXPECT_EQ(c.metric.value(), -0.5);
  EXPECT_EQ(changes_text(c),
            "metric \u22120.500\n"
            "b: own error \u22129.5 dB\n"
            "c: new: dead_input, gone: wide_row\n"
            "a: own error +5.0 dB, bytes \u221250, new scheme\n"
            "gone: removed\n"
            "new: added\n"
            "0 layers without a change\n");
  const report_changes none = compare_reports(before, before);
  EXPECT_EQ(changes_text(none), "metric 0.000\n4 layers without a change\n");
}

TEST(diagnose_compare_test, a_new_fault_is_worse_than_any_error) {
  network_report before;
  before.layers = {layer("a", 30), layer("b", 30)};
  network_report after = before;
  after.layers[0].own_db = -20;
  after.findings = {{fault::wide_row, 1, 5, -1, 100, "", ""}};
  EXPECT_EQ(compare_reports(before, after).layers[0].name, "b");
  before.layers[0].own_db = after.layers[0].own_db = std::numeric_limits<double>::infinity();
  EXPECT_EQ(compare_reports(before, after).layers[1].own_db.value(), 0.0);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(diagnose_compare_test, names_bad_input) {
  network_report one;
  one.layers = {layer("a", 1)};
  network_report other;
  other.layers = {layer("b", 1)};
  EXPECT_EQ(tests::sentence_of([&] { return compare_reports({}, one); }),
            "fewbit: compare_reports: number of layers of before is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of([&] { return compare_reports(one, {}); }),
            "fewbit: compare_reports: number of layers of after is 0, expected at least 1");
  EXPECT_EQ(
      tests::sentence_of([&] { return compare_reports(one, other); }),
      "fewbit: compare_reports: layer 'b' of after is new, expected at least one layer of both "
      "reports");
}
#endif

}}  // namespace fewbit::diagnose_compare_test
