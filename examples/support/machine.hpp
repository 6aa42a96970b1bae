#pragma once
/// Describes the machine of a measurement: processor, instruction set of this build, compiler.

#include <fstream>
#include <string>

#include "fewbit/arch/arch.hpp"
#include "json_text.hpp"

namespace fewbit::examples {

/// The processor name that Linux reports; "unknown" on other systems.
inline std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

inline std::string compiler_name() {
#if defined(__clang__)
  return std::string("clang ") + __clang_version__;
#elif defined(__GNUC__)
  return std::string("gcc ") + __VERSION__;
#else
  return "unknown";
#endif
}

/// Example: "AMD EPYC, avx512_vnni, gcc 12.2.0".
inline std::string machine_name() {
  return processor_name() + ", " + arch::native::name + ", " + compiler_name();
}

inline std::string machine_as_json() {
  return "{\"cpu\": " + json_text(processor_name()) +
         ", \"arch\": " + json_text(arch::native::name) +
         ", \"compiler\": " + json_text(compiler_name()) + "}";
}

}  // namespace fewbit::examples
