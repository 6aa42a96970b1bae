# Runs the CIFAR-10 example on all its images and reads its JSON. Every int8 row must be within half a
# percentage point of float32, for ResNet-20 and, in integers alone, for ResNet-32. Rows that the reference
# data also simulates must be within 0.3 of it.
#   cmake -DPROGRAM=<resnet_cifar10> -DDATA=<folder> -DJSON=<path to write> -P check_resnet_cifar10.cmake

include(${CMAKE_CURRENT_LIST_DIR}/read_table.cmake)

foreach(name IN ITEMS resnet cifar10 baselines.json)
  if(NOT EXISTS ${DATA}/${name})
    message(NOTICE "no data: ${DATA}/${name} is missing")  # CMake breaks the lines of its errors
    message(FATAL_ERROR "nothing was checked")
  endif()
endforeach()

# run(<least> <option>...): expects at least <least> int8 rows.
macro(run least)
  file(REMOVE ${JSON})
  execute_process(COMMAND ${PROGRAM} --data ${DATA} --json ${JSON} ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
  read_table(${JSON} top1_percent 2)
  set(int8 ${schemes})
  list(FILTER int8 INCLUDE REGEX "^int8")
  list(LENGTH int8 count)
  if(count LESS ${least})
    message(FATAL_ERROR "${count} rows of int8, expected at least ${least}")
  endif()
  value_of("float32" float)
  foreach(scheme IN LISTS int8)
    value_of("${scheme}" accuracy)
    expect_near("${scheme} in hundredths of a percent, beside float32," ${accuracy} ${float} 50)
  endforeach()
endmacro()

run(1 --depth 32 --rows integer)
run(5)

file(READ ${DATA}/baselines.json baselines)
function(expect_as_simulated scheme simulated)
  string(JSON number GET "${baselines}" resnet resnet20 ${simulated} public6000)
  as_integer(${number} 2 reference)
  value_of("${scheme}" accuracy)
  expect_near("${scheme} in hundredths of a percent, beside its simulation," ${accuracy} ${reference} 30)
endfunction()
expect_as_simulated("int8, max" w8a8_max)
expect_as_simulated("int8, percentile 99.99" w8a8_p99.99)
expect_as_simulated("int8, entropy" w8a8_entropy)
