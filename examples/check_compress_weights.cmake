# Runs the weight compression example on all its images and reads its JSON: codebooks of 4 bits must be
# strictly better than uniform steps of 4 bits, at the same size but for their levels, and better still
# where they know the inputs.
#   cmake -DPROGRAM=<compress_weights> -DDATA=<folder> -DJSON=<path to write> -P check_compress_weights.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS resnet cifar10)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

file(REMOVE ${JSON})
execute_process(COMMAND ${PROGRAM} --data ${DATA} --json ${JSON} COMMAND_ERROR_IS_FATAL ANY)

read_table(${JSON} top1_percent 2)

# expect_better(<scheme> <other> <by>): in hundredths of a percent.
function(expect_better scheme other by)
  value_of("${scheme}" value)
  value_of("${other}" least)
  math(EXPR least "${least} + ${by}")
  if(value LESS least)
    message(FATAL_ERROR "${scheme} in hundredths of a percent is ${value}, expected ${least} or more")
  endif()
endfunction()
expect_better("codebook 4, quantiles" "int4" 1)
expect_better("codebook 4, learned" "int4" 1)
expect_better("codebook 4, activation-aware" "codebook 4, learned" 100)

# 16 levels of 4 bytes: one list, or one for each of 20 layers.
read_table(${JSON} weight_bytes 0)
value_of("int4" uniform)
math(EXPR with_one "${uniform} + 64")
math(EXPR with_each "${uniform} + 20 * 64")
foreach(scheme IN ITEMS "codebook 4, quantiles" "codebook 4, learned" "codebook 4, activation-aware")
  value_of("${scheme}" bytes)
  expect_near("bytes of ${scheme}" ${bytes} ${with_each} 0)
endforeach()
value_of("codebook 4, one list" bytes)
expect_near("bytes of codebook 4, one list," ${bytes} ${with_one} 0)
