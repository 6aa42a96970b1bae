// Networks that others quantized, quantized anew: MobileNetV2 for images, DS-CNN for spoken
// keywords.
//
// The weights of the graph are dequantized. The float network of these weights is calibrated on
// some inputs, quantized, and run in integers alone. The table compares it with the float network
// and with the graph of the vendor. Read network_rows() first, then support/float_network.hpp.
// --data names the folder of the data:
//   mobilenetv2_int8/mobilenetv2_int8.graph.json, .safetensors  the vendor's graph
//   mobilenetv2_int8/images.npy                   u8 [n, 224, 224, 3], RGB
//   mobilenetv2_int8/labels.npy                   i16 [n]
//   mobilenetv2_int8/reference_logits_int8.npy    i8 [n, 1000], outputs of the vendor's graph
//   mlperf_tiny/kws_dscnn_{float,int8}.graph.json, .safetensors
//   mlperf_tiny/kws01_features_i8.npy             i8 [n, 49, 10, 1], codes of the int8 graph
//   mlperf_tiny/kws01_labels.npy                  u8 [n]
//   mlperf_tiny/kws01_int8_output.npy             i8 [n, 12], outputs of the int8 graph

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/classification.hpp"
#include "support/float_network.hpp"
#include "support/graph.hpp"
#include "support/graph_network.hpp"
#include "support/integer_network.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/pixels.hpp"
#include "support/weight_bytes.hpp"

namespace fewbit::examples {

using codes = row_matrix<std::uint8_t>;

template <class T>
std::vector<index> labels_of(const tensor& labels) {
  const auto all = labels.as<T>();
  return {all.begin(), all.end()};
}

/// A network and its inputs, once as floats and once as codes.
struct task {
  graph network;
  tensor inputs;
  tensor vendor_outputs;
  std::vector<index> labels;
  quant_params input_params;
  index calibration;  // how many inputs, from the first on

  [[nodiscard]] index count() const { return inputs.shape[0]; }
};

// ---- MobileNetV2

struct mobilenet : task {
  pixel_encoder encode_pixels;

  mobilenet(const std::string& folder, index samples)
      : task{read_graph(folder + "/mobilenetv2_int8.graph.json"),
             read_npy(folder + "/images.npy"),
             read_npy(folder + "/reference_logits_int8.npy"),
             labels_of<std::int16_t>(read_npy(folder + "/labels.npy")),
             pixel_encoder::params(),
             samples} {}

  [[nodiscard]] matrix real(index i) const {
    return normalized(inputs.matrix<std::uint8_t>().row(i));
  }
  [[nodiscard]] codes encoded(index i) const {
    return encode_pixels(inputs.matrix<std::uint8_t>().row(i));
  }
};

// ---- keywords

/// The features are int8 codes of the vendor's graph. 128 more make them uint8.
struct keywords : task {
  keywords(const std::string& folder, index samples)
      : task{read_graph(folder + "/kws_dscnn_float.graph.json"),
             read_npy(folder + "/kws01_features_i8.npy"),
             read_npy(folder + "/kws01_int8_output.npy"),
             labels_of<std::uint8_t>(read_npy(folder + "/kws01_labels.npy")),
             read_graph(folder + "/kws_dscnn_int8.graph.json").input().params,
             samples} {
    input_params.zero_point += 128;
  }

  [[nodiscard]] matrix real(index i) const {
    const auto zero = static_cast<float>(input_params.zero_point);
    return (encoded(i).cast<float>().array() - zero) * input_params.scale;
  }
  [[nodiscard]] codes encoded(index i) const {
    return (inputs.matrix<std::int8_t>().row(i).cast<int>().array() + 128).cast<std::uint8_t>();
  }
};

// ---- the table

template <class Task>
void network_rows(const Task& task, classification& all) {
  float_network real(input_image(task.network));
  describe_graph(task.network, real);
  const index calibration = std::min(task.calibration, task.count());
  const auto seen = watch("calibration", real, calibration, 1,
                          [&](index i, index /*one*/) { return task.real(i); });

  all.add("float32", float_weight_bytes(real.layers()),
          [&](index i) { return best_of(real.run(task.real(i)).reshaped()); });
  const auto add_integers = [&](const std::string& name, std::vector<quant_params> params) {
    params[0] = task.input_params;
    integer_network<> integers(input_image(task.network), std::move(params));
    describe_graph(task.network, integers);
    all.add(name, weight_bytes<int8_per_row>(real.layers()),
            [&](index i) { return best_of(integers.run(task.encoded(i)).reshaped()); });
    return integers.arena_bytes();
  };
  add_integers("integers, max", choose(seen, by_max{}));
  add_integers("integers, percentile 99.99", choose(seen, by_percentile{99.99}));
  const index arena = add_integers("integers, mse", choose(seen, by_mse{}));
  all.add_given("the vendor's graph", [&](index i) {
    return best_of(task.vendor_outputs.template matrix<std::int8_t>().row(i));
  });
  all.results().print();
  std::printf("\n%td inputs, the first %td of them calibrate; arena: %td bytes;\n", task.count(),
              calibration, arena);
  std::printf("images per second of processor time: %s\n", machine_name().c_str());
}

int run(const options& given) {
  const std::string data = given.text("--data", FEWBIT_DATA_DIR);
  const std::string network = given.text("--network", "mobilenetv2");
  if (network != "mobilenetv2" && network != "keywords")
    given.wrong("--network is " + network + ", expected mobilenetv2 or keywords");
  const bool images = network == "mobilenetv2";
  const std::string folder = data + (images ? "/mobilenetv2_int8" : "/mlperf_tiny");
  if (!std::filesystem::exists(folder)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", folder.c_str());
    return 1;
  }
  const index calibration = given.number("--calibration", images ? 40 : 80, 1, 100);
  const auto compare = [&](const auto& task) {
    classification all("requantized_graphs", task.labels);
    network_rows(task, all);
    if (const std::string path = given.text("--json"); !path.empty())
      all.results().write_json(path);
  };
  if (images) {
    compare(mobilenet(folder, calibration));
  } else {
    compare(keywords(folder, calibration));
  }
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "requantized_graphs: networks of others, quantized anew, in integers alone.",
      {{"--data", "DIR", "folder with mobilenetv2_int8/ and mlperf_tiny/"},
       {"--network", "NAME", "mobilenetv2, the default, or keywords"},
       {"--calibration", "N", "how many inputs calibrate: 40 images, 80 features by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
