#include "fewbit/io/report_file.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "diagnose/support.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_report_file_test {

using tests::content_of;
using tests::temporary_folder;
using tests::write_content;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

/// A report in which every field has a value.
network_report full_report() {
  auto made = tests::sound_layers();
  made[1].weights.row(37) *= 5000.0F;
  made[0].name = "quote \" backslash \\ line \n tab \t \u00E9";
  network_report report = tests::report_of(made);
  report.title = "title";
  report.cancelled = true;
  report.metric = "accuracy";
  report.float_metric = 91.1;
  report.quantized_metric = -1.0 / 3;
  report.allowed_loss = 0.5;
  report.partial = {{1, 0.1}, {3, 1e-300}};
  report.layers[0].metric_alone = 5e-324;
  report.layers[0].loss = -2;
  report.layers[0].float_seconds = 0.25;
  report.layers[0].quantized_seconds = 0.125;
  report.layers[2].own_db = -std::numeric_limits<double>::infinity();
  rank(report);
  return report;
}

TEST(io_report_file_test, restores_every_bit) {
  const temporary_folder folder;
  const network_report report = full_report();
  write_report_json(folder / "r.json", report);
  EXPECT_EQ(content_of(folder / "r.json"), report_json(report));
  EXPECT_TRUE(read_report(folder / "r.json") == report);
  const network_report empty;
  write_report_json(folder / "r.json", empty);
  EXPECT_TRUE(read_report(folder / "r.json") == empty);
}

TEST(io_report_file_test, json_is_what_another_reader_expects) {
  const network_report report = full_report();
  const auto tree = nlohmann::json::parse(report_json(report));
  EXPECT_EQ(tree["fewbit_report"], 1);
  EXPECT_EQ(tree["layers"].size(), 4U);
  EXPECT_EQ(tree["layers"][0]["name"], report.layers[0].name);
  EXPECT_EQ(tree["layers"][1]["own_db"].get<double>(), report.layers[1].own_db.value());
  EXPECT_EQ(tree["layers"][0]["arriving_db"], "inf");
  EXPECT_EQ(tree["layers"][2]["own_db"], "-inf");
  EXPECT_FALSE(tree["layers"][1].contains("loss"));
  EXPECT_EQ(tree["findings"][0]["fault"], "wide_row");
  EXPECT_EQ(tree["findings"][0]["layer"], 1);
  EXPECT_EQ(tree["findings"][0]["row"], 37);
  EXPECT_EQ(tree["metric"]["quantized"].get<double>(), -1.0 / 3);
  network_report broken = report;
  broken.layers[0].name = "a\xFFz";
  EXPECT_EQ(nlohmann::json::parse(report_json(broken))["layers"][0]["name"], "a\uFFFDz");
}

TEST(io_report_file_test, writes_the_page_wholly_or_not_at_all) {
  const temporary_folder folder;
  network_report report = full_report();
  write_report(folder / "page.html", report);
  EXPECT_EQ(content_of(folder / "page.html"), report_html(report));
  EXPECT_EQ(folder.files(), 1);
#if FEWBIT_HAS_EXCEPTIONS
  report.findings[0].layer = 9;
  EXPECT_EQ(sentence_of([&] { write_report(folder / "page.html", report); }),
            "fewbit: write_report: findings[0].layer is 9, expected a position of 4 layers");
  EXPECT_EQ(sentence_of([&] { write_report_json(folder / "page.html", report); }),
            "fewbit: write_report_json: findings[0].layer is 9, expected a position of 4 layers");
  EXPECT_EQ(content_of(folder / "page.html"), report_html(full_report()));
  EXPECT_EQ(folder.files(), 1);
  const std::string sentence =
      sentence_of([&] { write_report(folder / "none/page.html", full_report()); });
  EXPECT_EQ(sentence.substr(0, 23), "fewbit: write_report: '") << sentence;
#endif
}

#if FEWBIT_HAS_EXCEPTIONS

/// The sentence for a text in which `from` became `to`, without the path.
std::string sentence_for(const std::string& from, const std::string& to) {
  const temporary_folder folder;
  std::string text = report_json(full_report());
  const std::size_t at = text.find(from);
  if (at == std::string::npos) return "not in the text";
  text.replace(at, from.size(), to);
  write_content(folder / "r.json", text);
  std::string sentence = sentence_of([&] { return read_report(folder / "r.json"); });
  const std::size_t path = sentence.find(folder.path());
  if (path != std::string::npos) sentence.erase(path, folder.path().size() + 1);
  return sentence;
}

TEST(io_report_file_test, names_the_field_that_is_wrong) {
  EXPECT_EQ(sentence_for("{", "["),
            "fewbit: read_report: 'r.json' is not JSON, expected the JSON of a report");
  EXPECT_EQ(sentence_for("\"fewbit_report\":1", "\"fewbit_report\":2"),
            "fewbit: read_report: fewbit_report of 'r.json' is 2, expected 1, the version of the "
            "schema");
  EXPECT_EQ(sentence_for("\"title\":\"title\",", ""),
            "fewbit: read_report: title of 'r.json' is missing, expected a value");
  EXPECT_EQ(sentence_for("\"title\":\"title\"", "\"title\":3"),
            "fewbit: read_report: title of 'r.json' is 3, expected a text");
  EXPECT_EQ(sentence_for("\"cancelled\":true", "\"cancelled\":0"),
            "fewbit: read_report: cancelled of 'r.json' is 0, expected true or false");
  EXPECT_EQ(
      sentence_for("\"rows\":64", "\"rows\":-64"),
      "fewbit: read_report: layers[0].rows of 'r.json' is -64, expected an integer, at least 0");
  EXPECT_EQ(
      sentence_for("\"rows\":64", "\"rows\":18446744073709551615"),
      "fewbit: read_report: layers[0].rows of 'r.json' is 18446744073709551615, expected a smaller "
      "integer");
  EXPECT_EQ(
      sentence_for("\"arriving_db\":\"inf\"", "\"arriving_db\":\"much\""),
      "fewbit: read_report: layers[0].arriving_db of 'r.json' is \"much\", expected a number, "
      "\"inf\", \"-inf\" or \"nan\"");
  EXPECT_EQ(
      sentence_for("\"fault\":\"wide_row\"", "\"fault\":\"wide\""),
      "fewbit: read_report: findings[0].fault of 'r.json' is \"wide\", expected the word of a "
      "fault");
  EXPECT_EQ(sentence_for("\"order\":[1", "\"order\":[4"),
            "fewbit: read_report: order[0] is 4, expected a position of 4 layers");
  EXPECT_EQ(sentence_for("\"partial\":[{\"layer\":1", "\"partial\":[{\"layer\":7"),
            "fewbit: read_report: partial[0].layer is 7, expected a position of 4 layers");
  EXPECT_EQ(sentence_for("\"marks\":[", "\"marks\":[5,"),
            "fewbit: read_report: layers[0].inputs.marks[0] of 'r.json' is 5, expected an object");
  EXPECT_EQ(sentence_for("\"row_ranges\":[", "\"row_ranges\":{},\"x\":["),
            "fewbit: read_report: layers[0].row_ranges of 'r.json' is {}, expected a list");
}

TEST(io_report_file_test, refuses_what_is_no_report) {
  const temporary_folder folder;
  for (const char* text : {"", "3", "[]", "{", "{} {}"}) {
    SCOPED_TRACE(text);
    write_content(folder / "r.json", text);
    EXPECT_NE(sentence_of([&] { return read_report(folder / "r.json"); }), "no error");
  }
  EXPECT_NE(sentence_of([&] { return read_report(folder / "missing.json"); }), "no error");
}

#endif

}}  // namespace fewbit::io_report_file_test
