#include "fewbit/diagnose/page.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "diagnose/support.hpp"
#include "fewbit/diagnose/sensitivity.hpp"
#include "io/support.hpp"

namespace fewbit { namespace diagnose_page_test {

using tests::report_of;
using tests::sound_layers;

constexpr const char* hostile = "</script><script>window.planted = 1</script>\"'&<b>\x01\xFF";

/// A report with all that a page can show. The wide row of `second` makes it the worst layer.
network_report full_report() {
  auto made = sound_layers();
  made[1].weights.row(37) *= 5000.0F;
  made[3].name = hostile;
  network_report report = report_of(made);
  report.title = std::string("Test ") + hostile;
  report.metric = "accuracy";
  report.float_metric = 91.5;
  report.quantized_metric = 90.0;
  report.allowed_loss = 0.5;
  report.partial = {{1, 90.75}, {3, 91.25}};
  double loss = 0.25;
  for (layer_figures& l : report.layers) {
    l.loss = loss;
    l.float_seconds = 2e-3;
    l.quantized_seconds = 1e-3 + loss * 1e-3;
    loss *= 2;
  }
  report.layers[2].range_ratio.reset();  // an empty cell sorts last
  rank(report);
  return report;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(diagnose_page_test, needs_no_other_file) {
  const std::string page = report_html(full_report());
  EXPECT_EQ(page.substr(0, 15), "<!DOCTYPE html>");
  EXPECT_FALSE(has(page, "http:"));
  EXPECT_FALSE(has(page, "https:"));
  EXPECT_FALSE(has(page, "src="));
  EXPECT_FALSE(has(page, "url("));
  EXPECT_TRUE(has(page, "default-src 'none'"));
  EXPECT_EQ(page, report_html(full_report())) << "the same bytes each time";
}

TEST(diagnose_page_test, the_script_has_at_most_150_lines) {
  const std::string script = detail::page_script;
  EXPECT_LE(std::count(script.begin(), script.end(), '\n'), 150);
}

TEST(diagnose_page_test, escapes_names_everywhere) {
  const std::string page = report_html(full_report());
  EXPECT_FALSE(has(page, "window.planted = 1</script>"));
  EXPECT_FALSE(has(page, "<b>"));
  EXPECT_FALSE(has(page, "\x01"));
  EXPECT_FALSE(has(page, "\xFF"));
  EXPECT_TRUE(has(page,
                  "&lt;/script&gt;&lt;script&gt;window.planted = 1&lt;/script&gt;&quot;&#39;&amp;"
                  "&lt;b&gt;\uFFFD\uFFFD"));
}

TEST(diagnose_page_test, tells_the_fault_with_channel_and_layer_and_what_to_do) {
  network_report report = full_report();
  const std::string page = report_html(report);
  const std::size_t actions = page.find("What to do first");
  ASSERT_NE(actions, std::string::npos);
  const std::string first = page.substr(actions, 420);
  EXPECT_TRUE(has(first, "href=\"#layer-2\">second</a>: channel 37 is ")) << first;
  EXPECT_TRUE(has(first, "times wider than the median."));
  EXPECT_TRUE(has(first, "Fold batch norm, equalize the layer"));
  report.findings = {detail::wide_row(1, 37, 5250.0, false)};
  EXPECT_TRUE(
      has(report_html(report),
          "channel 37 is 5,250 times wider than the median.</p><p class=\"advice\">Fold batch "
          "norm, use per-channel scales or split it."));
}

TEST(diagnose_page_test, shows_reports_of_few_figures) {
  network_report report;
  EXPECT_TRUE(has(report_html(report), "0 layers"));
  report.layers.resize(1);
  report.layers[0].name = "only";
  EXPECT_TRUE(has(report_html(report), ">only</button>"));
  report.layers[0].own_db = std::numeric_limits<double>::infinity();
  report.layers[0].output_db = -std::numeric_limits<double>::infinity();
  report.layers[0].range_ratio = 0;
  report.layers[0].row_ranges = {0, 0};
  report.layers[0].loss = 0;
  report.partial = {{0, 0}};
  const std::string page = report_html(report);
  EXPECT_TRUE(has(page, "\u221E"));
  EXPECT_FALSE(has(page, "nan"));
  EXPECT_FALSE(has(page, "inf\""));
}

TEST(diagnose_page_test, numbers_read_well) {
  using namespace detail;
  EXPECT_EQ(fixed_text(-1234567.891, 1), "\u22121,234,567.9");
  EXPECT_EQ(fixed_text(-0.004, 2), "0.00");
  EXPECT_EQ(fixed_text(999.96, 1), "1,000.0");
  EXPECT_EQ(times_text(5250), "5,250");
  EXPECT_EQ(times_text(12.34), "12.3");
  EXPECT_EQ(short_text(0.012345), "0.0123");
  EXPECT_EQ(short_text(1e-7), "1.00e-07");
  EXPECT_EQ(short_text(82.4), "82.4");
  EXPECT_EQ(bytes_text(999), "999\u00A0B");
  EXPECT_EQ(bytes_text(1'074'152), "1.07\u00A0MB");
  EXPECT_EQ(percent_text(0.1234), "12.3\u00A0%");
  EXPECT_EQ(percent_text(0.000123), "0.012\u00A0%");
  EXPECT_EQ(percent_text(1e-7), "<0.001\u00A0%");
  EXPECT_EQ(duration_text(0.00123), "1.23\u00A0ms");
  EXPECT_EQ(shortened("model.layers.31.attention.wq", 10), "\u2026ention.wq");
  EXPECT_EQ(shortened("\u00E9\u00E9\u00E9\u00E9", 3), "\u2026\u00E9\u00E9");
}

// ---- in a browser

/// What a program prints to both streams.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 4096> buffer{};
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    text.append(buffer.data(), n);
  }
  ::pclose(pipe);
  return text;
}

/// The program of a browser; empty if there is none.
std::string browser() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    std::string path = output_of(std::string("command -v ") + name);
    if (!path.empty() && path[0] == '/') return path.substr(0, path.find('\n'));
  }
  return {};
}

/// Clicks, types, and writes what the page then shows into an element that the dump holds.
constexpr const char* driver = R"js(<script>
(() => {
  const lines = [];
  if (innerWidth > page_width) document.body.style.width = page_width + 'px';
  const say = (name, value) => lines.push(name + '=' + value);
  const table = document.getElementById('layers');
  const bodies = () => Array.from(table.tBodies).filter(b => !b.hidden);
  const shown = () => bodies().map(b => b.id.slice(6)).join(' ');
  const heads = Array.from(table.tHead.rows[0].cells);
  const head = title => heads.find(c => c.textContent.startsWith(title));
  say('order', shown());
  for (const title of ['Layer', 'Loss', 'Range ratio', 'Own error']) {
    const button = head(title).querySelector('button');
    button.click();
    say(title, shown() + ' ' + head(title).getAttribute('aria-sort'));
    button.click();
    say(title + ' again', shown() + ' ' + head(title).getAttribute('aria-sort'));
  }
  head('#').querySelector('button').click();
  const search = document.getElementById('search');
  const type = words => { search.value = words; search.dispatchEvent(new Event('input')); };
  type('SECOND int8');
  say('filter', shown() + ' ' + document.getElementById('shown').textContent);
  type('no such layer');
  say('nothing', shown() + document.getElementById('none').hidden);
  type('');
  const choice = document.getElementById('choice');
  choice.value = 'wide_row';
  choice.dispatchEvent(new Event('change'));
  say('choice', shown());
  const more = () => getComputedStyle(document.getElementById('more-2')).display;
  say('closed', more());
  const name = document.querySelector('#layer-2 .name');
  name.click();
  say('open', more() + ' ' + name.getAttribute('aria-expanded'));
  location.hash = '#layer-3';
  window.dispatchEvent(new Event('hashchange'));
  say('link', shown() + ' ' + document.getElementById('layer-3').classList.contains('open'));
  document.querySelectorAll('[aria-expanded=false]').forEach(b => b.click());
  say('planted', String(window.planted));
  const wide = document.documentElement;
  say('overflow', wide.scrollWidth > wide.clientWidth);
  const sheet = document.querySelector('.sheet');
  say('sheet overflow', sheet.scrollWidth > sheet.clientWidth);
  const width = part => document.querySelector('#layer-2 ' + part).getBoundingClientRect().width;
  say('name', width('th') >= 140);
  say('figures', width('.inside') >= 300);
  const out = document.createElement('pre');
  out.id = 'driver';
  out.textContent = lines.join('\n') + '\nend';
  document.body.append(out);
})();
</script>)js";

/// What the browser prints for a page: its console on stderr, then the document.
std::string opened(const std::string& page, int width) {
  const tests::temporary_folder folder;
  tests::write_content(folder / "page.html", page);
  return output_of("timeout 120 " + browser() +
                   " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
                   "--enable-logging=stderr --virtual-time-budget=2000 --user-data-dir=" +
                   (folder / "profile") + " --window-size=" + std::to_string(width) +
                   ",1000 --dump-dom file://" + (folder / "page.html"));
}

/// The value of a line that the driver wrote.
std::string value_of(const std::string& dump, const std::string& name) {
  const std::size_t begin = dump.find("<pre id=\"driver\">");
  if (begin == std::string::npos) return "no driver";
  const std::size_t line = dump.find("\n" + name + "=", begin);
  if (line == std::string::npos) return "missing";
  const std::size_t start = line + name.size() + 2;
  return dump.substr(start, dump.find('\n', start) - start);
}

TEST(diagnose_browser_test, sorts_filters_opens_and_fits) {
  if (browser().empty()) GTEST_SKIP() << "no chromium on this machine";
  const std::string page = report_html(full_report());
  for (const int width : {400, 1000, 2000}) {
    SCOPED_TRACE(width);
    // Some browsers have no windows of less than 500 pixels; the driver then narrows the body.
    const std::string dump =
        opened(page + "<script>const page_width = " + std::to_string(width) + ";</script>" + driver,
               width);
    EXPECT_FALSE(has(dump, "CONSOLE")) << dump.substr(0, 2000);
    EXPECT_EQ(value_of(dump, "Layer"), "1 2 3 4 ascending");
    EXPECT_EQ(value_of(dump, "Layer again"), "4 3 2 1 descending");
    EXPECT_EQ(value_of(dump, "Loss"), "4 3 2 1 descending");
    EXPECT_EQ(value_of(dump, "Loss again"), "1 2 3 4 ascending");
    EXPECT_EQ(value_of(dump, "Range ratio").substr(0, 2), "2 ");
    EXPECT_EQ(value_of(dump, "Range ratio").substr(6), "3 descending");
    EXPECT_EQ(value_of(dump, "Range ratio again").substr(4), "2 3 ascending");
    EXPECT_EQ(value_of(dump, "filter"), "2 1 of 4 layers");
    EXPECT_EQ(value_of(dump, "nothing"), "false");
    EXPECT_EQ(value_of(dump, "choice"), "2");
    EXPECT_EQ(value_of(dump, "closed"), "none");
    EXPECT_EQ(value_of(dump, "open").substr(0, 4), width < 760 ? "bloc" : "tabl");
    EXPECT_TRUE(has(value_of(dump, "open"), " true"));
    EXPECT_EQ(value_of(dump, "link").back(), 'e');
    EXPECT_EQ(value_of(dump, "link").size(), 12U) << "all layers are shown again";
    EXPECT_EQ(value_of(dump, "planted"), "undefined");
    EXPECT_EQ(value_of(dump, "overflow"), "false");
    EXPECT_EQ(value_of(dump, "sheet overflow"), "false");
    EXPECT_EQ(value_of(dump, "name"), "true") << "room for the name of a layer";
    EXPECT_EQ(value_of(dump, "figures"), "true") << "room for what opens below it";
  }
}

TEST(diagnose_browser_test, an_error_in_the_console_is_found) {
  if (browser().empty()) GTEST_SKIP() << "no chromium on this machine";
  const std::string page = report_html(full_report()) + "<script>missing.call();</script>";
  EXPECT_TRUE(has(opened(page, 1000), "CONSOLE"));
}

}}  // namespace fewbit::diagnose_page_test
