# The common part of the project's own programs: flags, GoogleTest, JSON, and functions that add programs.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)

set(arch_flags "")
if(FEWBIT_MARCH)
  separate_arguments(arch_flags UNIX_COMMAND "-march=${FEWBIT_MARCH}")
endif()

set(warning_flags -Wall -Wextra -Wconversion -Wshadow -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 warns about undefined lanes inside its own AVX-512 intrinsics.
  list(APPEND warning_flags -Wno-maybe-uninitialized -Wno-uninitialized)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "arm")
    list(APPEND warning_flags -Wno-psabi)  # it repeats a note about a change in g++ 7
  endif()
endif()

# The library with the flags of this build. Every program of the project links it.
add_library(fewbit_developer INTERFACE)
target_link_libraries(fewbit_developer INTERFACE fewbit::fewbit)
target_compile_options(fewbit_developer INTERFACE ${warning_flags} ${arch_flags})
target_compile_definitions(fewbit_developer INTERFACE
                           FEWBIT_DATA_DIR="${FEWBIT_DATA_DIR}"
                           FEWBIT_EXAMPLE_DATA_DIR="${PROJECT_SOURCE_DIR}/examples/data")
target_include_directories(fewbit_developer INTERFACE ${PROJECT_SOURCE_DIR}/examples/support ${PROJECT_SOURCE_DIR}/tests)

find_package(Threads REQUIRED)
find_package(nlohmann_json 3 CONFIG QUIET)
if(TARGET nlohmann_json::nlohmann_json)
  if(CMAKE_CROSSCOMPILING)
    # The host's /usr/include also has headers of the host's C library, so only this folder is used.
    get_target_property(json_headers nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
    list(GET json_headers 0 json_headers)  # Debian's package lists the folder twice
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/json)
    file(CREATE_LINK ${json_headers}/nlohmann ${PROJECT_BINARY_DIR}/json/nlohmann SYMBOLIC)
    set_target_properties(nlohmann_json::nlohmann_json PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${PROJECT_BINARY_DIR}/json)
  endif()
  target_link_libraries(fewbit_developer INTERFACE nlohmann_json::nlohmann_json)
endif()

# A cross build compiles GoogleTest from the sources in the Debian package.
if(CMAKE_CROSSCOMPILING)
  if(NOT EXISTS /usr/src/googletest/CMakeLists.txt)
    message(FATAL_ERROR "fewbit: the sources of GoogleTest are missing; run cmake/setup.sh --cross or --targets")
  endif()
  set(INSTALL_GTEST OFF)
  set(BUILD_GMOCK OFF)
  add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL SYSTEM)
  if(NOT TARGET GTest::gtest_main)
    add_library(GTest::gtest_main ALIAS gtest_main)
  endif()
else()
  find_package(GTest CONFIG QUIET)
  if(NOT TARGET GTest::gtest_main)
    message(FATAL_ERROR "fewbit: GoogleTest was not found; run cmake/setup.sh, or set FEWBIT_DEVELOPER=OFF")
  endif()
endif()

# cpu_guard runs a test program, or skips it if this processor does not have the instruction set.
if(FEWBIT_MARCH AND NOT FEWBIT_MARCH STREQUAL "native" AND NOT CMAKE_CROSSCOMPILING)
  add_executable(cpu_guard ${PROJECT_SOURCE_DIR}/tests/support/cpu_guard.cpp
                           ${PROJECT_SOURCE_DIR}/tests/support/cpu_needs.cpp)
  target_link_libraries(cpu_guard PRIVATE fewbit::fewbit)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tests/support/cpu_needs.cpp
                              PROPERTIES COMPILE_OPTIONS "${arch_flags}")
endif()

# Builds the tests that every preset runs.
add_custom_target(isa_tests)
if(TARGET cpu_guard)
  add_dependencies(isa_tests cpu_guard)
endif()

# Precompiled headers for most tests. They have no header of the library, so that a change of one
# rebuilds only the tests that include it. test_headers_plain is for programs without optimization.
file(CONFIGURE OUTPUT test_headers.cpp CONTENT "")
foreach(headers IN ITEMS test_headers test_headers_plain)
  add_library(${headers} OBJECT EXCLUDE_FROM_ALL ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cpp)
  target_link_libraries(${headers} PRIVATE fewbit_developer GTest::gtest_main Threads::Threads)
  target_precompile_headers(${headers} PRIVATE <gtest/gtest.h> <Eigen/Core> <random>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With precompiled headers, g++ 12 shows false warnings about std::string.
    target_compile_options(${headers} INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow)
  endif()
endforeach()
target_compile_options(test_headers_plain PUBLIC -O0)

# The end of GoogleTest's output if all tests skipped. If a test failed, more text follows.
set(only_skipped "\\[  PASSED  \\] 0 tests\\.\n(\\[  SKIPPED \\] [^\n]*\n)+[ \n]*$")

function(add_test_program name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE fewbit_developer GTest::gtest_main Threads::Threads)
  if(TARGET cpu_guard)
    add_test(NAME ${name} COMMAND cpu_guard $<TARGET_FILE:${name}>)
  else()
    add_test(NAME ${name} COMMAND ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS all TIMEOUT 1200 SKIP_RETURN_CODE 77
                       SKIP_REGULAR_EXPRESSION "${only_skipped}")
endfunction()

# fewbit_test(<folder>/<header> [ISA] [JSON] [PLAIN]): builds tests/<folder>/<header>_test.cpp and adds it
# to ctest as <folder>_<header>_test with the label `all`. A program whose tests all skip is skipped.
#   ISA    adds the label `isa`, for tests that every preset builds and runs because their result could
#          depend on the instruction set
#   JSON   does nothing if nlohmann-json is missing
#   PLAIN  compiles without optimization, for tests with many template instances
function(fewbit_test path)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ISA;JSON;PLAIN" "" "")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "fewbit_test(${path}): unknown word ${arg_UNPARSED_ARGUMENTS}, expected ISA, JSON or PLAIN")
  endif()
  if(arg_JSON AND NOT TARGET nlohmann_json::nlohmann_json)
    message(STATUS "${path}_test reads JSON and is left out: nlohmann-json was not found")
    return()
  endif()
  set(source ${PROJECT_SOURCE_DIR}/tests/${path}_test.cpp)
  if(NOT EXISTS ${source})
    message(FATAL_ERROR "fewbit_test(${path}): there is no ${source}")
  endif()
  string(REPLACE "/" "_" name ${path}_test)
  add_test_program(${name} ${source})
  set(headers test_headers)
  if(arg_PLAIN)
    set(headers test_headers_plain)
  endif()
  target_link_libraries(${name} PRIVATE ${headers})
  target_precompile_headers(${name} REUSE_FROM ${headers})
  if(arg_ISA)
    add_dependencies(isa_tests ${name})
    set_tests_properties(${name} PROPERTIES LABELS "all;isa")
  endif()
endfunction()

# fewbit_test_again(<folder>/<header> <name> <flags>...): builds the same source a second time with more
# flags, as the program <folder>_<header>_<name>_test.
function(fewbit_test_again path again)
  string(REPLACE "/" "_" name ${path}_${again}_test)
  add_test_program(${name} ${PROJECT_SOURCE_DIR}/tests/${path}_test.cpp)
  target_compile_options(${name} PRIVATE ${ARGN})
endfunction()

# fewbit_fuzz(<folder>/<header>): with FEWBIT_FUZZ, builds tests/<folder>/<header>_fuzz.cpp as the
# libFuzzer program <folder>_<header>_fuzz. The target `fuzz` builds all of them and runs each for ten
# seconds.
function(fewbit_fuzz path)
  if(NOT FEWBIT_FUZZ)
    return()
  endif()
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "fewbit: FEWBIT_FUZZ needs clang, the compiler is ${CMAKE_CXX_COMPILER_ID}")
  endif()
  string(REPLACE "/" "_" name ${path}_fuzz)
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/${path}_fuzz.cpp)
  target_link_libraries(${name} PRIVATE fewbit_developer)
  target_compile_options(${name} PRIVATE -O1 -g1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer,address,undefined)
  if(NOT TARGET fuzz)
    add_custom_target(fuzz)
  endif()
  add_custom_target(run_${name} COMMAND ${name} -max_total_time=10 USES_TERMINAL)
  add_dependencies(fuzz run_${name})
endfunction()

# fewbit_example(<task>): builds examples/<task>.cpp, optimized as in a user's release build.
function(fewbit_example task)
  add_executable(${task} ${PROJECT_SOURCE_DIR}/examples/${task}.cpp)
  target_link_libraries(${task} PRIVATE fewbit_developer)
  target_compile_options(${task} PRIVATE -O3)
  target_compile_definitions(${task} PRIVATE NDEBUG)
endfunction()

# fewbit_benchmark(<folder>_benchmark): builds a program from benchmarks/<folder>_benchmark.cpp and
# benchmarks/<folder>/*.cpp. The target `bench` runs it. Every preset builds it with full optimization
# and without assertions.
function(fewbit_benchmark name)
  string(REGEX REPLACE "_benchmark$" "" folder ${name})
  file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/${folder}/*.cpp)
  add_executable(${name} EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/benchmarks/${name}.cpp ${parts})
  target_link_libraries(${name} PRIVATE fewbit_developer benchmark::benchmark Threads::Threads)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/benchmarks)
  target_compile_options(${name} PRIVATE -O3)
  target_compile_definitions(${name} PRIVATE NDEBUG)
  # Repetitions are interleaved, so that a change of the clock rate affects all rows equally.
  add_custom_target(bench_${name}
                    COMMAND ${name} --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
                            --benchmark_report_aggregates_only=true
                    USES_TERMINAL)
  add_dependencies(bench bench_${name})
endfunction()
