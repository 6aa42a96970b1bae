// Calibration of a network on many processes with MPI: each process observes some batches of the
// data, and the states are merged. The thresholds have the same bits for any number of processes
// and any split of the batches. Each process saves its state from time to time. If a process dies,
// the next run reads all states and observes only the missing batches, with any number of
// processes.
//
//     mpirun -n 4 distributed_calibration --state states --out thresholds.txt
//
// The network has three linear layers with random weights. The batches are random as well, each
// determined by its number. Read run() first.

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fewbit/calib/calibration.hpp>
#include <fewbit/fewbit.hpp>
#include <fewbit/io/calibration_file.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "support/options.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;

constexpr index rows_per_batch = 128;

/// A matrix of normal numbers; `seed` chooses them.
matrix random_matrix(index rows, index cols, std::uint64_t seed) {
  const generator g{seed};
  matrix m(rows, cols);
  for (index i = 0; i < m.size(); ++i) m.data()[i] = normal(g, i);
  return m;
}

struct network {
  matrix first = random_matrix(64, 128, 1) * 0.18F;
  matrix second = random_matrix(128, 32, 2) * 0.12F;
  matrix third = random_matrix(32, 10, 3) * 0.25F;
};

/// The observers that every process starts with.
calibration fresh_calibration() {
  calibration c;
  c.add("input", histogram_observer{});
  c.add("hidden1", histogram_observer{});
  c.add("hidden2", per_channel<histogram_observer>(32));  // a range for each of its columns
  c.add("logits", max_observer{});
  return c;
}

/// Runs the network on one batch and observes the inputs and outputs of its layers.
void observe_batch(const network& net, std::uint64_t number, calibration& seen) {
  const matrix input = random_matrix(rows_per_batch, 64, 1000 + number);
  const matrix hidden1 = (input * net.first).cwiseMax(0.0F);
  const matrix hidden2 = (hidden1 * net.second).cwiseMax(0.0F);
  seen.observe("input", input);
  seen.observe("hidden1", hidden1);
  seen.observe("hidden2", hidden2);
  seen.observe("logits", hidden2 * net.third);
  seen.end_batch(number);
}

/// The saved states in a folder, in the order of their names.
std::vector<std::string> states_in(const std::string& folder) {
  std::vector<std::string> paths;
  if (folder.empty() || !std::filesystem::exists(folder)) return paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".calib") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// Sends `numbers` of process 0 to all others.
std::vector<std::uint64_t> broadcast(std::vector<std::uint64_t> numbers) {
  std::uint64_t count = numbers.size();
  MPI_Bcast(&count, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  numbers.resize(count);
  MPI_Bcast(numbers.data(), static_cast<int>(count), MPI_UINT64_T, 0, MPI_COMM_WORLD);
  return numbers;
}

void send_text(const std::string& text, int to) {
  MPI_Send(text.data(), static_cast<int>(text.size()), MPI_CHAR, to, 0, MPI_COMM_WORLD);
}

std::string receive_text(int from) {
  MPI_Status status;
  int size = 0;
  MPI_Probe(from, 0, MPI_COMM_WORLD, &status);
  MPI_Get_count(&status, MPI_CHAR, &size);
  std::string text(static_cast<std::size_t>(size), '\0');
  MPI_Recv(text.data(), size, MPI_CHAR, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return text;
}

/// Merges the states of all processes in process 0, pair by pair.
void reduce(calibration& seen, int rank, int ranks) {
  for (int step = 1; step < ranks; step *= 2) {
    if (rank % (2 * step) != 0) {
      send_text(seen.to_text(), rank - step);
      return;
    }
    if (rank + step < ranks) seen.merge(calibration::from_text(receive_text(rank + step)));
  }
}

/// Whether this process observes pending batch i of n.
bool is_mine(const std::string& split, std::uint64_t i, std::uint64_t n, int rank, int ranks) {
  const auto processes = static_cast<std::uint64_t>(ranks);
  std::uint64_t owner = i * processes / n;        // neighbouring batches: "blocks"
  if (split == "strided") owner = i % processes;  // one batch each in turn
  if (split == "random") owner = random_bits(7, i)[0] % processes;
  return owner == static_cast<std::uint64_t>(rank);
}

/// Writes the ranges of all tensors by three methods, each number with all its bits.
void write_thresholds(const calibration& seen, const std::string& path) {
  std::ofstream file(path);
  const auto write = [&](const char* title, const auto& method) {
    for (const auto& [name, ranges] : seen.all_ranges(method)) {
      for (const range& r : ranges) {
        char line[128];
        std::snprintf(line, sizeof(line), "%s %s %a %a\n", title, name.c_str(), double{r.lo},
                      double{r.hi});
        file << line;
      }
    }
  };
  write("percentile", by_percentile{99.9});
  write("entropy", by_entropy{});
  write("mse", by_mse{.bits = 4});
}

void print_thresholds(const calibration& seen) {
  std::printf("%-10s  %10s  %10s  %10s  %10s\n", "tensor", "max", "99.9 %", "entropy", "mse");
  for (const char* name : {"input", "hidden1"}) {
    std::printf("%-10s  %10.4f  %10.4f  %10.4f  %10.4f\n", name,
                double{seen.range(name, by_max{}).hi},
                double{seen.range(name, by_percentile{99.9}).hi},
                double{seen.range(name, by_entropy{}).hi}, double{seen.range(name, by_mse{}).hi});
  }
}

struct settings {
  std::uint64_t batches;
  std::uint64_t save_every;
  std::string split, states, out;
  int stop_rank;
  std::uint64_t stop_after;
};

void run(const settings& s, int rank, int ranks) {
  // Process 0 reads the states of former runs. Each run has a number of its own in the names of its
  // files, so it never changes a file of another run.
  calibration former;
  std::uint64_t run_number = 0;
  std::vector<std::uint64_t> pending;
  if (rank == 0) {
    const std::vector<std::string> paths = states_in(s.states);
    former = merge_calibrations(paths);
    run_number = paths.size();
    for (std::uint64_t b = 0; b < s.batches; ++b) {
      if (!former.batches().contains(b)) pending.push_back(b);
    }
    if (!s.states.empty()) std::filesystem::create_directories(s.states);
    std::printf("%d processes; %zu of %zu batches are in saved states\n", ranks,
                static_cast<std::size_t>(s.batches - pending.size()),
                static_cast<std::size_t>(s.batches));
  }
  pending = broadcast(std::move(pending));
  run_number = broadcast({run_number}).front();

  const network net;
  calibration seen = fresh_calibration();
  const auto save = [&] {
    if (s.states.empty() || seen.batches().empty()) return;
    save_calibration(seen, s.states + "/run" + std::to_string(run_number) + "-" +
                               std::to_string(rank) + ".calib");
  };
  for (std::uint64_t i = 0; i < pending.size(); ++i) {
    if (!is_mine(s.split, i, pending.size(), rank, ranks)) continue;
    observe_batch(net, pending[i], seen);
    const std::uint64_t count = seen.batches().count();
    if (count % s.save_every == 0) save();
    if (rank == s.stop_rank && count == s.stop_after) std::raise(SIGKILL);
  }
  save();

  reduce(seen, rank, ranks);
  if (rank != 0) return;
  seen.merge(former);
  print_thresholds(seen);
  std::printf("%zu batches, %zu bytes of observers\n",
              static_cast<std::size_t>(seen.batches().count()), seen.bytes());
  if (!s.out.empty()) write_thresholds(seen, s.out);
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  using namespace fewbit::examples;
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const options given(
      argc, argv, "Calibrates a network on many processes.",
      {{"--batches", "N", "batches of the data, 64 without it"},
       {"--split", "HOW", "blocks, strided or random: who observes which batch"},
       {"--state", "FOLDER", "saved states; a run goes on where former runs stopped"},
       {"--save-every", "N", "batches between two saves of a process, 4 without it"},
       {"--out", "FILE", "writes all thresholds with all their bits"},
       {"--stop-rank", "R", "process R is killed after some batches, to try a restart"},
       {"--stop-after", "N", "these batches, 5 without it"}});
  settings s{static_cast<std::uint64_t>(given.number("--batches", 64, 1, 1000000)),
             static_cast<std::uint64_t>(given.number("--save-every", 4, 1, 1000000)),
             given.text("--split", "blocks"),
             given.text("--state"),
             given.text("--out"),
             static_cast<int>(given.number("--stop-rank", -1, -1, 1000000)),
             static_cast<std::uint64_t>(given.number("--stop-after", 5, 1, 1000000))};
  if (s.split != "blocks" && s.split != "strided" && s.split != "random") {
    given.wrong("--split is " + s.split + ", expected blocks, strided or random");
  }
  try {
    run(s, rank, ranks);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "process %d: %s\n", rank, e.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
