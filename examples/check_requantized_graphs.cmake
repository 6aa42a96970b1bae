# Quantizes MobileNetV2 and the keyword network anew and reads the JSON. With ranges of the least mean squared
# error, MobileNetV2 in integers must name 106 of the 120 given images right (107 in float). The keyword network
# must reach 89.8 %.
#   cmake -DPROGRAM=<requantized_graphs> -DDATA=<folder> -DJSON=<path to write> -P check_requantized_graphs.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS mobilenetv2_int8 mlperf_tiny)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

# expect_right(<network> <key> <decimals> <row> <least>)
function(expect_right network key decimals row least)
  read_table(${JSON} ${key} ${decimals})
  value_of("${row}" value)
  if(value LESS least)
    message(FATAL_ERROR "${network}, ${row}: ${key} is ${value}, expected at least ${least}")
  endif()
endfunction()

function(run network)
  file(REMOVE ${JSON})
  execute_process(COMMAND ${PROGRAM} --data ${DATA} --network ${network} --json ${JSON} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(mobilenetv2)
expect_right(mobilenetv2 right 0 "float32" 107)
expect_right(mobilenetv2 right 0 "integers, mse" 106)
run(keywords)
expect_right(keywords top1_percent 2 "integers, max" 8980)
expect_right(keywords top1_percent 2 "integers, mse" 8980)
