// Why is a quantized network worse than in float? ResNet-20 or MobileNetV2 in int8 or int4,
// diagnosed layer by layer. The program writes one HTML page and the same data as JSON.
//
// Read diagnose_with() first. --data names the folder of the data; support/real_networks.hpp
// describes it.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/diagnose/diagnose.hpp"
#include "fewbit/diagnose/sensitivity.hpp"
#include "fewbit/io/report_file.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/options.hpp"
#include "support/real_networks.hpp"

namespace fewbit::examples {

constexpr index images_in_batch = 8;

/// The steps of long work on stderr: one line that changes on a terminal, one line elsewhere.
progress_function shown(std::string label) {
  const bool on_terminal = isatty(STDERR_FILENO) == 1;
  return [label = std::move(label), on_terminal](const pass_step& step) {
    const bool is_last = step.done + 1 == step.total;
    if (on_terminal || is_last) {
      std::fprintf(stderr, "%s%s: step %td of %td%s", on_terminal ? "\r" : "", label.c_str(),
                   step.done + 1, step.total, !on_terminal || is_last ? "\n" : "");
    }
    return true;
  };
}

/// Integer layers with weights of scheme S, whose time is compared with float.
template <Scheme S>
class integer_layers {
 public:
  explicit integer_layers(const layer_list& layers) : layers_(layers) {
    for (const network_layer& l : layers) {
      const layer_options options{l.activation != layer_activation::none, {}};
      made_.emplace_back();
      if (l.kind == layer_kind::linear) {
        made_.back().linear = fewbit::linear<S>(l.weights, l.bias, options);
        made_.back().linear.reserve(images_in_batch);
      } else if (l.kind == layer_kind::conv2d) {
        made_.back().conv = conv2d<S>(l.weights, l.image, l.window, l.bias, options, l.groups);
        made_.back().conv.reserve(images_in_batch);
      }
    }
  }

  void operator()(index i, const row_matrix<float>& x, row_matrix<float>& y) {
    const network_layer& l = layers_[i];
    y.resize(x.rows(), l.outputs());
    some_layer& to = made_[static_cast<std::size_t>(i)];
    if (l.kind == layer_kind::linear) to.linear(x, y);
    if (l.kind == layer_kind::conv2d) to.conv(x, y);
  }

 private:
  struct some_layer {
    fewbit::linear<S> linear;
    conv2d<S> conv;
  };

  const layer_list& layers_;
  std::vector<some_layer> made_;
};

/// Weights under S, inputs in int8 by the maximum of calibration.
template <Scheme S>
network_report diagnose_with(const real_network& net, index images, double allowed_loss) {
  const layer_list& layers = net.layers;
  const auto seen = observe_inputs<histogram_observer>(
      layers, net.forward, net.batches(std::min<index>(images, 64), images_in_batch),
      histogram_observer(), shown("calibration"));
  simulation plan(layers);
  plan.quantize_weights<S>();
  plan.quantize_inputs<int8_per_tensor>(seen, by_max{});

  quantized_network network = as_planned(plan);
  network.weights = measure_weights<S>(layers);
  network.calibrated = calibrated_inputs(seen);
  const bool has_depthwise = std::any_of(layers.begin(), layers.end(), [](const auto& l) {
    return l.kind == layer_kind::depthwise_conv2d;
  });
  if (!has_depthwise) {
    network.timed = [made = std::make_shared<integer_layers<S>>(layers)](
                        index layer, const row_matrix<float>& x, row_matrix<float>& y) {
      (*made)(layer, x, y);
    };
  }
  network_report report =
      diagnose(layers, net.forward, net.batches(std::min<index>(images, 64), images_in_batch),
               network, shown("figures"));

  const metric_function metric = net.metric(images);
  const layer_sensitivity sensitivity =
      measure_sensitivity(layers, metric, plan.compute(), shown("sensitivity"));
  add_sensitivity(report, sensitivity);
  add_partial(report, quantize_partially(layers, metric, plan.compute(), sensitivity, allowed_loss,
                                         shown("partial quantization")));
  report.metric = net.unit;
  rank(report);
  return report;
}

void print_summary(const network_report& report) {
  const auto name_of = [&](index i) { return report.layers[static_cast<std::size_t>(i)].name; };
  std::printf("%s: %s %.2f, in float %.2f\n", report.title.c_str(), report.metric.c_str(),
              *report.quantized_metric, *report.float_metric);
  for (std::size_t i = 0; i < std::min<std::size_t>(3, report.findings.size()); ++i) {
    const finding& f = report.findings[i];
    std::printf("  %s: %s. %s\n", name_of(f.layer).c_str(), f.statement.c_str(), f.advice.c_str());
  }
  std::string kept;
  for (const partial_step& step : report.partial) {
    kept += (kept.empty() ? "" : ", ") + name_of(step.layer);
  }
  std::printf("  in float to lose at most %.1f points: %s\n", *report.allowed_loss,
              kept.empty() ? "no layer" : kept.c_str());
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR);
  const std::string which = given.text("--network", "resnet20");
  const std::string scheme = given.text("--scheme", "int4");
  if (which != "resnet20" && which != "mobilenet") {
    given.wrong("--network is " + which + ", expected resnet20 or mobilenet");
  }
  if (scheme != "int8" && scheme != "int4") {
    given.wrong("--scheme is " + scheme + ", expected int8 or int4");
  }
  const std::string needed = folder + (which == "resnet20" ? "/resnet" : "/mobilenetv2_int8");
  if (!std::filesystem::exists(needed)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", needed.c_str());
    return 1;
  }
  const real_network net = which == "resnet20" ? load_resnet(folder, 3) : load_mobilenet(folder);
  const index most = which == "resnet20" ? 6000 : 120;
  const index images = given.number("--images", std::min<index>(200, most), 8, most);
  network_report report = scheme == "int8" ? diagnose_with<int8_per_row>(net, images, 0.5)
                                           : diagnose_with<int4_per_row>(net, images, 0.5);
  report.title = net.name + ", " + scheme + " weights, int8 inputs";
  print_summary(report);
  const std::string page = given.text("--page", "diagnose_network.html");
  write_report(page, report);
  std::printf("page: %s\n", page.c_str());
  if (const std::string path = given.text("--json"); !path.empty()) write_report_json(path, report);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "diagnose_network: why a quantized network is worse than in float.",
      {{"--data", "DIR", "folder with resnet/, cifar10/ and mobilenetv2_int8/"},
       {"--network", "NAME", "resnet20, the default, or mobilenet"},
       {"--scheme", "int8|int4", "of the weights; int4 by default"},
       {"--images", "N", "how many test images the accuracy is of, 200 by default"},
       {"--page", "PATH", "the page, diagnose_network.html by default"},
       {"--json", "PATH", "writes the data as JSON, too"}});
  return fewbit::examples::run(given);
}
