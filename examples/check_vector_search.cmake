# Runs the search example and reads its JSON. More bytes must find more of the nearest vectors. With few
# bytes, a rotation and two levels of codes must each find more. The largest codes must find most of them.
#   cmake -DPROGRAM=<vector_search> -DDATA=<folder> -DJSON=<path to write> -P check_vector_search.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS resnet cifar10)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --data ${DATA} --json ${JSON} COMMAND_ERROR_IS_FATAL ANY)
read_table(${JSON} recall_percent 2)

# expect_more(<row> <reference> <difference>), in hundredths of a percent
function(expect_more row reference difference)
  value_of("${row}" value)
  math(EXPR least "${reference} + ${difference}")
  if(value LESS least)
    message(FATAL_ERROR "${row}: ${value} hundredths of a percent are found, expected at least ${least}")
  endif()
endfunction()

foreach(method IN ITEMS "8-bit codes" "4-bit codes" "8-bit codes, rotated" "4-bit codes, rotated"
                        "8-bit codes, rotated, ranked again")
  set(last 0)
  foreach(bytes IN ITEMS 4 8 16 32)
    expect_more("${method}, ${bytes} bytes" ${last} 20)
    value_of("${method}, ${bytes} bytes" last)
  endforeach()
endforeach()
foreach(bits IN ITEMS 8 4)
  foreach(bytes IN ITEMS 4 8 16)
    value_of("${bits}-bit codes, ${bytes} bytes" plain)
    expect_more("${bits}-bit codes, rotated, ${bytes} bytes" ${plain} 300)
  endforeach()
endforeach()
value_of("8-bit codes, 16 bytes" one_level)
expect_more("8-bit codes of residuals, 17 bytes" ${one_level} 300)
expect_more("8-bit codes, 32 bytes" 8600 0)
expect_more("8-bit codes, rotated, ranked again, 32 bytes" 9300 0)
