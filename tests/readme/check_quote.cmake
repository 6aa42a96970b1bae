# Checks that the lines of QUOTE occur in FILE, one after the other. Indentation is ignored.
#   cmake -DFILE=<file> -DQUOTE=<file> -P check_quote.cmake

cmake_minimum_required(VERSION 3.25)

foreach(text IN ITEMS FILE QUOTE)
  file(READ ${${text}} lines)
  string(REGEX REPLACE "\n[ ]+" "\n" lines "\n${lines}\n")
  string(REGEX REPLACE "\n+$" "\n" ${text}_LINES "${lines}")
endforeach()
string(FIND "${FILE_LINES}" "${QUOTE_LINES}" position)
if(QUOTE_LINES STREQUAL "\n" OR position EQUAL -1)
  message(NOTICE "${FILE} lacks these lines of README.md${QUOTE_LINES}")
  message(FATAL_ERROR "check_quote: the lines differ")
endif()
