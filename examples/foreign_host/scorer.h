#ifndef SCORER_H
#define SCORER_H
/* What a host sees of a layer of fewbit: raw pointers, so that the host may be in C or in an old
   C++ and be compiled with flags that fewbit refuses. Matrices are row-major. */

#include <stddef.h>

#if defined(_WIN32)
#define SCORER_EXPORT __declspec(dllexport)
#else
#define SCORER_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct scorer;

struct scorer_functions {
  const char* arch;

  /* Quantizes weights (outputs x inputs) and a bias (outputs). Returns a null pointer and writes a
     sentence to `message`, which holds `capacity` bytes, if they cannot be quantized. */
  struct scorer* (*create)(const float* weights, const float* bias, ptrdiff_t outputs,
                           ptrdiff_t inputs, char* message, size_t capacity);

  /* y (rows x outputs) = x (rows x inputs) times the weights, plus the bias. One call at a time for
     each scorer. */
  void (*run)(struct scorer* s, const float* x, ptrdiff_t rows, float* y);

  void (*destroy)(struct scorer* s);
};

/* One for each instruction set; each in a shared library of its own. */
const struct scorer_functions* scorer_baseline(void);
const struct scorer_functions* scorer_avx2(void);

#ifdef __cplusplus
}
#endif

#endif
