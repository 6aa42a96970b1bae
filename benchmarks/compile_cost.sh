#!/usr/bin/env bash
# Measures the compile time of fewbit: seconds to compile a file that includes only Eigen/Core, only
# fewbit.hpp, and only one public header, for each header, slowest first.
#   benchmarks/compile_cost.sh [compiler and flags]     default: g++ -std=c++20 -O2 -march=native
set -euo pipefail
cd "$(dirname "$0")/.."

compile=("${@:-g++}")
[ "$#" -gt 0 ] || compile+=(-std=c++20 -O2 -march=native)
read -r -a eigen <<<"$(pkg-config --cflags eigen3)"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The fastest of three, in user seconds, which other processes hardly change.
seconds() {
  printf '#include <%s>\nint main() {}\n' "$1" >"$scratch/one.cpp"
  for _ in 1 2 3; do
    { TIMEFORMAT=%U; time "${compile[@]}" -I include "${eigen[@]}" -c "$scratch/one.cpp" -o "$scratch/one.o"; } 2>&1 |
      tail -n 1
  done | sort -n | head -n 1
}

core=$(seconds Eigen/Core)
printf '%-40s %6s %6s\n' header seconds ratio
printf '%-40s %6.2f %6.2f\n' Eigen/Core "$core" 1
find include/fewbit -name '*.hpp' | sed 's|^include/||' | while read -r header; do
  awk -v s="$(seconds "$header")" -v e="$core" -v h="$header" 'BEGIN { printf "%-40s %6.2f %6.2f\n", h, s, s / e }'
done | sort -k 2,2 -n -r
