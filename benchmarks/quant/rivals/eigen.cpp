// Benchmarks of Eigen, with one expression for each kind of work.

#include <Eigen/Core>

#include "support/quant_rows.hpp"

namespace fewbit::benchmarks { namespace {

using codes = Eigen::Map<Eigen::Array<std::int8_t, Eigen::Dynamic, 1>>;
using reals = Eigen::Map<Eigen::ArrayXf>;
using row_of_codes = Eigen::Map<Eigen::Array<std::int8_t, 1, Eigen::Dynamic>>;
using row_of_sums = Eigen::Map<const Eigen::Array<std::int32_t, 1, Eigen::Dynamic>>;
using row_of_factors = Eigen::Map<const Eigen::Array<float, 1, Eigen::Dynamic>>;

template <class X, class Codes>
void quantize(const X& x, float factor, float zero_point, float lowest, Codes&& out) {
  out = ((x * factor).rint() + zero_point)
            .cwiseMax(lowest)
            .cwiseMin(127.0F)
            .template cast<std::int32_t>()
            .template cast<std::int8_t>();
}

struct eigen_quantize {
  quantize_case& data;
  void operator()() {
    quantize(reals(data.in.data(), data.in.size()), 1.0F / data.scale, float{data.zero_point},
             -128.0F, codes(data.out.data(), data.out.size()));
  }
};

struct eigen_quantize_rows {
  quantize_rows_case& data;
  void operator()() {
    for (index r = 0; r < data.in.size() / row_length; ++r) {
      const auto row = static_cast<std::size_t>(r);
      const reals x(data.in.data() + r * row_length, row_length);
      codes out(data.out.data() + r * row_length, row_length);
      data.scales[row] = x.abs().maxCoeff() / 127.0F;
      quantize(x, 1.0F / data.scales[row], 0.0F, -127.0F, out);
      data.sums[row] = out.cast<std::int32_t>().sum();
    }
  }
};

struct eigen_dequantize {
  dequantize_case& data;
  void operator()() {
    const codes in(data.in.data(), data.in.size());
    reals(data.out.data(), data.out.size()) = in.cast<float>() * data.scale;
  }
};

struct eigen_requantize {
  requantize_case& data;
  void operator()() {
    const row_of_sums bias(data.bias.data(), row_length);
    const row_of_factors factors(data.factors.data(), row_length);
    for (index r = 0; r < data.in.size() / row_length; ++r) {
      const row_of_sums sums(data.in.data() + r * row_length, row_length);
      row_of_codes(data.out.data() + r * row_length, row_length) =
          (((sums + bias).cast<float>() * factors).rint() + float{data.zero_point})
              .cwiseMax(-128.0F)
              .cwiseMin(127.0F)
              .cast<std::int32_t>()
              .cast<std::int8_t>();
    }
  }
};

[[maybe_unused]] const bool added = [] {
  add_number_rows<quantize_case, eigen_quantize>("eigen");
  add_number_rows<quantize_rows_case, eigen_quantize_rows>("eigen");
  add_number_rows<dequantize_case, eigen_dequantize>("eigen");
  add_number_rows<requantize_case, eigen_requantize>("eigen");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
