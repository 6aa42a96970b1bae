# Compiles SOURCE with the command COMPILE and expects an error. The first line of SOURCE gives the words
# that the output must contain, `// expect: <words>`. With `// expect only: <words>` there must be exactly
# one error, and it must contain the words. With MUST_COMPILE the compilation must succeed. A second line
# `// flags: <flags>` adds flags to the command. Without such a line, the header PRECOMPILED, if given, is
# included first.

cmake_minimum_required(VERSION 3.25)

# Prints the text as a plain line first, because CMake wraps the lines of its errors.
macro(fail text)
  message(NOTICE "${SOURCE}: ${text}")
  message(FATAL_ERROR "check_misuse: the file breaks the rule of its first line")
endmacro()

file(STRINGS ${SOURCE} first_lines LIMIT_COUNT 2)
list(POP_FRONT first_lines first_line second_line)
if(NOT first_line MATCHES "^// expect( only)?: (.+)$")
  fail("the first line is not // expect: <words>")
endif()
set(only "${CMAKE_MATCH_1}")
string(REPLACE "\\;" ";" words "${CMAKE_MATCH_2}")  # file(STRINGS) escapes them

set(flags "")
if(PRECOMPILED)
  set(flags "-include ${PRECOMPILED}")
endif()
if(second_line MATCHES "^// flags: (.+)$")
  set(flags "${CMAKE_MATCH_1}")
endif()

separate_arguments(command UNIX_COMMAND "${COMPILE} ${flags} -c ${SOURCE} -o /dev/null")
execute_process(COMMAND ${command} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)

if(MUST_COMPILE)
  if(NOT result EQUAL 0)
    fail("does not compile, but should\n${output}")
  endif()
elseif(result EQUAL 0)
  fail("compiles, but should not")
else()
  string(FIND "${output}" "${words}" position)
  if(position EQUAL -1)
    fail("fails with other words than: ${words}\n${output}")
  endif()
  string(REGEX MATCHALL "error: " errors "${output}")
  list(LENGTH errors count)
  if(only AND NOT count EQUAL 1)
    fail("fails with ${count} errors, expected one\n${output}")
  endif()
endif()
