// Why is a quantized network worse than in float? ResNet-20 on CIFAR-10 in int8 or int4, diagnosed
// layer by layer. The program writes one HTML page and the same data as JSON.
//
// Read diagnose_with() first. --data names the folder of the data; support/resnet.hpp describes it.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/diagnose/diagnose.hpp"
#include "fewbit/diagnose/sensitivity.hpp"
#include "fewbit/io/report_file.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/network_of_resnet.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/progress.hpp"
#include "support/resnet.hpp"

namespace fewbit::examples {

constexpr index images_in_batch = 16;

/// The first `count` images in batches.
input_batches batches_of(const image_set& images, index count) {
  return {(count + images_in_batch - 1) / images_in_batch, [&images, count](index i) {
            const index first = i * images_in_batch;
            return matrix(normalized(images.rows(first, std::min(images_in_batch, count - first))));
          }};
}

/// Percent of the images whose largest logit is that of their label.
metric_function accuracy_of(const forward_function& forward, const input_batches& batches,
                            const tensor& labels) {
  return [&forward, &batches, &labels](const compute_function& compute) {
    const auto expected = labels.as<std::uint8_t>();
    index right = 0;
    index all = 0;
    for (index b = 0; b < batches.count(); ++b) {
      const matrix logits = forward(batches[b], compute);
      for (index r = 0; r < logits.rows(); ++r, ++all) {
        index best = 0;
        logits.row(r).maxCoeff(&best);
        right += best == expected[static_cast<std::size_t>(all)] ? 1 : 0;
      }
    }
    return 100.0 * static_cast<double>(right) / static_cast<double>(all);
  };
}

/// The steps of a pass as a progress bar on stderr.
progress_function shown(std::string label) {
  return [label = std::move(label)](const pass_step& step) {
    if (step.done == 0 || isatty(STDERR_FILENO) == 1) {
      std::fprintf(stderr, "%s%s: step %td of %td%s", isatty(STDERR_FILENO) == 1 ? "\r" : "",
                   label.c_str(), step.done + 1, step.total,
                   isatty(STDERR_FILENO) == 1 && step.done + 1 < step.total ? "" : "\n");
    }
    return true;
  };
}

/// Integer layers of scheme S, whose time is compared with float.
template <Scheme S>
compute_function in_integers(const layer_list& layers) {
  struct integer_layer {
    conv2d<S> convolution;
    linear<S> head;
  };
  std::vector<integer_layer> made(static_cast<std::size_t>(layers.size()));
  for (index i = 0; i < layers.size(); ++i) {
    const network_layer& l = layers[i];
    integer_layer& to = made[static_cast<std::size_t>(i)];
    const bool relu = l.activation == layer_activation::relu;
    if (l.kind == layer_kind::linear) {
      to.head = linear<S>(l.weights, l.bias, layer_options{relu, {}});
      to.head.reserve(images_in_batch);
    } else {
      to.convolution = conv2d<S>(l.weights, l.image, l.window, l.bias, layer_options{relu, {}});
      to.convolution.reserve(images_in_batch);
    }
  }
  auto kept = std::make_shared<std::vector<integer_layer>>(std::move(made));
  return [&layers, kept](index layer, const matrix& x, matrix& y) {
    integer_layer& l = (*kept)[static_cast<std::size_t>(layer)];
    y.resize(x.rows(), layers[layer].outputs());
    if (layers[layer].kind == layer_kind::linear) {
      l.head(x, y);
    } else {
      l.convolution(x, y);
    }
  };
}

/// The images that a report is of.
struct image_sets {
  const image_set& calibration;
  const image_set& test;
  const tensor& labels;
  index metric_images;
};

/// Weights under S, inputs in int8 by the maximum of calibration.
template <Scheme S>
network_report diagnose_with(const std::vector<float_weights>& weights, const image_sets& images,
                             double allowed_loss) {
  const layer_list layers = layers_of_resnet(weights);
  const forward_function forward = forward_of_resnet(layers);
  const auto seen =
      observe_inputs<histogram_observer>(layers, forward, batches_of(images.calibration, 128),
                                         histogram_observer(), shown("calibration"));
  simulation plan(layers);
  plan.quantize_weights<S>();
  plan.quantize_inputs<int8_per_tensor>(seen, by_max{});

  quantized_network network = as_planned(plan);
  network.weights = measure_weights<S>(layers);
  network.calibrated = calibrated_inputs(seen);
  network.timed = in_integers<S>(layers);
  network_report report =
      diagnose(layers, forward, batches_of(images.test, 64), network, shown("figures"));

  const input_batches test = batches_of(images.test, images.metric_images);
  const metric_function accuracy = accuracy_of(forward, test, images.labels);
  const layer_sensitivity sensitivity =
      measure_sensitivity(layers, accuracy, plan.compute(), shown("sensitivity"));
  add_sensitivity(report, sensitivity);
  add_partial(report, quantize_partially(layers, accuracy, plan.compute(), sensitivity,
                                         allowed_loss, shown("partial quantization")));
  report.metric = "top-1 accuracy";
  rank(report);
  return report;
}

void print_summary(const network_report& report) {
  std::printf("%s: top-1 %.2f %%, float %.2f %%\n", report.title.c_str(), *report.quantized_metric,
              *report.float_metric);
  std::size_t shown_findings = 0;
  for (const finding& f : report.findings) {
    if (++shown_findings > 3) break;
    std::printf("  %s: %s. %s\n", report.layers[static_cast<std::size_t>(f.layer)].name.c_str(),
                f.statement.c_str(), f.advice.c_str());
  }
  std::string kept;
  for (const partial_step& step : report.partial) {
    kept += (kept.empty() ? "" : ", ") + report.layers[static_cast<std::size_t>(step.layer)].name;
  }
  std::printf("  in float to lose at most %.1f points: %s\n", *report.allowed_loss,
              kept.empty() ? "no layer" : kept.c_str());
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR);
  const std::string file = folder + "/resnet/resnet20_cifar10_folded.safetensors";
  if (!std::filesystem::exists(file)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", file.c_str());
    return 1;
  }
  const std::string scheme = given.text("--scheme", "int4");
  if (scheme != "int8" && scheme != "int4") {
    given.wrong("--scheme is " + scheme + ", expected int8 or int4");
  }
  const auto weights = load_weights(file, 3);
  const image_set calibration{read_npy(folder + "/cifar10/calib_images.npy")};
  const image_set test{read_npy(folder + "/cifar10/test_images.npy")};
  const tensor labels = read_npy(folder + "/cifar10/test_labels.npy");
  const index count = given.number("--images", 200, 10, test.count());
  const image_sets images{calibration, test, labels, count};
  network_report report = scheme == "int8" ? diagnose_with<int8_per_row>(weights, images, 0.5)
                                           : diagnose_with<int4_per_row>(weights, images, 0.5);
  report.title = "ResNet-20 on CIFAR-10, " + scheme + " weights, int8 inputs";
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
      argc, argv, "diagnose_network: why a quantized ResNet-20 is worse than in float.",
      {{"--data", "DIR", "folder with resnet/ and cifar10/"},
       {"--scheme", "int8|int4", "of the weights; int4 by default"},
       {"--images", "N", "how many test images the accuracy is of, 200 by default"},
       {"--page", "PATH", "the page, diagnose_network.html by default"},
       {"--json", "PATH", "writes the data as JSON, too"}});
  return fewbit::examples::run(given);
}
