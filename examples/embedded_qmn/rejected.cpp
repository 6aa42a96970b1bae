// Not a part of the example: multiplies floats and allocates, which check_cortex_m4.cmake must
// find.

#include <cstdlib>

float* rejected(float a, float b) {
  auto* const product = static_cast<float*>(std::malloc(sizeof(float)));
  *product = a * b;
  return product;
}
