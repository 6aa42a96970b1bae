#include "fewbit/io/calibration_file.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "calib/calibration_cases.hpp"
#include "calib/support.hpp"
#include "io/calibration_file_cases.hpp"
#include "io/support.hpp"

namespace io_calibration_file_test {

using fewbit::calibration;
using fewbit::load_calibration;
using fewbit::save_calibration;
using fewbit::tests::calibration_file_of;
using fewbit::tests::content_of;
using fewbit::tests::empty_calibration;
using fewbit::tests::expect_error;
using fewbit::tests::observe_batch;
using fewbit::tests::seen;
using fewbit::tests::small_state;
using fewbit::tests::temporary_folder;

calibration parsed(const std::string& content) {
  return fewbit::parse_calibration(fewbit::tests::bytes_of(content), "s.calib");
}

TEST(calibration_file, its_bytes_are_golden) {
  calibration c;
  c.add("w", fewbit::max_observer{});
  c.observe("w", fewbit::tests::row_of({-1.5F, 0.25F}));
  c.end_batch(7);
  const temporary_folder folder;
  save_calibration(c, folder / "a");
  EXPECT_EQ(
      content_of(folder / "a"),
      "fewbit calibration_file 1\npart 50\nchecksum 21e785f2d928b482\nfewbit calibration "
      "1\nbatch_ranges 1\n7 1\ntensors 1\npart 104\nchecksum c09461bf77ff5825\ntensor w\nobserver "
      "max_observer\nfewbit max_observer 1\npolicy 0\ncount 2\nskipped 0\nlo bfc00000\nhi "
      "3e800000\n");
}

TEST(calibration_file, comes_back_as_it_was) {
  const temporary_folder folder;
  for (const auto& batches : {std::vector<std::uint64_t>{}, {0}, {5, 1, 9}}) {
    const calibration c = seen(batches);
    save_calibration(c, folder / "a", fewbit::read_back::compare);
    EXPECT_EQ(load_calibration(folder / "a"), c);
    EXPECT_EQ(content_of(folder / "a"), calibration_file_of(c.to_text()));
  }
  save_calibration(calibration{}, folder / "a");
  EXPECT_EQ(load_calibration(folder / "a"), calibration{});
  EXPECT_EQ(folder.files(), 1);
}

TEST(calibration_file, merged_files_equal_one_run_in_any_order) {
  const temporary_folder folder;
  std::vector<std::string> paths;
  std::uint64_t next = 0;
  for (const int batches : {3, 0, 1, 5}) {
    calibration part = empty_calibration();
    for (int i = 0; i < batches; ++i) observe_batch(part, next++);
    paths.push_back(folder / std::to_string(paths.size()));
    save_calibration(part, paths.back());
  }
  std::vector<std::uint64_t> all;
  for (std::uint64_t b = 0; b < next; ++b) all.push_back(b);
  const calibration whole = seen(all);
  do {
    ASSERT_EQ(fewbit::merge_calibrations(paths), whole);
  } while (std::next_permutation(paths.begin(), paths.end()));
  const std::vector<std::string> twice{paths[0], paths[2], paths[0]};
  expect_error([&] { (void)fewbit::merge_calibrations(twice); },
               "fewbit: merge_calibrations: '" + paths[0] +
                   "': number of a batch of other is 0, expected a batch that was not seen before");
}

/// Whether the file is refused with a sentence that names it.
bool is_refused([[maybe_unused]] const std::string& content) {
#if FEWBIT_HAS_EXCEPTIONS
  try {
    (void)parsed(content);
  } catch (const fewbit::error& e) {
    const std::string sentence = e.what();
    EXPECT_TRUE(sentence.starts_with("fewbit: parse_calibration: ")) << sentence;
    EXPECT_NE(sentence.find("'s.calib'"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("byte "), std::string::npos) << sentence;
    return true;
  }
  return false;
#else
  return true;
#endif
}

TEST(calibration_file, refuses_every_prefix_and_every_changed_bit) {
  const std::string file = calibration_file_of(small_state);
  ASSERT_EQ(calibration_file_of(parsed(file).to_text()), file);
  for (std::size_t n = 0; n < file.size(); ++n) EXPECT_TRUE(is_refused(file.substr(0, n))) << n;
  for (std::size_t n = 0; n < file.size(); ++n) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = file;
      changed[n] = static_cast<char>(changed[n] ^ (1 << bit));
      EXPECT_TRUE(is_refused(changed)) << n << " " << bit;
    }
  }
  EXPECT_TRUE(is_refused(file + "\n"));
  EXPECT_TRUE(is_refused(file + file));
}

TEST(calibration_file, names_file_tensor_and_byte) {
  const std::string start = "fewbit: parse_calibration: ";
  const auto check = [&](const std::string& content, const std::string& sentence) {
    expect_error([&] { (void)parsed(content); }, start + sentence);
  };
  const auto with = [](const std::string& from, const std::string& to) {
    std::string state = small_state;
    return calibration_file_of(state.replace(state.find(from), from.size(), to));
  };
  const std::string file = calibration_file_of(small_state);
  const auto byte_of = [](const std::string& content, const std::string& line) {
    return std::to_string(content.find("\n" + line) + 1);
  };
  std::string damaged = file;
  damaged[damaged.find("3e800000")] = '4';
  check(damaged, "tensor 'a' at byte " +
                     std::to_string(damaged.rfind("checksum", damaged.find("tensor a"))) +
                     " of 's.calib': checksum of a part is another one, expected that of its "
                     "bytes");
  const std::string twice = with("tensor b", "tensor a");
  check(twice, "byte " + std::to_string(twice.rfind("tensor a")) +
                   " of 's.calib': tensor is 'a', expected a name above the one before");
  const std::string overflow = with("count 4", "count 4611686018427387904");
  check(overflow, "tensor 'b' at byte " + byte_of(overflow, "count 46116") +
                      " of 's.calib': line 26 is 'count 4611686018427387904', expected 'count "
                      "<integer from 0 to 4611686018427387903>'");
  const std::string bin = with("15 1", "15 4611686018427387903");
  check(bin, "tensor 'b' at byte " + byte_of(bin, "15 461") +
                 " of 's.calib': count of a bin is 4611686018427387903, expected at least 1, and "
                 "in sum 4");
  const std::string impossible = with("-2 1", "-3 1");
  check(impossible, "tensor 'b' at byte " + byte_of(impossible, "-3 1") +
                        " of 's.calib': first bin is -3, expected -2");
  check(with("tensors 2", "tensors 3"),
        "byte " + std::to_string(file.size()) +
            " of 's.calib': line 37 is missing, expected 'part <integer from 0 to "
            "4611686018427387903>'");
  const std::string longer = calibration_file_of(small_state + "x\n");
  check(longer, "byte " + std::to_string(longer.size() - 9) + " of 's.calib': end of a part is " +
                    std::to_string(longer.size() - 2) + ", expected " +
                    std::to_string(longer.size()));
  check("", "byte 0 of 's.calib': line 1 is missing, expected 'fewbit calibration_file 1'");
  check(file.substr(0, 40),
        "byte 34 of 's.calib': line 3 is 'checks' without a newline, expected 'checksum <16 "
        "hexadecimal digits>'");
  check(file.substr(0, 100),
        "byte 34 of 's.calib': bytes of a part is 54, expected at most 40, the rest of the file");
}

TEST(calibration_file, reads_the_inputs_of_the_fuzz_target) {
#if FEWBIT_HAS_EXCEPTIONS
  int accepted = 0;
  for (const std::string& seed : fewbit::tests::calibration_seeds) {
    bool is_accepted = false;
    EXPECT_EQ(fewbit::tests::read_hostile_calibration(fewbit::tests::calibration_input_file(seed),
                                                      is_accepted),
              "");
    accepted += is_accepted ? 1 : 0;
  }
  EXPECT_EQ(accepted, 7);
#endif
}

TEST(calibration_file, a_failed_save_leaves_the_old_file) {
  const temporary_folder folder;
  save_calibration(seen({0}), folder / "a");
  calibration c = seen({0, 1});
  c.observe("b", fewbit::tests::batch_of(2));
  expect_error([&] { save_calibration(c, folder / "a"); },
               "fewbit: save_calibration: batch is not ended, expected end_batch() after its "
               "values");
  EXPECT_EQ(load_calibration(folder / "a"), seen({0}));
  EXPECT_EQ(folder.files(), 1);
  expect_error([&] { save_calibration(calibration{}, folder / "no/a"); },
               "fewbit: save_calibration: '" + (folder / "no/a") +
                   "' is not writable (No such file or directory), expected a file in a folder "
                   "with permission and space");
  expect_error([&] { (void)load_calibration(folder / "b"); },
               "fewbit: load_calibration: '" + (folder / "b") +
                   "' is not readable (No such file or directory), expected a file that can be "
                   "mapped");
}

/// The loop of a program that saves after each batch and goes on where it was stopped.
void run(const std::string& path, std::uint64_t batches) {
  calibration c = std::filesystem::exists(path) ? load_calibration(path) : empty_calibration();
  for (std::uint64_t b = 0; b < batches; ++b) {
    if (c.batches().contains(b)) continue;
    observe_batch(c, b);
    save_calibration(c, path);
  }
}

TEST(calibration_file, a_killed_run_goes_on_and_counts_no_batch_twice) {
  constexpr std::uint64_t batches = 12;
  const temporary_folder folder;
  const std::string path = folder / "state";
  std::mt19937 random(3);
  int kills = 0;
  std::uint64_t last = 0;
  for (bool is_done = false; !is_done;) {
    const pid_t child = ::fork();
    if (child == 0) {
      run(path, batches);
      ::_exit(0);
    }
    // Later delays are longer, so that a busy machine makes progress as well.
    std::this_thread::sleep_for(std::chrono::microseconds(5000 + kills * 1000 + random() % 30000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    is_done = WIFEXITED(status);
    kills += is_done ? 0 : 1;
    if (!std::filesystem::exists(path)) continue;
    const std::uint64_t count = load_calibration(path).batches().count();
    EXPECT_GE(count, last);
    last = count;
    ASSERT_LT(kills, 1000) << "no progress: " << count;
  }
  std::vector<std::uint64_t> all;
  for (std::uint64_t b = 0; b < batches; ++b) all.push_back(b);
  EXPECT_EQ(load_calibration(path), seen(all));
  EXPECT_GE(kills, 1);
}

}  // namespace io_calibration_file_test
