#pragma once
/// Carries out a plan: reads rows, quantizes them with all threads, writes them in order.
///
/// A tensor is read in waves of chunks of rows. Threads quantize the chunks of one wave while one
/// of them writes those of the wave before. So the resident memory depends on the size of a wave
/// and of a row, and not on the size of a tensor.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "error_sums.hpp"
#include "failure.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/io/gguf_quantized.hpp"
#include "output.hpp"
#include "plan.hpp"
#include "progress.hpp"
#include "source.hpp"
#include "values.hpp"

namespace fewbit::examples::checkpoint {

struct convert_options {
  std::string out;
  int threads = 1;
  bool verifies = false;
  bool is_quiet = false;
};

/// Numbers of a chunk and of a wave. A chunk has at least one row, a wave at least one chunk.
inline constexpr index chunk_numbers = index{1} << 16;
inline constexpr index wave_numbers = index{1} << 21;

/// How the rows of a matrix are cut.
struct chunking {
  index rows_of_chunk;
  index chunks;
  index chunks_of_wave;

  explicit chunking(const matrix_shape& shape)
      : rows_of_chunk(std::clamp(chunk_numbers / shape.cols, index{1}, shape.rows)),
        chunks((shape.rows + rows_of_chunk - 1) / rows_of_chunk),
        chunks_of_wave(std::max(index{1}, wave_numbers / (rows_of_chunk * shape.cols))) {}

  [[nodiscard]] index first(index chunk) const { return chunk * rows_of_chunk; }
  [[nodiscard]] index rows(index chunk, const matrix_shape& shape) const {
    return std::min(rows_of_chunk, shape.rows - first(chunk));
  }
};

/// The most resident memory that a conversion adds to what the program has now, in bytes.
[[nodiscard]] inline std::uint64_t added_memory(const plan& todo, bool verifies) {
  constexpr std::uint64_t base = std::uint64_t{16} << 20;
  std::uint64_t wave = 0, matrix = 0;
  for (const planned_tensor& t : todo.tensors) {
    if (t.what == action::keep) continue;
    const auto row = static_cast<std::uint64_t>(t.shape.cols) * sizeof(float);
    wave = std::max(wave, std::max(row, wave_numbers * sizeof(float)));
    matrix = std::max(matrix, t.bytes_after);
  }
  // Converting: floats of a wave, in the file and decoded; bytes of two waves; importance of
  // columns. Verifying: codes of a matrix, in the file and in memory.
  return base + std::max(4 * wave, verifies ? 2 * matrix : 0);
}

/// The mean square of each input of a tensor, from its calibration data: the data themselves if
/// they are a vector, else over all rows in their order.
[[nodiscard]] inline std::vector<float> importance_of(const source& file,
                                                      const source_tensor& inputs, index cols) {
  const matrix_shape shape{inputs.size() / cols, cols};
  const value_reader reader = values_of_tensor(file, inputs, shape);
  std::vector<float> result(static_cast<std::size_t>(cols));
  const chunking cut(shape);
  std::vector<double> sums(result.size());
  for (index chunk = 0; chunk < cut.chunks; ++chunk) {
    const row_matrix<float> x = reader.rows(cut.first(chunk), cut.rows(chunk, shape));
    for (index r = 0; r < x.rows(); ++r) {
      for (index c = 0; c < cols; ++c) {
        const double value = x(r, c);
        sums[static_cast<std::size_t>(c)] += inputs.shape.size() < 2 ? value : value * value;
      }
    }
  }
  for (std::size_t c = 0; c < result.size(); ++c) {
    result[c] = static_cast<float>(sums[c] / static_cast<double>(shape.rows));
  }
  or_exit(exit_input, [&] {
    detail::expect_valid_importance(("calibration of " + inputs.name).c_str(), result, cols);
  });
  return result;
}

/// Quantizes the tensors of a plan.
class conversion {
 public:
  conversion(const plan& todo, const convert_options& options)
      : todo_(todo),
        options_(options),
        team_{options.threads},
        progress_(todo.in->bytes(), options.is_quiet),
        out_(options.out, todo.out_format, options.verifies ? read_back::compare : read_back::no) {}

  /// @return  the error sums of each tensor of the plan; 0 for those that are not quantized
  std::vector<error_sums> run() {
    out_.declare(todo_);
    std::vector<error_sums> sums;
    for (const planned_tensor& t : todo_.tensors) {
      sums.emplace_back();
      if (t.what == action::keep) {
        copy(t);
      } else {
        sums.back() = t.what == action::quantize ? quantize(t) : unpack(t);
      }
      done_ += t.bytes_before();
    }
    expect_no_signal();
    out_.close();
    progress_.finish();
    return sums;
  }

 private:
  void copy(const planned_tensor& t) {
    const std::uint64_t size = t.bytes_before();
    constexpr std::uint64_t most = std::uint64_t{1} << 20;
    std::vector<std::byte> bytes;
    for (std::uint64_t at = 0; at < size; at += most) {
      expect_no_signal();
      bytes.resize(static_cast<std::size_t>(std::min(most, size - at)));
      todo_.in->read(*t.tensor, at, bytes);
      out_.append(t.tensor->name, bytes);
      progress_.update(done_ + at + bytes.size(), t.tensor->name);
    }
  }

  error_sums quantize(const planned_tensor& t) {
    const std::vector<part> parts = t.how->parts(t.shape);
    std::vector<float> importance;
    if (t.inputs != nullptr)
      importance = importance_of(*todo_.calibration, *t.inputs, t.shape.cols);
    const std::vector<range> shared = shared_ranges(t);
    return write_waves(t, parts, [&](index first, index count) {
      float_rows w(*todo_.in, *t.tensor, t.shape, first, count);
      return t.how->quantize(w.matrix(), importance, shared);
    });
  }

  /// The ranges of a tensor whose scales belong to all rows.
  std::vector<range> shared_ranges(const planned_tensor& t) {
    std::vector<range> all;
    if (t.how->shared_ranges(t.shape) == 0) return all;
    std::vector<std::vector<range>> found;
    const auto add_found = [&] {
      for (const auto& some : found) {
        if (all.empty()) all = some;
        for (std::size_t i = 0; i < some.size(); ++i) all[i] = hull(all[i], some[i]);
      }
      found.clear();
    };
    for_each_wave(
        t, [&](index chunks) { found.resize(static_cast<std::size_t>(chunks)); },
        [&](index i, index first, index count) {
          float_rows w(*todo_.in, *t.tensor, t.shape, first, count);
          found[static_cast<std::size_t>(i)] = t.how->ranges(w.matrix());
        },
        [] {}, add_found);
    return all;
  }

  /// Makes a matrix of blocks. Its values are those of the blocks.
  error_sums unpack(const planned_tensor& t) {
    const auto& blocks = std::get<gguf_tensor>(t.tensor->view);
    std::vector<part> parts;
    detail::visit_block(detail::gguf_blocks(), blocks.type, [&](auto block) {
      parts = matrix_quantizer<scheme_of<typename decltype(block)::type>>().parts(t.shape);
    });
    return write_waves(t, parts, [&](index first, index count) {
      row_bytes rows(*todo_.in, *t.tensor, t.shape, first, count);
      return fewbit::visit(rows.as(blocks, {count, t.shape.cols}),
                           [](const auto& q) { return piece_of_codes(q); });
    });
  }

  /// Calls make(first row, rows) for each chunk and writes the pieces in order.
  template <class Make>
  error_sums write_waves(const planned_tensor& t, const std::vector<part>& parts,
                         const Make& make) {
    error_sums sums;
    std::vector<piece> made, ready;
    bool is_first = true;
    const auto write_ready = [&] {
      for (const piece& p : ready) {
        sums.add(p.sums);
        for (std::size_t i = 0; i < parts.size(); ++i) {
          if (!parts[i].is_of_rows && !is_first) continue;
          out_.append(t.tensor->name + parts[i].suffix, p.parts[i]);
        }
        is_first = false;
      }
      ready.clear();
    };
    for_each_wave(
        t, [&](index chunks) { made.resize(static_cast<std::size_t>(chunks)); },
        [&](index i, index first, index count) {
          made[static_cast<std::size_t>(i)] = make(first, count);
        },
        write_ready,
        [&] {
          ready = std::move(made);
          made.clear();
        });
    write_ready();
    return sums;
  }

  /// For each wave: begin(chunks); work(i, first row, rows) for each chunk i of it and meanwhile()
  /// on all threads; end().
  template <class Begin, class Work, class Meanwhile, class End>
  void for_each_wave(const planned_tensor& t, const Begin& begin, const Work& work,
                     const Meanwhile& meanwhile, const End& end) {
    const chunking cut(t.shape);
    const std::uint64_t row = t.bytes_before() / static_cast<std::uint64_t>(t.shape.rows);
    for (index chunk = 0; chunk < cut.chunks; chunk += cut.chunks_of_wave) {
      const index chunks = std::min(cut.chunks_of_wave, cut.chunks - chunk);
      begin(chunks);
      team_.for_each(chunks + 1, [&](index i) {
        if (i == 0) return meanwhile();
        if (pending_signal.load() != 0) return;
        const index first = cut.first(chunk + i - 1);
        try {
          work(i - 1, first, cut.rows(chunk + i - 1, t.shape));
        } catch (const error& e) {
          fail(t, first, cut.rows(chunk + i - 1, t.shape), e.what());
        }
      });
      expect_no_signal();
      end();
      const index last = std::min(cut.first(chunk + chunks), t.shape.rows);
      progress_.update(done_ + static_cast<std::uint64_t>(last) * row, t.tensor->name);
    }
  }

  /// Names the first value that is not finite by its place in the tensor, if that is the reason.
  [[noreturn]] void fail(const planned_tensor& t, index first, index count,
                         const std::string& sentence) const {
    const std::string name = plan_detail::quoted(t.tensor->name);
    float_rows rows(*todo_.in, *t.tensor, t.shape, first, count);
    const auto w = rows.matrix();
    for (index r = 0; r < w.rows(); ++r) {
      for (index c = 0; c < w.cols(); ++c) {
        if (detail::is_finite(w(r, c))) continue;
        throw failure(exit_input, "element (" + std::to_string(first + r) + ", " +
                                      std::to_string(c) + ") of tensor " + name + " is " +
                                      detail::text(w(r, c)) + ", expected a finite number");
      }
    }
    throw failure(exit_input, "tensor " + name + ", from row " + std::to_string(first) +
                                  " counted as 0: " + sentence);
  }

  const plan& todo_;
  const convert_options& options_;
  thread_executor team_;
  progress_report progress_;
  output out_;
  std::uint64_t done_ = 0;  // bytes of the tensors before
};

}  // namespace fewbit::examples::checkpoint
