# Runs the digits demo and reads its JSON. Every int8 row must be within one percentage point of float32,
# and the network of convolutions in integers within one of its float32.
#   cmake -DPROGRAM=<digits> -DJSON=<path to write> -P check_digits.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --json ${JSON} COMMAND_ERROR_IS_FATAL ANY)
read_table(${JSON} accuracy_percent 2)

set(int8 ${schemes})
list(FILTER int8 INCLUDE REGEX "^int8")
list(LENGTH int8 count)
value_of("float32" float)
if(count LESS 9 OR float LESS 9500)
  message(FATAL_ERROR "${count} rows of int8, float32 at ${float} hundredths; expected 9 rows and at least 95 %")
endif()
foreach(scheme IN LISTS int8)
  value_of("${scheme}" accuracy)
  math(EXPR loss "${float} - ${accuracy}")
  if(loss GREATER 100)
    message(FATAL_ERROR "${scheme} loses ${loss} hundredths of a percent against float32, expected at most 100")
  endif()
endforeach()

value_of("convolutions, float32" float)
value_of("convolutions, integers only" accuracy)
if(float LESS 9500)
  message(FATAL_ERROR "convolutions in float32 reach ${float} hundredths of a percent, expected at least 9500")
endif()
expect_near("convolutions in integers, in hundredths of a percent, beside float32," ${accuracy} ${float} 100)
