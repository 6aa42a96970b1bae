# Quantizes small trained networks and reads the JSON: int8 by the workflow must stay close to float, for few samples.
#   cmake -DPROGRAM=<accuracy_table> -DDATA=<folder> -DJSON=<path to write> -P check_accuracy_table.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS resnet cifar10 mobilenetv2_int8 mlperf_tiny silero_vad stories260k)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

# expect_close(<network> <key> <most>): the column differs from float by at most <most> hundredths.
function(expect_close network key most)
  file(REMOVE ${JSON})
  execute_process(COMMAND ${PROGRAM} --data ${DATA} --network ${network} --quick 1 --json ${JSON}
                  COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${JSON} text)
  string(JSON rows LENGTH "${text}" rows)
  if(NOT rows EQUAL 1)
    message(FATAL_ERROR "${network}: ${rows} rows, expected 1")
  endif()
  foreach(column IN ITEMS float ${key})
    string(JSON number GET "${text}" rows 0 ${column})
    as_integer(${number} 2 ${column})
  endforeach()
  expect_near("${network}: ${key}" ${${key}} ${float} ${most})
endfunction()

# A sample is 1 point of the keywords and 0.5 of the other two.
expect_close(keywords int8_workflow 500)
expect_close(ResNet-8 int8_workflow 250)
expect_close("Silero VAD" int8_workflow 200)
expect_close(stories260K int8_workflow 3)
expect_close(stories260K int4_workflow 40)
