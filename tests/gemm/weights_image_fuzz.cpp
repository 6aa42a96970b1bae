// Arbitrary images are refused, or the weights that view them are multiplied without a read outside
// of the image.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/gemm/multiply.hpp"

namespace {

namespace gemm = fewbit::gemm;
using fewbit::row_matrix;
using int8_bits = gemm::signed_bits<8>;

/// The bytes of an input, one after the other; zeros behind the end.
class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return size_ == 0; }
  std::uint8_t next() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

/// Memory of exactly `size` bytes, so that the sanitizer reports each read behind it.
class exact_memory {
 public:
  explicit exact_memory(std::size_t size)
      : data_(static_cast<std::byte*>(::operator new(size, std::align_val_t{64}))) {}
  exact_memory(const exact_memory&) = delete;
  exact_memory& operator=(const exact_memory&) = delete;
  ~exact_memory() { ::operator delete(data_, std::align_val_t{64}); }
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::byte* data_;
};

template <class Code, class W>
void view_and_multiply(const exact_memory& memory, std::size_t size) {
  try {
    const W w = W::view({memory.data(), size}, gemm::image_check::header);
    row_matrix<Code> a = row_matrix<Code>::Ones(1, w.k());
    if constexpr (requires { w.largest_activation(); }) {
      if (w.largest_activation() < 1) a.setZero();
    }
    constexpr bool has_groups = requires { w.groups(); };
    row_matrix<std::conditional_t<has_groups, float, std::int32_t>> c(1, w.n());
    if constexpr (requires { w.layout().blocks(); }) {
      if (w.layout().blocks() > 1) return;  // needs a stage for blocks
    }
    gemm::multiply(a, w, c);
  } catch (const fewbit::error&) {
  }
}

/// Three bytes of the input change one byte of an image: two of position, one that is added. The
/// header gets a right checksum if `repairs`.
template <class Code, class W>
void change_and_view(const W& w, bool repairs, input& in) {
  std::vector<std::byte> image(static_cast<std::size_t>(w.image_bytes()));
  w.write_image(image);
  const std::size_t size = image.size() - std::min<std::size_t>(in.next(), image.size());
  while (!in.empty()) {
    const std::size_t at = (in.next() * std::size_t{256} + in.next()) % image.size();
    image[at] = static_cast<std::byte>(static_cast<std::uint8_t>(image[at]) + in.next());
  }
  if (repairs) {
    gemm::detail::image_header header;
    std::memcpy(&header, image.data(), sizeof(header));
    header.header_checksum = gemm::detail::checksum_of_header(header);
    std::memcpy(image.data(), &header, sizeof(header));
  }
  const exact_memory memory(size);
  std::memcpy(memory.data(), image.data(), size);
  view_and_multiply<Code, W>(memory, size);
}

}  // namespace

/// Byte 0 chooses the form, bytes 1 and 2 the extents, byte 3 how many bytes are missing at the
/// end. Changes follow.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const int form = in.next();
  const fewbit::index n = in.next() % 70 + 1, k = in.next() + 1;
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Ones(n, k);
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Ones(n, k);
  const std::vector<float> numbers(static_cast<std::size_t>(n * ((k + 31) / 32)), 0.5F);
  const bool repairs = form >= 16;
  switch (form % 5) {
    case 0:
      change_and_view<std::uint8_t>(gemm::pack_int8<std::uint8_t>(w), repairs, in);
      break;
    case 1:
      change_and_view<std::int8_t>(gemm::pack_few_bits<3>(w), repairs, in);
      break;
    case 2:
      change_and_view<std::int8_t>(gemm::pack_grouped<4>(codes, 32, numbers, 8), repairs, in);
      break;
    case 3:
      change_and_view<std::int8_t>(gemm::pack_planes<gemm::binary_bits, gemm::binary_bits>(w),
                                   repairs, in);
      break;
    default:
      change_and_view<std::int8_t>(gemm::pack_table<int8_bits, gemm::ternary_bits>(w), repairs, in);
      break;
  }
  return 0;
}
