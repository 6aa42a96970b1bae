#pragma once
/// Carries out a plan: reads rows, quantizes them and writes them, with all threads.
///
/// Each thread takes the next chunk of rows, reads it into its own memory, quantizes it and writes
/// the results to their places in the file. A chunk fits the second-level cache. The resident
/// memory depends on the size of a chunk and on the number of threads, and not on the size of a
/// tensor.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
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
  std::string space;  ///< the namespace of a header
  int threads = 1;
  bool verifies = false;
  bool is_quiet = false;
};

/// Numbers of a chunk, and of all chunks that are worked on at once. A chunk has at least one row.
inline constexpr index chunk_numbers = index{1} << 16;
inline constexpr index most_numbers = index{1} << 21;
/// The numbers that the levels of a codebook are learned from.
inline constexpr index learned_numbers = index{1} << 20;

/// How the rows of a matrix are cut.
struct chunking {
  index rows_of_chunk;
  index chunks;
  index chunks_at_once;

  explicit chunking(const matrix_shape& shape)
      : rows_of_chunk(std::clamp(chunk_numbers / shape.cols, index{1}, shape.rows)),
        chunks((shape.rows + rows_of_chunk - 1) / rows_of_chunk),
        chunks_at_once(std::max(index{1}, most_numbers / (rows_of_chunk * shape.cols))) {}

  [[nodiscard]] index first(index chunk) const { return chunk * rows_of_chunk; }
  [[nodiscard]] index rows(index chunk, const matrix_shape& shape) const {
    return std::min(rows_of_chunk, shape.rows - first(chunk));
  }
};

/// The most resident memory that a conversion adds to what the program has now, in bytes.
[[nodiscard]] inline std::uint64_t added_memory(const plan& todo, bool verifies) {
  constexpr std::uint64_t base = std::uint64_t{16} << 20;
  std::uint64_t chunks = 0, matrix = 0;
  for (const planned_tensor& t : todo.tensors) {
    if (t.what == action::keep) continue;
    const auto row = static_cast<std::uint64_t>(t.shape.cols) * sizeof(float);
    chunks = std::max(chunks, std::max(row, most_numbers * sizeof(float)));
    matrix = std::max(matrix, t.bytes_after);
  }
  // Converting: floats of all chunks, as in the file and decoded; their codes, twice; importance of
  // columns. Verifying: codes of a matrix, in the file and in memory.
  const std::uint64_t header = todo.out_format == file_format::header ? 16 * todo.bytes_after() : 0;
  return base + std::max(4 * chunks, verifies ? 2 * matrix : 0) + header;
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
        out_(options.out, todo.out_format, options.space,
             options.verifies ? read_back::compare : read_back::no) {}

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
      out_.write(t.tensor->name, at, bytes);
      progress_.update(done_ + at + bytes.size(), t.tensor->name);
    }
  }

  error_sums quantize(const planned_tensor& t) {
    std::vector<float> importance;
    if (t.inputs != nullptr)
      importance = importance_of(*todo_.calibration, *t.inputs, t.shape.cols);
    const shared_values shared = {shared_ranges(t), levels_of(t, importance)};
    return write_chunks(t, [&](read_memory& memory, index first, index count) {
      const float_rows w(memory, *todo_.in, *t.tensor, t.shape, first, count);
      return t.how->quantize(w.matrix(), importance, shared);
    });
  }

  /// The ranges of a tensor whose scales belong to all rows.
  std::vector<range> shared_ranges(const planned_tensor& t) {
    std::vector<range> all;
    if (t.how->shared_ranges(t.shape) == 0) return all;
    for_each_chunk(t, [&](read_memory& memory, index /*chunk*/, index first, index count) {
      const float_rows w(memory, *todo_.in, *t.tensor, t.shape, first, count);
      const std::vector<range> found = t.how->ranges(w.matrix());
      const std::lock_guard lock(mutex_);
      if (all.empty()) all = found;
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = hull(all[i], found[i]);
    });
    return all;
  }

  /// The levels of a codebook, from evenly spaced rows: the memory must not depend on the size of
  /// the tensor.
  std::vector<float> levels_of(const planned_tensor& t, std::span<const float> importance) {
    if (!t.how->has_levels()) return {};
    const index most = std::max(index{1}, learned_numbers / t.shape.cols);
    row_matrix<float> rows(std::min(most, t.shape.rows), t.shape.cols);
    read_memory memory;
    for (index i = 0; i < rows.rows(); ++i) {
      const index row = i * t.shape.rows / rows.rows();
      rows.row(i) = float_rows(memory, *todo_.in, *t.tensor, t.shape, row, 1).matrix();
      if (!detail::largest_of(rows.row(i).data(), rows.cols()).is_finite) fail(t, row, 1, {});
    }
    return t.how->levels(rows, importance, team_);
  }

  /// Makes a matrix of blocks. Its values are those of the blocks.
  error_sums unpack(const planned_tensor& t) {
    const auto& blocks = std::get<gguf_tensor>(t.tensor->view);
    return write_chunks(t, [&](read_memory& memory, index first, index count) {
      const row_bytes rows(memory, *todo_.in, *t.tensor, t.shape, first, count);
      return fewbit::visit(rows.as(blocks, {count, t.shape.cols}),
                           [](const auto& q) { return piece_of_codes(q); });
    });
  }

  /// Calls make(memory, first row, rows) for each chunk and writes the pieces. Their sums are added
  /// in the order of the chunks.
  template <class Make>
  error_sums write_chunks(const planned_tensor& t, const Make& make) {
    const std::vector<part> parts = parts_of(t);
    std::vector<error_sums> sums(static_cast<std::size_t>(chunking(t.shape).chunks));
    index rows_done = 0;
    for_each_chunk(t, [&](read_memory& memory, index chunk, index first, index count) {
      const piece made = make(memory, first, count);
      sums[static_cast<std::size_t>(chunk)] = made.sums;
      const std::lock_guard lock(mutex_);
      if (has_failed_) return;  // the file is gone
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const part& p = parts[i];
        if (!p.is_of_rows && chunk > 0) continue;
        const std::uint64_t row = p.bytes / static_cast<std::uint64_t>(t.shape.rows);
        const std::uint64_t at = p.is_of_rows ? static_cast<std::uint64_t>(first) * row : 0;
        out_.write(t.tensor->name + p.suffix, at, made.parts[i]);
      }
      rows_done += count;
      progress_.update(done_ + static_cast<std::uint64_t>(rows_done) * row_bytes_of(t),
                       t.tensor->name);
    });
    error_sums sum;
    for (const error_sums& some : sums) sum.add(some);
    return sum;
  }

  [[nodiscard]] static std::uint64_t row_bytes_of(const planned_tensor& t) {
    return t.bytes_before() / static_cast<std::uint64_t>(t.shape.rows);
  }

  /// Calls work(memory of the thread, chunk, first row, rows) for each chunk, on all threads.
  ///
  /// After a failure no further chunk begins. Chunks begin in order, so the first one that fails is
  /// the same for any number of threads; its failure is thrown.
  template <class Work>
  void for_each_chunk(const planned_tensor& t, const Work& work) {
    const chunking cut(t.shape);
    std::atomic<index> next{0};
    index failed_chunk = cut.chunks;
    std::exception_ptr reason;
    const auto take_chunks = [&](index /*thread*/) {
      read_memory memory;
      for (index chunk = next++; chunk < cut.chunks; chunk = next++) {
        const index first = cut.first(chunk), count = cut.rows(chunk, t.shape);
        try {
          expect_no_signal();
          work_or_name(t, work, memory, chunk, first, count);
        } catch (...) {
          const std::lock_guard lock(mutex_);
          next = cut.chunks;
          has_failed_ = true;
          if (chunk < failed_chunk) {
            failed_chunk = chunk;
            reason = std::current_exception();
          }
        }
      }
    };
    team_.for_each(std::min<index>({options_.threads, cut.chunks, cut.chunks_at_once}),
                   take_chunks);
    if (reason) std::rethrow_exception(reason);
  }

  template <class Work>
  void work_or_name(const planned_tensor& t, const Work& work, read_memory& memory, index chunk,
                    index first, index count) const {
    try {
      work(memory, chunk, first, count);
    } catch (const error& e) {
      fail(t, first, count, e.what());
    }
  }

  /// Names the first value that is not finite by its place in the tensor, if that is the reason.
  [[noreturn]] void fail(const planned_tensor& t, index first, index count,
                         const std::string& sentence) const {
    const std::string name = plan_detail::quoted(t.tensor->name);
    read_memory memory;
    const float_rows rows(memory, *todo_.in, *t.tensor, t.shape, first, count);
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
  std::mutex mutex_;  // of the two above, and of what threads share
  bool has_failed_ = false;
  std::uint64_t done_ = 0;  // bytes of the tensors before
};

}  // namespace fewbit::examples::checkpoint
