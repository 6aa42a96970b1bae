#include "fewbit/io/atomic_file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "io/support.hpp"
#include "support/sentence.hpp"

#if defined(__linux__)
namespace io_atomic_file_test {
/// What takes the place of system calls while it is set.
std::function<int(int number)> on_fsync;
int writes_back = 0;
}  // namespace io_atomic_file_test

// The program takes its own functions before those of the C library.
extern "C" int fsync(int number) {
  if (io_atomic_file_test::on_fsync) return io_atomic_file_test::on_fsync(number);
  return static_cast<int>(::syscall(SYS_fsync, number));
}
extern "C" int sync_file_range(int number, off64_t at, off64_t count, unsigned flags) {
  ++io_atomic_file_test::writes_back;
  return static_cast<int>(::syscall(SYS_sync_file_range, number, at, count, flags));
}
#endif

namespace io_atomic_file_test {

using fewbit::atomic_file;
using fewbit::read_back;
using fewbit::tests::bytes_of;
using fewbit::tests::content_of;
using fewbit::tests::in_child;
using fewbit::tests::sentence_of;
using fewbit::tests::temporary_folder;
using fewbit::tests::write_content;

unsigned permissions_of(const std::string& path) {
  struct stat status = {};
  ::stat(path.c_str(), &status);
  return status.st_mode & 07777U;
}

TEST(atomic_file, writes_parts_in_any_order) {
  for (const read_back check : {read_back::no, read_back::compare}) {
    const temporary_folder folder;
    atomic_file file(folder / "a", check);
    file.write(6, bytes_of("world"));
    file.write(0, bytes_of("hello"));
    file.write(3, {});
    EXPECT_EQ(folder.files(), 1);  // under its temporary name
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    file.commit();
    EXPECT_EQ(content_of(folder / "a"), std::string("hello\0world", 11));
    EXPECT_EQ(folder.files(), 1);
  }
}

TEST(atomic_file, may_be_empty) {
  const temporary_folder folder;
  atomic_file(folder / "a", read_back::compare).commit();
  EXPECT_TRUE(std::filesystem::exists(folder / "a"));
  EXPECT_EQ(content_of(folder / "a"), "");
}

TEST(atomic_file, replaces_the_old_file_at_once) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  atomic_file file(folder / "a");
  file.write(0, bytes_of("new content"));
  EXPECT_EQ(content_of(folder / "a"), "old");
  file.commit();
  EXPECT_EQ(content_of(folder / "a"), "new content");
}

TEST(atomic_file, leaves_the_old_file_without_commit) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  { atomic_file(folder / "a").write(0, bytes_of("new")); }
  EXPECT_EQ(content_of(folder / "a"), "old");
  EXPECT_EQ(folder.files(), 1);
}

TEST(atomic_file, takes_the_permissions_of_the_old_file) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  ASSERT_EQ(::chmod((folder / "a").c_str(), 0640), 0);
  atomic_file(folder / "a").commit();
  EXPECT_EQ(permissions_of(folder / "a"), 0640U);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  atomic_file(folder / "b").commit();
  EXPECT_EQ(permissions_of(folder / "b"), 0666U & ~mask);
}

TEST(atomic_file, keeps_a_symbolic_link) {
  const temporary_folder folder;
  std::filesystem::create_directory(folder / "models");
  write_content(folder / "models/a", "old");
  std::filesystem::create_symlink("models/a", folder / "link");
  atomic_file file(folder / "link");
  file.write(0, bytes_of("new"));
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(content_of(folder / "models/a"), "new");
}

TEST(atomic_file, is_beside_the_working_folder_without_a_slash) {
  const temporary_folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  atomic_file file("a");
  file.write(0, bytes_of("x"));
  file.commit();
  std::filesystem::current_path(before);
  EXPECT_EQ(content_of(folder / "a"), "x");
}

TEST(atomic_file, can_be_moved) {
  const temporary_folder folder;
  atomic_file file(folder / "a");
  atomic_file moved(std::move(file));
  EXPECT_TRUE(file.temporary_path().empty());  // NOLINT(bugprone-use-after-move): it is then
  moved.write(0, bytes_of("x"));
  moved.commit();
  EXPECT_EQ(content_of(folder / "a"), "x");
}

TEST(atomic_file, skips_names_that_killed_processes_left) {
  const temporary_folder folder;
  std::string name;
  {
    const atomic_file file(folder / "a");
    name = file.temporary_path();
  }
  const auto dash = name.rfind('-');
  const auto number = std::stoul(name.substr(dash + 1));
  const std::string next = name.substr(0, dash + 1) + std::to_string(number + 1) + ".part";
  write_content(next, "left");
  atomic_file file(folder / "a");
  EXPECT_NE(file.temporary_path(), next);
  file.commit();
  EXPECT_EQ(content_of(next), "left");
}

TEST(atomic_file, refuses_what_it_must_not_replace) {
  const temporary_folder folder;
  const auto sentence = [](const std::string& path) {
    return sentence_of([&] { return atomic_file(path).path(); });
  };
  EXPECT_EQ(sentence(folder.path()), "fewbit: atomic_file: '" + folder.path() +
                                         "' is a folder or a device, expected a regular file or a "
                                         "new name");
  EXPECT_EQ(sentence("/dev/null"),
            "fewbit: atomic_file: '/dev/null' is a folder or a device, expected a regular file or "
            "a new name");
  EXPECT_EQ(sentence(folder / "none/a"),
            "fewbit: atomic_file: '" + folder.path() +
                "/none/a' is not writable (No such file or directory), expected a file in a folder "
                "with permission and space");
  EXPECT_EQ(folder.files(), 0);
}

TEST(atomic_file, refuses_calls_after_commit) {
  const temporary_folder folder;
  atomic_file file(folder / "a");
  file.commit();
  const std::string closed =
      "fewbit: atomic_file: '" + folder.path() + "/a' is closed already, expected an open file";
  EXPECT_EQ(sentence_of([&] { file.commit(); }), closed);
  EXPECT_EQ(sentence_of([&] { file.write(0, bytes_of("x")); }), closed);
  EXPECT_EQ(content_of(folder / "a"), "");
}

TEST(atomic_file, finds_a_byte_that_changed_before_it_was_read_back) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  atomic_file file(folder / "a", read_back::compare);
  file.write(0, bytes_of("hello"));
  file.write(5, bytes_of("world"));
  std::fstream(file.temporary_path(), std::ios::in | std::ios::out).seekp(7) << '!';
  EXPECT_EQ(sentence_of([&] { file.commit(); }),
            "fewbit: atomic_file: 5 bytes at byte 5 of '" + folder.path() +
                "/a' is changed when it was read back, expected what was written");
  EXPECT_EQ(content_of(folder / "a"), "old");
  EXPECT_EQ(folder.files(), 1);
}

TEST(atomic_file, finds_that_the_file_became_shorter) {
  const temporary_folder folder;
  atomic_file file(folder / "a", read_back::compare);
  file.write(0, bytes_of("hello"));
  std::filesystem::resize_file(file.temporary_path(), 4);
  EXPECT_NE(sentence_of([&] { file.commit(); }).find("is changed when it was read back"),
            std::string::npos);
  EXPECT_EQ(folder.files(), 0);
}

TEST(atomic_file, finds_that_whole_pages_are_missing) {
  const temporary_folder folder;
  atomic_file file(folder / "a", read_back::compare);
  file.write(0, bytes_of(std::string(100000, 'x')));
  std::filesystem::resize_file(file.temporary_path(), 4096);
  EXPECT_NE(sentence_of([&] { file.commit(); }).find("is changed when it was read back"),
            std::string::npos);
}

#if defined(__linux__)
class synchronized_file : public testing::Test {
 protected:
  synchronized_file() { write_content(folder_ / "a", "old"); }
  ~synchronized_file() override { on_fsync = nullptr; }

  temporary_folder folder_;
};

// A loss of power must find the old name until the new bytes are on the disk.
TEST_F(synchronized_file, is_on_the_disk_before_it_has_its_name) {
  std::string seen;
  on_fsync = [&](int number) {
    struct stat status = {};
    ::fstat(number, &status);
    seen += S_ISDIR(status.st_mode) ? "folder:" : "file:";
    seen += content_of(folder_ / "a") + " ";
    return 0;
  };
  atomic_file file(folder_ / "a");
  file.write(0, bytes_of("new"));
  file.commit();
  EXPECT_EQ(seen, "file:old folder:new ");
}

TEST_F(synchronized_file, repeats_calls_that_signals_interrupt) {
  int calls = 0;
  on_fsync = [&](int /*number*/) {
    errno = EINTR;
    return ++calls % 3 == 0 ? 0 : -1;
  };
  atomic_file file(folder_ / "a");
  file.write(0, bytes_of("new"));
  file.commit();
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(content_of(folder_ / "a"), "new");
}

TEST_F(synchronized_file, leaves_the_old_file_if_the_disk_fails) {
  on_fsync = [](int /*number*/) {
    errno = EIO;
    return -1;
  };
  atomic_file file(folder_ / "a");
  file.write(0, bytes_of("new"));
  EXPECT_NE(sentence_of([&] { file.commit(); }).find("/a' is not writable (Input/output error)"),
            std::string::npos);
  EXPECT_EQ(content_of(folder_ / "a"), "old");
  EXPECT_EQ(folder_.files(), 1);
}

TEST_F(synchronized_file, tells_that_the_folder_alone_is_not_on_the_disk) {
  int reason = EIO, calls = 0;
  on_fsync = [&](int /*number*/) {
    errno = reason;
    return ++calls % 2 == 0 ? -1 : 0;
  };
  atomic_file file(folder_ / "a");
  file.write(0, bytes_of("new"));
  EXPECT_NE(sentence_of([&] { file.commit(); }).find("is not synchronized (Input/output error)"),
            std::string::npos);
  EXPECT_EQ(content_of(folder_ / "a"), "new");
  reason = EINVAL;  // some file systems cannot do it
  atomic_file again(folder_ / "a");
  again.write(0, bytes_of("newer"));
  again.commit();
  EXPECT_EQ(content_of(folder_ / "a"), "newer");
}

TEST_F(synchronized_file, is_written_to_the_disk_every_8_mib) {
  const std::string part(std::size_t{1} << 20, 'x');
  atomic_file file(folder_ / "a");
  writes_back = 0;
  for (std::uint64_t i = 0; i < 20; ++i) file.write(i << 20, bytes_of(part));
  EXPECT_EQ(writes_back, 2);
}
#endif

TEST(atomic_file, leaves_the_old_file_if_it_cannot_be_renamed) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  atomic_file file(folder / "a");
  std::filesystem::remove(file.temporary_path());
  EXPECT_NE(sentence_of([&] { file.commit(); }).find("No such file"), std::string::npos);
  EXPECT_EQ(content_of(folder / "a"), "old");
}

TEST(atomic_file, leaves_the_old_file_without_permission) {
  const temporary_folder folder;
  write_content(folder / "a", "old");
  std::filesystem::permissions(folder.path(), static_cast<std::filesystem::perms>(0555));
  EXPECT_EQ(in_child([&] {
              if (::geteuid() == 0 && ::seteuid(65534) != 0) return 0;
              const std::string sentence =
                  sentence_of([&] { return atomic_file(folder / "a").path(); });
              const auto at = sentence.find("/a' is not writable (Permission denied)");
              return at == std::string::npos ? 1 : 0;
            }),
            0);
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
  EXPECT_EQ(content_of(folder / "a"), "old");
  EXPECT_EQ(folder.files(), 1);
}

/// Writes `size` bytes over the file; 0 if that fails with `reason` and leaves no other file.
int fails_and_leaves(const std::string& folder, std::size_t size, const std::string& reason) {
  write_content(folder + "/a", "old");
  const std::string content(size, 'x');
  atomic_file file(folder + "/a");
  const std::string sentence = sentence_of([&] {
    for (std::size_t at = 0; at < size; at += 4096) {
      file.write(at, bytes_of(content).subspan(at, std::min<std::size_t>(4096, size - at)));
    }
    file.commit();
  });
  if (sentence.find("is not writable (" + reason + ")") == std::string::npos) return 1;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files += !entry.path().empty();
  }
  return content_of(folder + "/a") == "old" && files == 1 ? 0 : 2;
}

TEST(atomic_file, leaves_the_old_file_if_the_new_one_is_too_large) {
  const temporary_folder folder;
  EXPECT_EQ(in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit = {10000, 10000};
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
              return fails_and_leaves(folder.path(), 20000, "File too large");
            }),
            0);
}

#if defined(__linux__)
TEST(atomic_file, leaves_the_old_file_if_the_disk_is_full) {
  const temporary_folder folder;
  constexpr int no_permission = 77;
  const int result = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("fewbit", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
      return no_permission;
    }
    return fails_and_leaves(folder.path(), 100000, "No space left on device");
  });
  if (result == no_permission) GTEST_SKIP() << "this user may not mount a small disk";
  EXPECT_EQ(result, 0);
}
#endif

#if !defined(FEWBIT_TEST_KILLS)
#define FEWBIT_TEST_KILLS 50
#endif

/// A child writes the file again and again, each time filled with another letter, until it is
/// killed.
TEST(atomic_file, is_whole_whenever_the_process_is_killed) {
  const temporary_folder folder;
  constexpr std::size_t size = 65536;
  constexpr std::size_t parts = 8;
  write_content(folder / "a", std::string(size, 'a'));
  std::minstd_rand random(5);
  constexpr int kills = FEWBIT_TEST_KILLS, enough = FEWBIT_TEST_KILLS / 10;
  int interrupted = 0;
  // On a busy machine many children are killed before they begin: then more follow.
  for (int kill = 0; kill < kills || (interrupted <= enough && kill < 20 * kills); ++kill) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
        const std::string part(size / parts, letter);
        atomic_file file(folder / "a");
        for (std::size_t i = 0; i < parts; ++i) file.write(i * part.size(), bytes_of(part));
        file.commit();
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string content = content_of(folder / "a");
    ASSERT_EQ(content.size(), size) << "kill " << kill;
    ASSERT_EQ(content, std::string(size, content[0])) << "kill " << kill;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      if (entry.path().extension() != ".part") continue;
      std::filesystem::remove(entry.path());
      ++interrupted;
    }
  }
  EXPECT_GT(interrupted, enough);  // these kills came while a file was written
}

}  // namespace io_atomic_file_test
