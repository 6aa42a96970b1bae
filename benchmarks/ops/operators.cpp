// Benchmarks of this library: element-wise operators, pools, softmax, tables, and a copy of codes
// that stay in L2.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/ops/add.hpp"
#include "fewbit/ops/code_table.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "fewbit/ops/softmax.hpp"
#include "support/op_cases.hpp"

namespace fewbit::benchmarks { namespace {

/// One operator and its operands.
template <class Op, class In, class Out>
struct unary_case {
  Op op;
  row_matrix<In> x;
  row_matrix<Out> y;
};

/// A function that runs an operator of one input. Operands are shared by its copies.
template <class In, class Out = In, class Op>
auto unary(const Op& op, index rows, index in, index out) {
  auto data = std::make_shared<unary_case<Op, In, Out>>(
      unary_case<Op, In, Out>{op, random_codes<In>(rows, in), row_matrix<Out>(rows, out)});
  return [data] { data->op(data->x, data->y); };
}

template <class Code>
auto sum_of_tensors() {
  struct operands {
    elementwise_add<Code> op{{0.0571F, 3}, {0.0333F, 7}, {0.0711F, 5}};
    row_matrix<Code> a = random_codes<Code>(1, added_image.size());
    row_matrix<Code> b = random_codes<Code>(1, added_image.size());
    row_matrix<Code> y = row_matrix<Code>(1, added_image.size());
  };
  auto data = std::make_shared<operands>();
  return [data] { data->op(data->a, data->b, data->y); };
}

template <class Code, class Pool>
auto pool_of(const image_extents& image, const window2d& window) {
  const placed_window windows("pool", image, window);
  return unary<Code>(Pool(windows), 1, image.size(), windows.output_pixels() * image.channels);
}

auto copy_of_codes(index bytes) {
  struct operands {
    row_matrix<std::uint8_t> x, y;
  };
  auto data = std::make_shared<operands>(
      operands{random_codes<std::uint8_t>(1, bytes), row_matrix<std::uint8_t>(1, bytes)});
  return [data, bytes] {
    std::memcpy(data->y.data(), data->x.data(), static_cast<std::size_t>(bytes));
  };
}

template <class Code>
void add_rows(const std::string& type) {
  const std::string who = std::string("fewbit_") + arch::native::name;
  const auto row = [&](const std::string& op, const std::string& size, index outputs, auto make) {
    add_op_row(op + "_" + type, who + "/" + size, static_cast<double>(outputs), make);
  };
  row("add", "56x56x256", added_image.size(), [] { return sum_of_tensors<Code>(); });
  row("average_pool_2x2", "56x56x128", averaged_image.size() / 4, [] {
    return pool_of<Code, average_pool2d<Code>>(averaged_image,
                                               {.kernel = {2, 2}, .stride = {2, 2}});
  });
  row("max_pool_3x3", "112x112x64", maximum_image.size() / 4, [] {
    window2d window{.kernel = {3, 3}, .stride = {2, 2}};
    window.padding = same_padding(maximum_image, window);
    return pool_of<Code, max_pool2d<Code>>(maximum_image, window);
  });
  row("table", "56x56x256", added_image.size(), [] {
    return unary<Code>(code_table<Code>({0.05F, 3}, {0.004F, 3}, functions::sigmoid), 1,
                       added_image.size(), added_image.size());
  });
  row("softmax", "128x1024", softmax_rows * softmax_classes, [] {
    return unary<Code>(softmax<Code>(softmax_classes, 0.05F), softmax_rows, softmax_classes,
                       softmax_classes);
  });
  row("table_softmax", "128x1024", softmax_rows * softmax_classes, [] {
    return unary<Code>(table_softmax<Code>(softmax_classes, 0.05F, {1.0F / 256.0F, 0}),
                       softmax_rows, softmax_classes, softmax_classes);
  });
}

[[maybe_unused]] const bool added = [] {
  add_rows<std::int8_t>("s8");
  add_rows<std::uint8_t>("u8");
  for (const index bytes : {index{131072}, added_image.size()}) {
    add_op_row("copy_u8", "memcpy/" + std::to_string(bytes), static_cast<double>(bytes),
               [bytes] { return copy_of_codes(bytes); });
  }
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
