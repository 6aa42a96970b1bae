# Runs PROGRAM and compares its output with the file EXPECTED, ignoring a newline at the end.
#   cmake -DPROGRAM=<command> -DEXPECTED=<file> -P check_output.cmake

cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
file(READ ${EXPECTED} expected)
string(REGEX REPLACE "\n$" "" output "${output}")
string(REGEX REPLACE "\n$" "" expected "${expected}")
if(NOT output STREQUAL expected)
  message(NOTICE "prints something else than README.md says\n${output}\nexpected\n${expected}")
  message(FATAL_ERROR "check_output: the outputs differ")
endif()
