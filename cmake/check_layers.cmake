# Checks the table of layers and the house rules that a text search can check:
#   cmake -DROOT=include/fewbit -P cmake/check_layers.cmake
# Prints one line for each violation. Fails if there is any.

cmake_minimum_required(VERSION 3.25)

# The layers, lowest first, and the layers that each may include. Inclusion is transitive.
set(layers config arch core quant gemm calib codebook ops equalize diagnose search train verify formats io)
set(config_may "")
set(arch_may config)
set(core_may arch)
set(quant_may core)
set(gemm_may core)
set(calib_may quant)
set(codebook_may quant gemm)
set(ops_may quant gemm codebook)
set(equalize_may ops calib)
set(diagnose_may equalize)
set(search_may diagnose)
set(train_may quant)
set(verify_may ops)
set(formats_may quant)
set(io_may formats codebook ops diagnose)

set(not_in_umbrella codebook equalize diagnose search train verify formats io)

# Tables of contents. A header must be named in one of them or in a list below.
set(contents fewbit.hpp arch/all.hpp)

# Every header includes begin.hpp first and end.hpp last. The two belong to no layer.
set(halves begin.hpp end.hpp)

# Headers that no list names, because every header includes them or only other headers need them.
set(private config.hpp ${halves} arch/avx2_taps.hpp arch/bitalg.hpp arch/float_lookup.hpp arch/neon_taps.hpp
    arch/vnni.hpp calib/batch.hpp calib/compact_counts.hpp calib/mirrored_counts.hpp calib/octave_counts.hpp
    calib/text.hpp quant/array_pieces.hpp
    quant/element_params.hpp quant/encode_integers.hpp quant/encode_signs.hpp quant/group_choices.hpp)

# Standard headers that take longer to compile than the rest of a header of this library.
set(costly ranges format random thread iostream regex map unordered_map)

# These headers may include costly ones, because only the user's own code includes them.
set(by_name_only core/executor_adapters.hpp ops/linear/pq.hpp)

set(intrinsic_name "(^|[^A-Za-z0-9_])(_mm(256|512)?_[a-z]|v(ld|st|add|mul|dot|mmla)[0-9a-z]*q?_[suf](8|16|32)|__builtin_ia32_|__builtin_neon_)")
set(intrinsic_header "<(immintrin|x86intrin|[a-z]mmintrin|arm_neon|arm_acle)\\.h>")

# Lower layers come first, so one pass computes the transitive closure.
foreach(layer IN LISTS layers)
  set(closed ${layer})
  foreach(lower IN LISTS ${layer}_may)
    list(APPEND closed ${${lower}_closed})
  endforeach()
  list(REMOVE_DUPLICATES closed)
  set(${layer}_closed ${closed})
endforeach()

set(violations 0)
macro(violation text)
  message(NOTICE "${header}: ${text}")
  math(EXPR violations "${violations} + 1")
endmacro()

# Sets `result` to "gemm" for gemm/int8/multiply.hpp, "config" for config.hpp, "umbrella" for fewbit.hpp.
function(layer_of path result)
  string(REGEX REPLACE "/.*$" "" layer "${path}")
  string(REGEX REPLACE "\\.hpp$" "" layer "${layer}")
  string(REGEX REPLACE "^fewbit$" "umbrella" layer "${layer}")
  set(${result} "${layer}" PARENT_SCOPE)
endfunction()

macro(check_own_include target)
  layer_of("${target}" to)
  if(header IN_LIST contents)
    list(APPEND named "${target}")
  endif()
  if(to STREQUAL "umbrella")
    violation("includes the umbrella fewbit.hpp")
  elseif("${target}" IN_LIST by_name_only)
    violation("${target} is for the user to include by name")
  elseif(from STREQUAL "umbrella")
    if(to IN_LIST not_in_umbrella)
      violation("the umbrella leaves out ${to}/, but includes ${target}")
    endif()
  elseif(NOT to IN_LIST ${from}_closed)
    violation("${from} may not include ${target}: it climbs the table of layers")
  endif()
  if(NOT EXISTS "${ROOT}/${target}")
    violation("includes ${target}, which does not exist")
  endif()
endmacro()

macro(check_include line)
  if(line MATCHES "\"fewbit/(begin|end)\\.hpp\"")
    # The check of the whole header tests the position of these two.
  elseif(header STREQUAL "config.hpp" AND line MATCHES "\"fewbit[ :]")
    # The line is an error sentence, not a file name.
  elseif(line MATCHES "\"fewbit/([^\"]+)\"")
    check_own_include("${CMAKE_MATCH_1}")
  elseif(line MATCHES "\"")
    violation("relative include: ${line}")
  elseif(line MATCHES "<fewbit/")
    violation("angle brackets for an own header: ${line}")
  elseif(line MATCHES "${intrinsic_header}" AND NOT from STREQUAL "arch")
    violation("intrinsics outside arch/: ${line}")
  elseif(line MATCHES "<([a-z_]+)>" AND CMAKE_MATCH_1 IN_LIST costly AND NOT header IN_LIST by_name_only)
    violation("costly include: ${line}")
  endif()
endmacro()

file(GLOB_RECURSE headers RELATIVE ${ROOT} ${ROOT}/*)
list(LENGTH headers count)
if(count EQUAL 0)
  message(FATAL_ERROR "check_layers: no header under ${ROOT}")
endif()

set(named fewbit.hpp)
foreach(header IN LISTS headers)
  if(header IN_LIST halves)
    continue()
  endif()
  layer_of("${header}" from)
  if(NOT from STREQUAL "umbrella" AND NOT from IN_LIST layers)
    violation("the folder ${from}/ is not in the table of layers")
    continue()
  endif()
  file(READ "${ROOT}/${header}" content)
  if(NOT content MATCHES "^#pragma once\n///")
    violation("does not open with #pragma once and a /// block")
  endif()
  # The test trees of tests/layers that break other rules do not include begin.hpp and end.hpp.
  if(begin.hpp IN_LIST headers AND NOT header STREQUAL "config.hpp")
    if(NOT content MATCHES "^#pragma once\n(///[^\n]*\n)+\n#include \"fewbit/begin.hpp\"\n\n")
      violation("does not include begin.hpp before all else")
    endif()
    if(NOT content MATCHES "\n\n#include \"fewbit/end.hpp\"\n$")
      violation("does not end with the include of end.hpp")
    endif()
  endif()

  # CMake treats brackets and semicolons in lists specially.
  string(REGEX REPLACE "[][;]" " " content "${content}")
  string(REPLACE "\n" ";" lines "${content}")
  foreach(line IN LISTS lines)
    if(line MATCHES "^[ \t]*#[ \t]*include")
      check_include("${line}")
    elseif(header STREQUAL "fewbit.hpp" AND line MATCHES "^// fewbit/([a-z0-9_/]+\\.hpp) ")
      # Listed in the table of contents for programs to include by name.
      list(APPEND named "${CMAKE_MATCH_1}")
    elseif(line MATCHES "^[ \t]*#[ \t]*define[ \t]" AND NOT line MATCHES "define[ \t]+FEWBIT_")
      violation("macro without the prefix FEWBIT_: ${line}")
    elseif(line MATCHES "(arch|gemm)::detail::" AND NOT from STREQUAL "${CMAKE_MATCH_1}")
      violation("a name that only ${CMAKE_MATCH_1}/ may use: ${line}")
    elseif(line MATCHES "${intrinsic_name}" AND NOT from STREQUAL "arch")
      violation("intrinsics outside arch/: ${line}")
    endif()
  endforeach()
endforeach()

# The test trees of tests/layers that break other rules have no umbrella.
if(fewbit.hpp IN_LIST headers)
  foreach(header IN LISTS headers)
    layer_of("${header}" from)
    if(NOT header IN_LIST named AND NOT header IN_LIST private AND NOT header IN_LIST by_name_only
       AND NOT from IN_LIST not_in_umbrella)
      violation("neither in the table of contents fewbit.hpp nor among the private headers")
    endif()
  endforeach()
endif()

if(violations GREATER 0)
  message(FATAL_ERROR "check_layers: ${violations} violation(s) in ${count} headers")
endif()
message(NOTICE "check_layers: ${count} headers keep the table of layers")
