# Runs foreign_host, and plain_host, which has the flags of this build. All lines must have the same bits.
# Also checks the shared libraries of foreign_host:
# - Each exports one function.
# - The AVX2 library runs no code when it is loaded, because a processor without AVX2 loads it too.
# - The baseline library uses no wide register.
#   cmake -DHOST=<command> -DPLAIN=<command> -DLIBRARIES=<files> -DNM=<nm> -DOBJDUMP=<objdump>
#         -P check_foreign_host.cmake

cmake_minimum_required(VERSION 3.25)

macro(red text)
  message(NOTICE "${text}")
  message(FATAL_ERROR "check_foreign_host is red")
endmacro()

execute_process(COMMAND ${HOST} OUTPUT_VARIABLE host COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${PLAIN} OUTPUT_VARIABLE plain COMMAND_ERROR_IS_FATAL ANY)
message(NOTICE "${host}${plain}")

# The test is only valid if the host flushes subnormal numbers. The library must restore the environment.
if(host MATCHES "numbers: no" AND LIBRARIES MATCHES "avx2")
  red("the host was linked with -Ofast, but does not flush subnormal numbers")
endif()
string(REGEX MATCH "numbers: ([a-z]+)" before "${host}")
set(before "${CMAKE_MATCH_1}")
if(NOT host MATCHES "afterwards: ${before}")
  red("the environment of the host was not given back")
endif()

string(REGEX MATCHALL "outputs [^\n]*" lines "${host}${plain}")
list(LENGTH lines count)
list(REMOVE_DUPLICATES lines)
list(LENGTH lines different)
if(count LESS 2 OR NOT different EQUAL 1)
  red("${different} different results in ${count} lines")
endif()
if(NOT lines MATCHES ", [1-9][0-9]* subnormal")
  red("no output is subnormal")
endif()

foreach(library IN LISTS LIBRARIES)
  execute_process(COMMAND ${NM} -D --defined-only ${library} OUTPUT_VARIABLE exported COMMAND_ERROR_IS_FATAL ANY)
  if(NOT exported MATCHES "^[0-9a-f]+ T scorer_[a-z0-9]+\n$")
    red("${library} exports more than one function\n${exported}")
  endif()
  execute_process(COMMAND ${NM} ${library} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  if(library MATCHES "avx2" AND symbols MATCHES "_GLOBAL__sub_I")
    red("${library} runs code when it is loaded, before the host can choose")
  endif()
  execute_process(COMMAND ${OBJDUMP} -d ${library} OUTPUT_VARIABLE code COMMAND_ERROR_IS_FATAL ANY)
  string(FIND "${code}" "%ymm" position)
  if(library MATCHES "baseline" AND NOT position EQUAL -1)
    red("${library} holds instructions that the baseline lacks")
  elseif(library MATCHES "avx2" AND position EQUAL -1)
    red("${library} holds no instruction of AVX2")
  endif()
endforeach()
