# Runs the digits demo and reads its JSON: every int8 row must be within one point of float32.
#   cmake -DPROGRAM=<digits> -DJSON=<path to write> -P check_digits.cmake

file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --json ${JSON} COMMAND_ERROR_IS_FATAL ANY)
file(READ ${JSON} text)

# hundredths(<scheme> <out>): the accuracy of a row in hundredths of a percent.
function(hundredths scheme out)
  if(NOT text MATCHES "\"scheme\": \"${scheme}\", \"accuracy_percent\": ([0-9]+)\\.([0-9][0-9])")
    message(FATAL_ERROR "no row '${scheme}' in ${JSON}")
  endif()
  set(${out} "${CMAKE_MATCH_1}${CMAKE_MATCH_2}" PARENT_SCOPE)
endfunction()

hundredths("float32" float)
string(REGEX MATCHALL "\"scheme\": \"int8 [^\"]*\"" rows "${text}")
list(LENGTH rows count)
if(count LESS 9 OR float LESS 9500)
  message(FATAL_ERROR "${count} rows of int8, float32 at ${float} hundredths; expected 9 rows and at least 95 %")
endif()
foreach(row IN LISTS rows)
  string(REGEX REPLACE "^\"scheme\": \"(.*)\"$" "\\1" scheme "${row}")
  hundredths("${scheme}" accuracy)
  math(EXPR loss "${float} - ${accuracy}")
  if(loss GREATER 100)
    message(FATAL_ERROR "${scheme} loses ${loss} hundredths of a percent against float32, expected at most 100")
  endif()
endforeach()
