# Compiles each header under ROOT alone with the command COMPILE. Each must fail with exactly one error,
# which contains the words WORDS:
#   cmake -DCOMPILE=<command> -DROOT=include/fewbit -DWORDS=<words> -P cmake/check_refusal.cmake

cmake_minimum_required(VERSION 3.25)

separate_arguments(command UNIX_COMMAND "${COMPILE} -fsyntax-only -w -x c++")
file(GLOB_RECURSE headers ${ROOT}/*.hpp)
list(FILTER headers EXCLUDE REGEX "/end\\.hpp$")  # not a complete header
list(LENGTH headers count)
if(count EQUAL 0)
  message(FATAL_ERROR "check_refusal: no header under ${ROOT}")
endif()

set(failures 0)
foreach(header IN LISTS headers)
  execute_process(COMMAND ${command} ${header} OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX MATCHALL "error: [^\n]*" errors "${output}")
  list(LENGTH errors number)
  string(FIND "${errors}" "${WORDS}" position)
  if(NOT number EQUAL 1 OR position EQUAL -1)
    message(NOTICE "${header}: ${number} errors, expected one that says: ${WORDS}\n${errors}")
    math(EXPR failures "${failures} + 1")
  endif()
endforeach()

if(failures GREATER 0)
  message(FATAL_ERROR "check_refusal: ${failures} of ${count} headers do not fail with that one error")
endif()
message(NOTICE "check_refusal: ${count} headers fail with that one error")
