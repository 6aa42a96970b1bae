# Runs the weight compression example on all its images and reads its JSON. 4-bit codebooks must be better
# than uniform 4-bit codes of the same size plus the levels. At the same size, a method that uses the
# inputs must be better than one that does not.
#   cmake -DPROGRAM=<compress_weights> -DDATA=<folder> -DJSON=<path to write> -P check_compress_weights.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS resnet cifar10)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

file(REMOVE ${JSON})
string(REGEX REPLACE "\\.json$" ".svg" picture ${JSON})
file(REMOVE ${picture})
execute_process(COMMAND ${PROGRAM} --rows few --data ${DATA} --json ${JSON} --svg ${picture} COMMAND_ERROR_IS_FATAL ANY)

read_table(${JSON} top1_percent 2)

# expect_better(<scheme> <other>)
function(expect_better scheme other)
  value_of("${scheme}" value)
  value_of("${other}" beaten)
  if(NOT value GREATER beaten)
    message(FATAL_ERROR "${scheme} in hundredths of a percent is ${value}, expected more than ${beaten}")
  endif()
endfunction()
expect_better("codebook 4, learned" "int4")
expect_better("codebook 4, activation-aware" "codebook 4, learned")
expect_better("blocks of 3, activation-aware" "blocks of 3")

read_table(${JSON} weight_bytes 0)
value_of("int4" uniform)
math(EXPR with_levels "${uniform} + 20 * 64")  # 16 floats for each layer
foreach(scheme IN ITEMS "codebook 4, learned" "codebook 4, activation-aware")
  value_of("${scheme}" bytes)
  expect_near("bytes of ${scheme}" ${bytes} ${with_levels} 0)
endforeach()
value_of("blocks of 3" plain)
value_of("blocks of 3, activation-aware" bytes)
expect_near("bytes of blocks of 3, activation-aware," ${bytes} ${plain} 0)

file(READ ${picture} drawn)
foreach(scheme IN LISTS schemes)
  if(NOT drawn MATCHES ">${scheme}: ")
    message(FATAL_ERROR "${picture} does not show ${scheme}")
  endif()
endforeach()
