#include "fewbit/io/mapped_file.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>
#include <utility>
#include <vector>

#include "io/support.hpp"
#include "support/sentence.hpp"

namespace io_mapped_file_test {

using fewbit::mapped_file;
using fewbit::tests::temporary_folder;
using fewbit::tests::write_content;

std::string text_of(const mapped_file& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(mapped_file, has_the_bytes_of_the_file) {
  const temporary_folder folder;
  for (const std::size_t size : {1U, 4095U, 4096U, 4097U, 100000U}) {
    std::string content(size, 'x');
    content.back() = 'y';
    write_content(folder / "a", content);
    const mapped_file file(folder / "a");
    EXPECT_EQ(file.path(), folder / "a");
    EXPECT_EQ(text_of(file), content);
  }
}

TEST(mapped_file, may_be_empty) {
  const temporary_folder folder;
  write_content(folder / "a", "");
  EXPECT_TRUE(mapped_file(folder / "a").bytes().empty());
  EXPECT_TRUE(mapped_file().bytes().empty());
}

TEST(mapped_file, keeps_its_bytes_when_it_is_moved) {
  const temporary_folder folder;
  write_content(folder / "a", "first");
  write_content(folder / "b", "second");
  mapped_file a(folder / "a");
  const auto* const address = a.bytes().data();
  mapped_file moved(std::move(a));
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_TRUE(a.bytes().empty());  // NOLINT(bugprone-use-after-move): it is empty then
  moved = mapped_file(folder / "b");
  EXPECT_EQ(text_of(moved), "second");
  EXPECT_EQ(moved.path(), folder / "b");
}

TEST(mapped_file, keeps_its_bytes_when_another_file_gets_its_name) {
  const temporary_folder folder;
  write_content(folder / "a", "first");
  const mapped_file file(folder / "a");
  write_content(folder / "b", "second");
  std::filesystem::rename(folder / "b", folder / "a");
  EXPECT_EQ(text_of(file), "first");
}

/// The number of pages of `bytes` that are in memory.
std::size_t resident(std::span<const std::byte> bytes) {
  std::vector<unsigned char> pages((bytes.size() + 4095) / 4096);
  std::string line;
  std::ifstream maps("/proc/self/smaps");
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  bool is_here = false;
  while (std::getline(maps, line)) {
    const auto dash = line.find('-');
    if (dash != std::string::npos && line.find(':') > dash && std::isxdigit(line[0]) != 0) {
      is_here = std::stoull(line.substr(0, dash), nullptr, 16) == address;
    }
    if (is_here && line.rfind("Rss:", 0) == 0) return std::stoul(line.substr(4)) / 4;
  }
  return 0;
}

TEST(mapped_file, forgets_whole_pages_and_reads_them_again) {
  const temporary_folder folder;
  const std::string content(64 * 4096, 'x');
  write_content(folder / "a", content);
  const mapped_file file(folder / "a");
  EXPECT_EQ(text_of(file), content);
  const std::size_t all = resident(file.bytes());
  mapped_file::forget(file.bytes().subspan(1, 62 * 4096));
  const std::size_t rest = resident(file.bytes());
  if (all == 0) GTEST_SKIP() << "the system does not tell which pages are in memory";
  EXPECT_EQ(all, 64U);
  EXPECT_EQ(rest, 64U - 61U);
  EXPECT_EQ(text_of(file), content);
  mapped_file::forget(file.bytes().subspan(5, 20));  // no whole page
  mapped_file::forget({});
  EXPECT_EQ(resident(file.bytes()), 64U);
}

TEST(mapped_file, refuses_what_is_no_file) {
  const temporary_folder folder;
  const auto sentence = [](const std::string& path) {
    return fewbit::tests::sentence_of([&] { return mapped_file(path).bytes().size(); });
  };
  EXPECT_EQ(sentence(folder / "a"), "fewbit: mapped_file: '" + folder.path() +
                                        "/a' is not readable (No such file or directory), "
                                        "expected a file that can be mapped");
  EXPECT_EQ(sentence(folder.path()), "fewbit: mapped_file: '" + folder.path() +
                                         "' is a folder or a device, expected a regular file");
  EXPECT_EQ(sentence("/dev/null"),
            "fewbit: mapped_file: '/dev/null' is a folder or a device, expected a regular file");
  EXPECT_EQ(fewbit::tests::sentence_of([] { return mapped_file("", "load").path(); }),
            "fewbit: load: '' is not readable (No such file or directory), expected a file that "
            "can be mapped");
}

TEST(mapped_file, refuses_a_file_without_permission) {
  const temporary_folder folder;
  write_content(folder / "a", "x");
  std::filesystem::permissions(folder / "a", std::filesystem::perms::none);
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  EXPECT_EQ(fewbit::tests::in_child([&] {
              if (::geteuid() == 0 && ::seteuid(65534) != 0) return 0;
              const std::string sentence =
                  fewbit::tests::sentence_of([&] { return mapped_file(folder / "a").path(); });
              return sentence.find("is not readable (Permission denied)") == std::string::npos ? 1
                                                                                               : 0;
            }),
            0);
}

}  // namespace io_mapped_file_test
