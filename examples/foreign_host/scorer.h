#ifndef SCORER_H
#define SCORER_H
/* The interface of a fewbit layer for a host. It has only raw pointers, so the host can be in C or an
   older C++, and can use flags that fewbit refuses. Matrices are row-major. */

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

  /* Quantizes weights (outputs x inputs), and copies a bias (outputs). On an error, returns a null
     pointer and writes a sentence to `message`, which has `capacity` bytes. */
  struct scorer* (*create)(const float* weights, const float* bias, ptrdiff_t outputs,
                           ptrdiff_t inputs, char* message, size_t capacity);

  /* y = x weights^T + bias, where x is rows x inputs and y is rows x outputs. Do not call it from two
     threads for the same scorer. */
  void (*run)(struct scorer* s, const float* x, ptrdiff_t rows, float* y);

  void (*destroy)(struct scorer* s);
};

/* One function for each instruction set, each in a separate shared library. */
const struct scorer_functions* scorer_baseline(void);
const struct scorer_functions* scorer_avx2(void);

#ifdef __cplusplus
}
#endif

#endif
