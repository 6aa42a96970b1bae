// Whole networks that others quantized, through the runner of the examples: outputs bit for bit,
// and every operator of MobileNetV2 by its checksum.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "conformance/report.hpp"
#include "fewbit/quant/modes.hpp"
#include "graph_runner.hpp"
#include "npy.hpp"
#include "progress.hpp"
#include "support/data.hpp"

namespace fewbit { namespace conformance_networks_test {

using examples::graph;
using examples::graph_runner;
using examples::tensor;
using tests::conformance_report;
using tests::data_dir;

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) { return path.string(); }

nlohmann::json json_of(const fs::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

/// CRC-32 as zlib computes it.
std::uint32_t crc32_of(std::span<const std::int8_t> codes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::int8_t code : codes) {
    crc ^= static_cast<std::uint8_t>(code);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

index largest(std::span<const std::int8_t> scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

/// Image i of a tensor of images.
template <class T>
std::span<const T> image(const tensor& images, index i) {
  const auto size = static_cast<std::size_t>(images.size() / images.shape[0]);
  return images.as<T>().subspan(static_cast<std::size_t>(i) * size, size);
}

/// How many images a network classifies as labelled.
class accuracy {
 public:
  explicit accuracy(const fs::path& labels) {
    if (fs::exists(labels)) labels_ = examples::read_npy(text_of(labels));
  }
  void add(index i, std::span<const std::int8_t> scores) {
    if (i >= labels_.size()) return;
    ++all_;
    if (largest(scores) == label(i)) ++right_;
  }
  [[nodiscard]] index all() const { return all_; }
  [[nodiscard]] double percent() const {
    return 100.0 * static_cast<double>(right_) / static_cast<double>(std::max(all_, index{1}));
  }
  [[nodiscard]] std::string text() const {
    return std::to_string(right_) + " of " + std::to_string(all_) + " right";
  }

 private:
  [[nodiscard]] index label(index i) const {
    const auto at = static_cast<std::size_t>(i);
    if (labels_.type == examples::element::i16) return labels_.as<std::int16_t>()[at];
    return labels_.as<std::uint8_t>()[at];
  }

  tensor labels_;
  index all_ = 0;
  index right_ = 0;
};

/// baselines.json, or nothing.
nlohmann::json baselines(const char* part) {
  const fs::path path = data_dir() / "baselines.json";
  if (!fs::exists(path)) return nlohmann::json::object();
  return json_of(path).value(part, nlohmann::json::object());
}

// ---- mlperf_tiny

/// A network with its files in mlperf_tiny/, found by the words that their names begin with.
struct network_files {
  std::string graph;
  std::string inputs;
  std::string outputs;
  std::string labels;

  friend std::ostream& operator<<(std::ostream& out, const network_files& f) {
    return out << f.graph;
  }
};

bool contains(const std::string& name, const std::string& word) {
  return name.find(word) != std::string::npos;
}

/// "kws" of "kws_dscnn_int8.graph.json" and of "kws01_labels.npy".
bool shares_word(const std::string& file, const std::string& network) {
  const std::string word = network.substr(0, network.find('_'));
  std::string other = file.substr(0, file.find('_'));
  if (other == word) return true;
  while (!other.empty() && other.back() >= '0' && other.back() <= '9') other.pop_back();
  return other == word;
}

/// The top-1 accuracy of a network in baselines.json, in percent, or a NaN. Some are those of more
/// images than the folder holds.
double baseline_of(const std::string& network) {
  const nlohmann::json all = baselines("mlperf_tiny");
  for (const auto& [key, numbers] : all.items()) {
    if (!shares_word(key, network)) continue;
    for (const auto& [name, number] : numbers.items()) {
      if (name == "int8_top1" || name.starts_with("top1")) return number.get<double>();
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

/// Whether both names have a word in common that names a network.
bool shares_any_word(const std::string& file, const std::string& network) {
  const std::string words = "_" + network.substr(0, network.find('.')) + "_";
  for (std::size_t from = 0; from < file.size();) {
    const std::size_t end = std::min(file.find_first_of("_.", from), file.size());
    const std::string word = file.substr(from, end - from);
    from = end + 1;
    const bool is_common = word == "int8" || word == "cifar10" || word == "large";
    if (word.size() > 1 && !is_common && contains(words, "_" + word + "_")) return true;
  }
  return false;
}

network_files files_of(const std::string& name, const std::vector<std::string>& all) {
  network_files found{name, "", "", ""};
  const auto set = [](std::string& which, const std::string& file) {
    if (which.empty()) which = "mlperf_tiny/" + file;
  };
  for (const auto& belongs : {shares_word, shares_any_word}) {
    for (const std::string& file : all) {
      if (!file.ends_with(".npy") || !belongs(file, name)) continue;
      if (contains(file, "int8_output")) {
        set(found.outputs, file);
      } else if (contains(file, "labels")) {
        set(found.labels, file);
      } else if (!contains(file, "float") && !contains(file, "output")) {
        set(found.inputs, file);
      }
    }
  }
  if (found.inputs.empty() && contains(name, "cifar10") &&
      tests::has_data("cifar10/test_images.npy")) {
    found.inputs = "cifar10/test_images.npy";
    found.labels = "cifar10/test_labels.npy";
  }
  return found;
}

/// All int8 graphs of mlperf_tiny/.
std::vector<network_files> networks() {
  std::vector<std::string> all;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(data_dir() / "mlperf_tiny", ignored))
    all.push_back(entry.path().filename().string());
  std::sort(all.begin(), all.end());
  std::vector<network_files> found;
  for (const std::string& name : all) {
    if (name.ends_with(".graph.json") && !contains(name, "_float"))
      found.push_back(files_of(name, all));
  }
  if (found.empty()) found.push_back({"missing", "", "", ""});
  return found;
}

std::string network_name(const testing::TestParamInfo<network_files>& info) {
  return info.param.graph.substr(0, info.param.graph.find('.'));
}

/// Inputs as codes: int8 as they are, bytes of images moved to the zero point, floats quantized.
std::vector<std::int8_t> input_codes(const tensor& inputs, index i, const quant_params& params) {
  std::vector<std::int8_t> codes;
  switch (inputs.type) {
    case examples::element::i8: {
      const auto x = image<std::int8_t>(inputs, i);
      return {x.begin(), x.end()};
    }
    case examples::element::u8:
      for (const std::uint8_t x : image<std::uint8_t>(inputs, i))
        codes.push_back(static_cast<std::int8_t>(x + params.zero_point));
      return codes;
    default:
      for (const float x : image<float>(inputs, i)) {
        codes.push_back(static_cast<std::int8_t>(
            onnx::quantize<std::int8_t>(x, params.scale, params.zero_point)));
      }
      return codes;
  }
}

class mlperf_tiny : public testing::TestWithParam<network_files> {};

TEST_P(mlperf_tiny, network) {
  FEWBIT_SKIP_WITHOUT_DATA("mlperf_tiny");
  const network_files& files = GetParam();
  tests::counted result("mlperf_tiny " + files.graph.substr(0, files.graph.find('.')));
  if (files.inputs.empty() || files.outputs.empty()) {
    result.skip("no inputs or outputs");
    GTEST_SKIP() << "no inputs or outputs of " << files.graph;
  }
  const graph g = examples::read_graph(text_of(data_dir() / "mlperf_tiny" / files.graph));
  graph_runner runner(g);
  const tensor inputs = examples::read_npy(text_of(data_dir() / files.inputs));
  const tensor outputs = examples::read_npy(text_of(data_dir() / files.outputs));
  accuracy right(files.labels.empty() ? fs::path() : data_dir() / files.labels);
  const index count = std::min(inputs.shape[0], outputs.shape[0]);
  ASSERT_GE(count, 1);
  ASSERT_EQ(inputs.size() / inputs.shape[0], g.input().size());
  ASSERT_EQ(outputs.size() / outputs.shape[0], g.output().size());
  examples::progress progress(files.graph, count);
  index different = 0;
  for (index i = 0; i < count; ++i) {
    runner.run(input_codes(inputs, i, g.input().params));
    const auto y = runner.output();
    const auto expected = image<std::int8_t>(outputs, i);
    if (!std::equal(y.begin(), y.end(), expected.begin(), expected.end()) && different++ == 0)
      ADD_FAILURE() << "output " << i << " differs";
    right.add(i, y);
    progress.update(i + 1);
  }
  EXPECT_EQ(different, 0) << "of " << count << " outputs differ";
  if (right.all() == 0) return;
  std::printf("%s: %s\n", files.graph.c_str(), right.text().c_str());
  const double want = baseline_of(files.graph);
  if (!std::isnan(want)) {
    EXPECT_NEAR(right.percent(), want, 1.0);
  }
}

INSTANTIATE_TEST_SUITE_P(, mlperf_tiny, testing::ValuesIn(networks()), network_name);

// ---- mobilenetv2_int8

/// Codes of an image, channel by channel: rint(((u8 / 255 - mean) / std) / scale) + zero point, in
/// float.
class mobilenet_inputs {
 public:
  explicit mobilenet_inputs(const quant_params& params) {
    constexpr std::array<float, 3> mean{0.485F, 0.456F, 0.406F}, deviation{0.229F, 0.224F, 0.225F};
    for (std::size_t c = 0; c < 3; ++c) {
      for (int byte = 0; byte < 256; ++byte) {
        const float real = (static_cast<float>(byte) / 255.0F - mean[c]) / deviation[c];
        const float code =
            std::nearbyint(real / params.scale) + static_cast<float>(params.zero_point);
        codes_[c][static_cast<std::size_t>(byte)] =
            static_cast<std::int8_t>(std::clamp(code, -128.0F, 127.0F));
      }
    }
  }

  [[nodiscard]] std::vector<std::int8_t> operator()(std::span<const std::uint8_t> rgb) const {
    const std::size_t pixels = rgb.size() / 3;
    std::vector<std::int8_t> codes(rgb.size());
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t p = 0; p < pixels; ++p) codes[c * pixels + p] = codes_[c][rgb[3 * p + c]];
    }
    return codes;
  }

 private:
  std::array<std::array<std::int8_t, 256>, 3> codes_{};
};

fs::path mobilenet() { return data_dir() / "mobilenetv2_int8"; }

TEST(mobilenetv2_int8, every_operator_has_the_checksum_of_the_trace) {
  FEWBIT_SKIP_WITHOUT_DATA("mobilenetv2_int8/trace_image0.json");
  FEWBIT_SKIP_WITHOUT_DATA("mobilenetv2_int8/mobilenetv2_int8.graph.json");
  const nlohmann::json trace = json_of(mobilenet() / "trace_image0.json");
  const graph g = examples::read_graph(text_of(mobilenet() / "mobilenetv2_int8.graph.json"));
  graph_runner runner(g, {.folds_padding = false});
  const tensor images = examples::read_npy(text_of(mobilenet() / "images.npy"));
  const auto x = mobilenet_inputs(g.input().params)(
      image<std::uint8_t>(images, trace.at("image_index_in_images_npy").get<index>()));
  const auto hex = [](std::uint32_t crc) {
    char text[9];
    std::snprintf(text, sizeof text, "%08x", crc);
    return std::string(text);
  };
  EXPECT_EQ(hex(crc32_of(x)), trace.at("input_crc32").get<std::string>()) << "of the input";
  auto& counts = conformance_report::instance().of("mobilenetv2_int8 operators");
  counts.all += static_cast<int>(trace.at("ops").size());
  std::vector<std::string> checksums(g.ops.size());
  runner.run(x, [&](index op, std::span<const std::int8_t> y, double) {
    checksums[static_cast<std::size_t>(op)] = hex(crc32_of(y));
  });
  std::string last;
  for (const nlohmann::json& entry : trace.at("ops")) {
    const auto i = entry.at("op_index").get<std::size_t>();
    const std::string want = entry.at("crc32").get<std::string>();
    // A RESHAPE does not run: its output is that of the operator before.
    const std::string got = checksums[i].empty() ? last : checksums[i];
    EXPECT_EQ(got, want) << "operator " << i << ", " << entry.at("op");
    if (got == want) ++counts.passed;
    last = got;
  }
}

TEST(mobilenetv2_int8, logits_of_all_images_are_equal) {
  FEWBIT_SKIP_WITHOUT_DATA("mobilenetv2_int8/reference_logits_int8.npy");
  FEWBIT_SKIP_WITHOUT_DATA("mobilenetv2_int8/mobilenetv2_int8.graph.json");
  const graph g = examples::read_graph(text_of(mobilenet() / "mobilenetv2_int8.graph.json"));
  graph_runner runner(g);
  const tensor images = examples::read_npy(text_of(mobilenet() / "images.npy"));
  const tensor logits = examples::read_npy(text_of(mobilenet() / "reference_logits_int8.npy"));
  ASSERT_EQ(images.shape[0], logits.shape[0]);
  const mobilenet_inputs codes_of(g.input().params);
  accuracy right(mobilenet() / "labels.npy");
  auto& counts = conformance_report::instance().of("mobilenetv2_int8 images");
  const index count = images.shape[0];
  examples::progress progress("mobilenetv2_int8", count);
  for (index i = 0; i < count; ++i) {
    runner.run(codes_of(image<std::uint8_t>(images, i)));
    const auto y = runner.output();
    const auto expected = image<std::int8_t>(logits, i);
    const bool is_equal = std::equal(y.begin(), y.end(), expected.begin(), expected.end());
    EXPECT_TRUE(is_equal) << "image " << i;
    ++counts.all;
    if (is_equal) ++counts.passed;
    right.add(i, y);
    progress.update(i + 1);
  }
  std::printf("mobilenetv2_int8: %s, %td KiB of arena\n", right.text().c_str(),
              runner.arena_bytes() / 1024);
  const nlohmann::json vendor =
      baselines("mobilenetv2")
          .value("vendor_int8_graph_vs_dequantised_float", nlohmann::json::object());
  if (right.all() == 120 && vendor.contains("int8_top1")) {
    EXPECT_NEAR(right.percent(), vendor["int8_top1"].get<double>(), 0.001);
  }
}

}}  // namespace fewbit::conformance_networks_test
