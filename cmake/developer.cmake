# What the project's own programs share: flags, GoogleTest, JSON, and fewbit_tests().

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
  # g++ 12 takes the undefined lanes of its own AVX-512 intrinsics for mistakes of the caller, and a text in quotes
  # plus a std::string for copies that overlap.
  list(APPEND warning_flags -Wno-maybe-uninitialized -Wno-uninitialized -Wno-restrict)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(arm|aarch64)")
    list(APPEND warning_flags -Wno-psabi)  # notes on what g++ 7 changed, for each iterator of a vector
  endif()
endif()

# Links the library with the flags of this build: what every own program links.
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
    # Beside its headers the host's /usr/include has those of the host's C library.
    get_target_property(json_headers nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
    list(GET json_headers 0 json_headers)  # Debian's package names them twice
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/json)
    file(CREATE_LINK ${json_headers}/nlohmann ${PROJECT_BINARY_DIR}/json/nlohmann SYMBOLIC)
    set_target_properties(nlohmann_json::nlohmann_json PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${PROJECT_BINARY_DIR}/json)
  endif()
  target_link_libraries(fewbit_developer INTERFACE nlohmann_json::nlohmann_json)
endif()

# A cross build has no GoogleTest of its own to find: the Debian package ships the sources.
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

# Programs for instruction sets that this processor may lack run through a guard, which skips.
if(FEWBIT_MARCH AND NOT FEWBIT_MARCH STREQUAL "native" AND NOT CMAKE_CROSSCOMPILING)
  add_executable(cpu_guard ${PROJECT_SOURCE_DIR}/tests/support/cpu_guard.cpp
                           ${PROJECT_SOURCE_DIR}/tests/support/cpu_needs.cpp)
  target_link_libraries(cpu_guard PRIVATE fewbit::fewbit)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tests/support/cpu_needs.cpp
                              PROPERTIES COMPILE_OPTIONS "${arch_flags}")
endif()

# Builds the tests that every preset runs.
add_custom_target(isa_tests)
# Builds what the preset `slow` tests and the preset `test` leaves out, for its time.
add_custom_target(slow_tests)
if(TARGET cpu_guard)
  add_dependencies(isa_tests cpu_guard)
endif()

# What most tests include, parsed once per build. No header of the library is among them, so that a
# change to one rebuilds only the tests that include it.
# test_headers_plain is the same for programs that are not optimized.
file(CONFIGURE OUTPUT test_headers.cpp CONTENT "")
foreach(headers IN ITEMS test_headers test_headers_plain)
  add_library(${headers} OBJECT EXCLUDE_FROM_ALL ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cpp)
  target_link_libraries(${headers} PRIVATE fewbit_developer GTest::gtest_main Threads::Threads)
  target_precompile_headers(${headers} PRIVATE <gtest/gtest.h> <Eigen/Core> <random>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # After precompiled headers g++ 12 shows false warnings about std::string that it else suppresses.
    target_compile_options(${headers} INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
  endif()
endforeach()
target_compile_options(test_headers_plain PUBLIC -O0)

# How the output of GoogleTest ends when no test ran; where one failed, more follows.
set(only_skipped "\\[  PASSED  \\] 0 tests\\.\n(\\[  SKIPPED \\] [^\n]*\n)+[ \n]*$" "Running 0 tests from 0 test suites")

# Adds the ctest entry `name`: `program` runs the tests of `source` and leaves out those of its other sources. The
# names of the suites select them; CMake reads the source again when it changes. `suites_of_program` lists the suites
# of the sources before. Two sources of a program must not share one: its tests would run twice.
function(add_tests_of_source name program source)
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR}/tests APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(STRINGS ${source} suites REGEX "^(TYPED_)?TEST(_F|_P)?\\(")
  list(TRANSFORM suites REPLACE "^[A-Z_]+\\(([a-z0-9_]+),.*" "\\1")
  list(REMOVE_DUPLICATES suites)
  if(NOT suites)
    message(FATAL_ERROR "${source} has no tests")
  endif()
  set(filter "")
  foreach(suite IN LISTS suites)
    if(suite IN_LIST suites_of_program)
      message(FATAL_ERROR "${source}: another source of ${program} has a suite named ${suite}, too")
    endif()
    list(APPEND filter "${suite}.*" "${suite}/*" "*/${suite}.*")  # plain, typed, with values of a name
  endforeach()
  list(JOIN filter ":" filter)
  set(suites_of_program ${suites_of_program} ${suites} PARENT_SCOPE)

  set(guard "")
  if(TARGET cpu_guard)
    set(guard cpu_guard)
  endif()
  if(guard)
    add_test(NAME ${name} COMMAND ${guard} $<TARGET_FILE:${program}> --gtest_filter=${filter})
  else()
    # By the name of its target: CMake puts the emulator of a cross build before that.
    add_test(NAME ${name} COMMAND ${program} --gtest_filter=${filter})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS all TIMEOUT 1200 SKIP_RETURN_CODE 77
                       SKIP_REGULAR_EXPRESSION "${only_skipped}")
endfunction()

# fewbit_tests(<program> [ISA] [JSON] [PLAIN] [SLOW] [OWN_HEADERS] [AGAIN <word>] [DEFINES <macros>...] [FLAGS <flags>...]
#              SOURCES <folder>/<header>...)
# makes one program of the sources tests/<folder>/<header>_test.cpp. It is compiled as one translation unit, because
# the headers and the templates that sources share take most of the time. The namespace of each source is its path,
# so names of two sources do not collide. Each source has a ctest entry of its own, <folder>_<header>_test, with the
# label `all`. A source counts as skipped if all its tests skip.
#
# ISA          the result could depend on the instruction set: every preset builds and runs it (label `isa`)
# JSON         the program is left out where nlohmann-json is missing
# PLAIN        compiled without optimization: nothing that is checked depends on it, and little time is spent running
# SLOW         left to the preset `slow`: it takes long, and other tests check most of the same code
# OWN_HEADERS  parses all headers itself, in place of the precompiled ones
# AGAIN        sources that another program has, too: the entries become <folder>_<header>_<word>_test
# DEFINES      macros that the precompiled headers do not use
# FLAGS        flags after those of the build, so that -O3 among them wins; they imply OWN_HEADERS
function(fewbit_tests program)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ISA;JSON;PLAIN;SLOW;OWN_HEADERS" "AGAIN" "DEFINES;FLAGS;SOURCES")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_SOURCES)
    message(FATAL_ERROR "fewbit_tests(${program}): expected SOURCES, got \"${arg_UNPARSED_ARGUMENTS}\"")
  endif()
  if(arg_JSON AND NOT TARGET nlohmann_json::nlohmann_json)
    message(STATUS "${program} reads JSON and is left out: nlohmann-json was not found")
    return()
  endif()

  add_executable(${program})
  set_target_properties(${program} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)  # 0: all sources in one unit
  target_link_libraries(${program} PRIVATE fewbit_developer GTest::gtest_main Threads::Threads)
  target_compile_definitions(${program} PRIVATE ${arg_DEFINES})
  if(arg_OWN_HEADERS OR arg_FLAGS)
    target_compile_options(${program} PRIVATE $<$<BOOL:${arg_PLAIN}>:-O0> ${arg_FLAGS})
  else()
    set(headers test_headers)
    if(arg_PLAIN AND NOT CMAKE_CXX_FLAGS_RELEASE MATCHES "-O0")
      set(headers test_headers_plain)
    endif()
    target_link_libraries(${program} PRIVATE ${headers})
    target_precompile_headers(${program} REUSE_FROM ${headers})
  endif()

  set(suites_of_program "")
  foreach(path IN LISTS arg_SOURCES)
    set(source ${PROJECT_SOURCE_DIR}/tests/${path}_test.cpp)
    if(NOT EXISTS ${source})
      message(FATAL_ERROR "fewbit_tests(${program}): there is no ${source}")
    endif()
    target_sources(${program} PRIVATE ${source})
    string(REPLACE "/" "_" name ${path})
    if(arg_AGAIN)
      string(APPEND name _${arg_AGAIN})
    endif()
    add_tests_of_source(${name}_test ${program} ${source})
    if(arg_ISA)
      set_tests_properties(${name}_test PROPERTIES LABELS "all;isa")
    elseif(arg_SLOW)
      set_tests_properties(${name}_test PROPERTIES LABELS "all;slow")
    endif()
  endforeach()
  if(arg_SLOW)
    set_target_properties(${program} PROPERTIES EXCLUDE_FROM_ALL ON)
    add_dependencies(slow_tests ${program})
  endif()
  if(arg_ISA)
    add_dependencies(isa_tests ${program})
  endif()
endfunction()

# fewbit_fuzz(<folder>/<header>): tests/<folder>/<header>_fuzz.cpp becomes the libFuzzer program
# <folder>_<header>_fuzz, which FEWBIT_FUZZ asks for; the target `fuzz` builds all of them and runs
# each for ten seconds.
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

# fewbit_example(<task> [SLOW]): the program examples/<task>.cpp, optimized as a user would have it, or as the tests
# are with FEWBIT_QUICK_EXAMPLES. SLOW leaves it to slow_tests.
function(fewbit_example task)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SLOW" "" "")
  add_executable(${task} ${PROJECT_SOURCE_DIR}/examples/${task}.cpp)
  target_link_libraries(${task} PRIVATE fewbit_developer)
  if(NOT FEWBIT_QUICK_EXAMPLES)
    target_compile_options(${task} PRIVATE -O3)
    target_compile_definitions(${task} PRIVATE NDEBUG)
  endif()
  if(arg_SLOW AND FEWBIT_QUICK_EXAMPLES)
    target_compile_options(${task} PRIVATE -O1)  # tests without optimization would take minutes
    set_target_properties(${task} PROPERTIES EXCLUDE_FROM_ALL ON)
    add_dependencies(slow_tests ${task})
  endif()
endfunction()

# fewbit_benchmark(<folder>_benchmark): benchmarks/<folder>_benchmark.cpp with benchmarks/<folder>/*.cpp
# becomes a program that the target `bench` runs. Always fully optimized and without assertions,
# whatever the preset.
function(fewbit_benchmark name)
  string(REGEX REPLACE "_benchmark$" "" folder ${name})
  file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/${folder}/*.cpp)
  add_executable(${name} EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/benchmarks/${name}.cpp ${parts})
  target_link_libraries(${name} PRIVATE fewbit_developer benchmark::benchmark Threads::Threads)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/benchmarks)
  target_compile_options(${name} PRIVATE -O3)
  target_compile_definitions(${name} PRIVATE NDEBUG)
  # Interleaved repetitions keep a change of the clock rate from favouring some rows over others.
  add_custom_target(bench_${name}
                    COMMAND ${name} --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
                            --benchmark_report_aggregates_only=true
                    USES_TERMINAL)
  add_dependencies(bench bench_${name})
endfunction()
