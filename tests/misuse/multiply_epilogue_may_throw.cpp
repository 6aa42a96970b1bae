// expect: Epilogue
#include "fewbit/gemm/multiply.hpp"

using namespace fewbit;

struct doubled : gemm::stage {
  template <class V>
  V operator()(const V& value, const gemm::at&) const {
    return value + value;
  }
};

void misuse(const row_matrix<std::int8_t>& a, const gemm::int8_weights<std::int8_t>& w,
            row_matrix<std::int32_t>& c) {
  gemm::multiply(a, w, c, doubled{});
}
