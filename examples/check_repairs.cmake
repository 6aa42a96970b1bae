# Repairs trained networks and reads the JSON. Each repair must gain what it gained when it was written, less a margin
# for other instruction sets.
#   cmake -DPROGRAM=<repairs> -DDATA=<folder> -DJSON=<path to write> -P check_repairs.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS resnet cifar10 mobilenetv2_int8 silero_vad stories260k)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

# expect_between(<row> <key> <least> <most>), in hundredths
function(expect_between row key least most)
  read_table(${JSON} ${key} 2)
  value_of("${row}" value)
  if(value LESS least OR value GREATER most)
    message(FATAL_ERROR "${row}: ${key} is ${value} / 100, expected ${least} to ${most}")
  endif()
endfunction()

function(run network)
  file(REMOVE ${JSON})
  execute_process(COMMAND ${PROGRAM} --data ${DATA} --network ${network} --images 200 --json ${JSON}
                  COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(silero)
expect_between("Silero VAD, int8 per tensor, cross-layer" without 0 5000)
expect_between("Silero VAD, int8 per tensor, cross-layer" with 9850 10000)
expect_between("Silero VAD, int8, smoothing of conv1" without 9600 9850)
expect_between("Silero VAD, int8, smoothing of conv1" with 9890 10000)

run(stories)
expect_between("stories260K, int4 in groups of 32, biases by data" without 415 430)
expect_between("stories260K, int4 in groups of 32, biases by data" with 380 410)
expect_between("stories260K, int3 in groups of 32, biases by data" without 1250 1450)
expect_between("stories260K, int3 in groups of 32, biases by data" with 800 1100)

run(resnet)
expect_between("ResNet-20, int4 per row, biases by data" db_without 800 1300)
expect_between("ResNet-20, int4 per row, biases by data" db_with 1300 1800)
expect_between("ResNet-20, int4 per tensor, cross-layer and biases by data" db_without 400 900)
expect_between("ResNet-20, int4 per tensor, cross-layer and biases by data" db_with 900 1400)
