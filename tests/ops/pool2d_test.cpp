#include "fewbit/ops/pool2d.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_pool2d_test {

using tests::plain_clamp;
using tests::random_codes;

/// Calls f(code) for the codes of a window inside the image, and returns their number.
template <class T, class F>
index for_codes(const placed_window& p, const T* image, index row, index col, index channel,
                const F& f) {
  index count = 0;
  const auto& [height, width, channels] = p.image();
  const window2d& w = p.window();
  for (index r = 0; r < w.kernel.height; ++r) {
    for (index c = 0; c < w.kernel.width; ++c) {
      const index y = row * w.stride.height - w.padding.top + r * w.dilation.height;
      const index x = col * w.stride.width - w.padding.left + c * w.dilation.width;
      if (y < 0 || y >= height || x < 0 || x >= width) continue;
      f(image[(y * width + x) * channels + channel]);
      ++count;
    }
  }
  return count;
}

template <class T, class F>
row_matrix<T> plain_pool(const placed_window& p, const row_matrix<T>& x, const F& result) {
  const index channels = p.image().channels;
  row_matrix<T> y(x.rows(), p.output_pixels() * channels);
  for (index n = 0; n < x.rows(); ++n) {
    for (index i = 0; i < y.cols(); ++i) {
      const index pixel = i / channels;
      y(n, i) = result(x.data() + n * x.cols(), pixel / p.output().width, pixel % p.output().width,
                       i % channels);
    }
  }
  return y;
}

const std::pair<image_extents, window2d> cases[] = {
    {{8, 10, 64}, {.kernel = {2, 2}, .stride = {2, 2}}},
    {{5, 7, 80}, {.kernel = {2, 2}, .padding = {1, 0, 1, 1}}},
    {{7, 7, 130}, {.kernel = {7, 7}}},
    {{7, 11, 70}, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}}},
    {{6, 9, 65}, {.kernel = {3, 3}, .padding = {0, 1, 1, 2}}},
    {{4, 70, 130}, {.kernel = {3, 3}, .stride = {1, 2}}},  // several groups of windows
    {{9, 6, 17}, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}}},
    {{5, 4, 3}, {.kernel = {3, 2}, .padding = {2, 1, 0, 1}}},
    {{12, 15, 33}, {.kernel = {12, 11}, .stride = {1, 3}}},  // more than 128 pixels
    {{9, 9, 16}, {.kernel = {3, 2}, .dilation = {2, 3}}},
    {{1, 1, 1}, {}},
    {{40, 40, 20}, {.kernel = {1, 1}, .stride = {3, 2}}},
};

template <class T>
class ops_pool2d : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t, std::int16_t>;
TYPED_TEST_SUITE(ops_pool2d, codes);

TYPED_TEST(ops_pool2d, averages_equal_plain_loops) {
  using T = TypeParam;
  for (const auto& placed : cases) {
    const auto& image = placed.first;
    const auto& window = placed.second;
    for (const bool counts : {false, true}) {
      const placed_window p("test", image, window);
      const std::int32_t zero = sizeof(T) == 1 ? 77 : 0;
      const average_pool2d<T> pool(p, {counts, zero, {-90, 100}});
      const row_matrix<T> x = random_codes<T>(3, image.size(), 1);
      const auto expected = plain_pool(p, x, [&](const T* in, index r, index c, index channel) {
        std::int64_t sum = 0;
        index count = for_codes(p, in, r, c, channel, [&](T code) { sum += code; });
        if (counts) {
          sum += zero * (window.taps() - count);
          count = window.taps();
        }
        const std::int64_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
        return plain_clamp<T>(mean, std::is_signed_v<T> ? -90 : 0, 100);
      });
      row_matrix<T> y(3, expected.cols());
      pool(x, y);
      EXPECT_EQ(y, expected) << image.height << " " << counts;
      pool(x, y.setZero(), tests::reverse_executor{});
      EXPECT_EQ(y, expected);
    }
  }
}

TYPED_TEST(ops_pool2d, maxima_equal_plain_loops) {
  using T = TypeParam;
  for (const auto& placed : cases) {
    const auto& image = placed.first;
    const auto& window = placed.second;
    const placed_window p("test", image, window);
    const max_pool2d<T> pool(p, {-120, 120});
    const row_matrix<T> x = random_codes<T>(3, image.size(), 2);
    const auto expected = plain_pool(p, x, [&](const T* in, index r, index c, index channel) {
      int most = -40000;
      for_codes(p, in, r, c, channel, [&](T code) { most = std::max<int>(most, code); });
      return plain_clamp<T>(most, std::is_signed_v<T> ? -120 : 0, 120);
    });
    row_matrix<T> y(3, expected.cols());
    pool(x, y);
    EXPECT_EQ(y, expected) << image.height;
    pool(x, y.setZero(), tests::reverse_executor{});
    EXPECT_EQ(y, expected);
  }
}

TYPED_TEST(ops_pool2d, take_no_images) {
  using T = TypeParam;
  const placed_window p("test", {4, 4, 2}, {.kernel = {2, 2}});
  const row_matrix<T> x(0, 32);
  row_matrix<T> y(0, 18);
  average_pool2d<T>{p}(x, y);
  max_pool2d<T>{p}(x, y);
}

template <class T>
void expect_means() {
  for (int count = 1; count <= 128; ++count) {
    const detail::rounded_mean<T> mean(count);
    using limits = std::numeric_limits<T>;
    for (int sum = limits::min() * count; sum <= limits::max() * count; ++sum) {
      const int expected = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
      const int positive = sum + mean.half() + mean.offset * count;
      ASSERT_EQ(mean(static_cast<std::uint16_t>(positive)), expected + mean.offset)
          << sum << " / " << count;
    }
  }
}

TEST(ops_pool2d_means, are_exact) {
  expect_means<std::int8_t>();
  expect_means<std::uint8_t>();
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_pool2d_errors, name_the_argument) {
  const placed_window padded("test", {4, 4, 2}, {.kernel = {2, 2}, .padding = {2, 0, 0, 0}});
  EXPECT_EQ(tests::sentence_of([&] { return max_pool2d<std::int8_t>(padded); }),
            "fewbit: max_pool2d: padding.top is 2, expected at most 1, so that each window has "
            "pixels of the image");
  const placed_window apart("test", {4, 4, 2},
                            {.kernel = {2, 2}, .dilation = {2, 1}, .padding = {0, 1, 0, 0}});
  EXPECT_EQ(tests::sentence_of([&] { return average_pool2d<std::int8_t>(apart); }),
            "fewbit: average_pool2d: padding is not 0 with dilation, expected 0 with dilation");
  const placed_window large("test", {300, 300, 1}, {.kernel = {300, 300}});
  EXPECT_EQ(
      tests::sentence_of([&] { return average_pool2d<std::int16_t>(large); }),
      "fewbit: average_pool2d: kernel.height * kernel.width is 90000, expected at most 65534");
  const placed_window p("test", {4, 4, 2}, {.kernel = {2, 2}});
  EXPECT_EQ(tests::sentence_of([&] {
              return average_pool2d<std::uint8_t>(p, {true, -1, {}});
            }),
            "fewbit: average_pool2d: options.zero_point is -1, expected 0 to 255");
  EXPECT_EQ(
      tests::sentence_of([&] {
        return max_pool2d<std::uint8_t>(p, {-5, -1});
      }),
      "fewbit: max_pool2d: bounds.lowest is -5, expected at most bounds.highest, -1, and both "
      "around codes 0 to 255");
}
#endif

TEST(ops_pool2d_calls, stop_on_other_shapes) {
  const max_pool2d<std::int8_t> pool(placed_window("test", {4, 4, 2}, {.kernel = {2, 2}}));
  const row_matrix<std::int8_t> x(1, 31);
  row_matrix<std::int8_t> y(1, 18);
  EXPECT_DEATH(pool(x, y), "fewbit: max_pool2d: x.cols\\(\\) is 31, expected 32");
}

}}  // namespace fewbit::ops_pool2d_test
