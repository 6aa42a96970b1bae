// Runs a small convolutional network on a microcontroller: int8 codes with power-of-two scales, so
// that no float is computed. The program uses no heap, no exceptions and no streams.
//
// The same source runs on a host and on a Cortex-M4 without floating-point unit, and prints the
// same codes. Weights and images are arrays in constant memory; the build writes them with
// embedded_qmn/make_network.cpp. The network is in embedded_qmn/network.hpp.

#include <array>
#include <cstddef>
#include <cstdint>

#include "embedded_qmn/network.hpp"
#include "embedded_qmn/print.hpp"
#include "embedded_qmn_network.hpp"  // written by make_network: parameters, images, labels

namespace {

using namespace fewbit::examples;

// The compiler checks all shapes and shifts, and puts the layers into constant memory.
constexpr digits_network network(parameters);

// The memory that the network needs beside its constants.
digits_network::memory codes;
std::array<std::int8_t, classes> logits;

}  // namespace

int main() {
  int right = 0;
  for (std::size_t i = 0; i < image_count; ++i) {
    network(images[i], codes, logits);
    const int found = largest(logits);
    if (found == labels[i]) ++right;
    print("codes");
    for (const std::int8_t code : logits) {
      print(" ");
      print(code);
    }
    print_line(": found ", found, ", label ", int{labels[i]});
  }
  print_line(right, " of ", static_cast<int>(image_count), " images are right");
  return right >= static_cast<int>(image_count) * 9 / 10 ? 0 : 1;
}
