// Prints the instructions that each layer of embedded_qmn executes for one image, with smlad and
// with single products, and the bytes of stack. It counts under an emulator that advances the clock
// by 1 ns for each instruction (qemu -icount shift=0).

#include <cstddef>
#include <cstdint>

#include "embedded_qmn_network.hpp"
#include "network.hpp"
#include "print.hpp"

extern "C" std::uint32_t bss_end_[];

namespace {

using namespace fewbit;
using namespace fewbit::examples;

/// The system timer of Cortex-M: counts 24 bits down.
struct system_timer {
  volatile std::uint32_t control, reload, value;
};
system_timer& timer = *reinterpret_cast<system_timer*>(0xE000E010);

/// The clock of the board mps2-an386 is 25 MHz: 40 ns, so 40 instructions. A layer runs 40 times,
/// so ticks are its instructions.
constexpr int instructions_per_tick = 40;

template <class F>
int instructions_of(const F& f) {
  timer.reload = 0xFFFFFF;
  timer.value = 0;
  timer.control = 5;  // on, by the clock of the processor
  const std::uint32_t begin = timer.value;
  for (int i = 0; i < instructions_per_tick; ++i) f();
  return static_cast<int>((begin - timer.value) & 0xFFFFFF);
}

constexpr digits_network network(parameters);
constexpr detail::q7_convolution<arch::no_dual_word> single_conv1(pixel_image, same3x3,
                                                                  parameters.conv1);
constexpr detail::q7_convolution<arch::no_dual_word> single_conv2(network.pool1.output(), same3x3,
                                                                  parameters.conv2);
constexpr detail::q7_linear_layer<arch::no_dual_word> single_linear(network.linear.inputs(),
                                                                    parameters.linear);

digits_network::memory codes;
std::int8_t logits[classes];

/// Fills the memory below the stack pointer, so that the part that a call used can be found.
template <class F>
int stack_bytes_of(const F& f) {
  constexpr std::uint32_t unused = 0xA5C3A5C3;
  auto* const top = static_cast<std::uint32_t*>(__builtin_frame_address(0)) - 16;
  for (volatile std::uint32_t* p = bss_end_; p < top; ++p) *p = unused;
  f();
  const volatile std::uint32_t* lowest = bss_end_;
  while (*lowest == unused) ++lowest;
  return static_cast<int>((top - lowest) * 4);
}

template <class F>
[[gnu::noinline]] void print_cost(const char* name, int products, const F& f) {
  const int stack = stack_bytes_of(f);
  const int instructions = instructions_of(f);
  print_line(name, " instructions ", instructions, ", products ", products, ", stack ", stack);
}

}  // namespace

int main() {
  const std::span<std::int8_t> even(codes.even), odd(codes.odd);
  const auto conv1 = [&](const auto& layer) { layer(images[0], even); };
  const auto conv2 = [&](const auto& layer) { layer(odd, even.first<256>()); };
  const auto linear = [&](const auto& layer) { layer(odd.first<64>(), logits); };
  constexpr int products1 = 22 * 22 * 8, products2 = 10 * 10 * 8 * 16, products3 = 64 * 10;
  print_cost("conv1  smlad ", products1, [&] { conv1(network.conv1); });
  print_cost("conv1  single", products1, [&] { conv1(single_conv1); });
  print_cost("pool1        ", 0, [&] { network.pool1(even, odd); });
  print_cost("conv2  smlad ", products2, [&] { conv2(network.conv2); });
  print_cost("conv2  single", products2, [&] { conv2(single_conv2); });
  print_cost("pool2        ", 0, [&] { network.pool2(even.first<256>(), odd.first<64>()); });
  print_cost("linear smlad ", products3, [&] { linear(network.linear); });
  print_cost("linear single", products3, [&] { linear(single_linear); });
  print_cost("network      ", products1 + products2 + products3,
             [&] { network(images[0], codes, logits); });
  return 0;
}
