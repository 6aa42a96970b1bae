#!/usr/bin/env bash
# Installs the missing packages that the build needs, with apt. Prints nothing if none is missing.
#   cmake/setup.sh [--cross] [--targets] [--embedded] [--clang] [--docs]
#     --cross    adds the aarch64 compiler and qemu
#     --targets  adds the compilers for s390x, armhf, riscv64 and Windows, qemu and wine: 1.6 GB
#     --embedded adds the compiler and C library for Cortex-M, and qemu: 0.9 GB
#     --clang    adds clang, its sanitizer and fuzzer libraries, clang-format 16 and clang-tidy
#     --docs     adds doxygen
set -euo pipefail

packages=(g++ cmake ninja-build libeigen3-dev libgtest-dev libbenchmark-dev nlohmann-json3-dev libcli11-dev pkg-config)
for option in "$@"; do
  case "$option" in
    --cross) packages+=(g++-aarch64-linux-gnu qemu-user googletest) ;;
    --targets) packages+=(g++-s390x-linux-gnu g++-arm-linux-gnueabihf g++-riscv64-linux-gnu
      g++-mingw-w64-x86-64-posix qemu-user wine64 googletest) ;;
    --embedded) packages+=(gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-dev qemu-system-arm) ;;
    --clang) packages+=(clang libclang-rt-dev clang-format-16 clang-tidy) ;;
    --docs) packages+=(doxygen) ;;
    *) echo "cmake/setup.sh: unknown option $option, expected --cross, --targets, --embedded, --clang or --docs" >&2; exit 2 ;;
  esac
done

# A tool on the PATH counts as present. A library must be installed as a package.
present() {
  case "$1" in
    g++ | cmake | clang | clang-format-16 | clang-tidy | doxygen) command -v "$1" >/dev/null ;;
    ninja-build) command -v ninja >/dev/null ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    *) dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed ;;
  esac
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  cat >&2 <<'END'
cmake/setup.sh installs with apt, which this system lacks. Install by hand:
  a C++20 compiler (g++ 12 or clang 14, or later), CMake 3.25 or later, Ninja, Eigen 3.4,
  GoogleTest 1.12, Google Benchmark 1.7, nlohmann-json 3.11, CLI11 2.1, pkg-config
END
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  present "$package" || missing+=("$package")
done

if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  echo "cmake/setup.sh installs: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
fi

version=$(cmake --version | sed -n '1s/.* //p')
if [ "$(printf '3.25\n%s\n' "$version" | sort -V | head -n 1)" != 3.25 ]; then
  echo "cmake/setup.sh: cmake is $version, expected 3.25 or later" >&2
  exit 1
fi
