// Implements scorer.h in C++20. It is compiled once for each instruction set, without -Ofast, into
// a separate shared library that exports one function: SCORER_NAME.

#include "scorer.h"

#include <cfenv>
#include <cstdio>
#include <exception>
#include <fewbit/fewbit.hpp>
#include <memory>

// Sets the default floating-point environment during a call. A host that is linked with -Ofast
// flushes subnormal numbers to zero, and it can have another rounding mode.
class default_environment {
 public:
  default_environment() noexcept {
    std::fegetenv(&of_the_host_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~default_environment() { std::fesetenv(&of_the_host_); }
  default_environment(const default_environment&) = delete;
  default_environment& operator=(const default_environment&) = delete;

 private:
  std::fenv_t of_the_host_;
};

using matrix = fewbit::row_matrix<float>;

struct scorer {
  fewbit::linear<fewbit::int8_per_row> layer;
  fewbit::index inputs;
  fewbit::index outputs;
};

namespace {

// Catches all exceptions, because host and library can have different C++ runtimes.
scorer* create(const float* weights, const float* bias, std::ptrdiff_t outputs,
               std::ptrdiff_t inputs, char* message, std::size_t capacity) {
  const default_environment environment;
  try {
    const Eigen::Map<const matrix> w(weights, outputs, inputs);
    const Eigen::Map<const Eigen::VectorXf> b(bias, outputs);
    std::unique_ptr<scorer> made(
        new scorer{fewbit::linear<fewbit::int8_per_row>(w, b), inputs, outputs});
    made->layer.reserve(32);  // rows at a time
    return made.release();
  } catch (const std::exception& e) {
    std::snprintf(message, capacity, "%s", e.what());
    return nullptr;
  }
}

void run(scorer* s, const float* x, std::ptrdiff_t rows, float* y) {
  const default_environment environment;
  s->layer(Eigen::Map<const matrix>(x, rows, s->inputs), Eigen::Map<matrix>(y, rows, s->outputs));
}

void destroy(scorer* s) { delete s; }

}  // namespace

extern "C" SCORER_EXPORT const scorer_functions* SCORER_NAME() {
  static constexpr scorer_functions functions{fewbit::arch::native::name, create, run, destroy};
  return &functions;
}
