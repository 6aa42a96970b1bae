# Runs the MPI example with one to four processes and every split of the batches: all thresholds must have the bits
# of one process. Then kills a process twice, and lets other numbers of processes go on with the saved states.
#   cmake -DPROGRAM=<distributed_calibration> -DMPIEXEC=<mpirun> -DFOLDER=<folder to write> -P <this>

file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})

# Open MPI refuses root and more processes than cores unless it is told otherwise.
set(ENV{OMPI_ALLOW_RUN_AS_ROOT} 1)
set(ENV{OMPI_ALLOW_RUN_AS_ROOT_CONFIRM} 1)
set(ENV{OMPI_MCA_rmaps_base_oversubscribe} 1)
set(ENV{OMPI_MCA_btl_vader_single_copy_mechanism} none)

function(run processes)
  execute_process(COMMAND ${MPIEXEC} -n ${processes} ${PROGRAM} --batches 40 --save-every 2 ${ARGN}
                  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  set(result "${result}" PARENT_SCOPE)
  set(output "${output}" PARENT_SCOPE)
  set(errors "${errors}" PARENT_SCOPE)
endfunction()

function(expect_same_thresholds what)
  file(READ ${FOLDER}/one.txt want)
  file(READ ${FOLDER}/out.txt got)
  file(REMOVE ${FOLDER}/out.txt)
  if(NOT result STREQUAL "0" OR NOT want STREQUAL got)
    message(FATAL_ERROR "${what}: other thresholds than one process, result ${result}\n${output}${errors}")
  endif()
endfunction()

run(1 --out ${FOLDER}/one.txt)
if(NOT result STREQUAL "0")
  message(FATAL_ERROR "one process: result ${result}\n${output}${errors}")
endif()
file(STRINGS ${FOLDER}/one.txt lines)
list(LENGTH lines count)
if(NOT count EQUAL 105)  # three methods, 35 ranges
  message(FATAL_ERROR "one process wrote ${count} ranges, expected 105")
endif()

foreach(case IN ITEMS "2 blocks" "3 random" "4 strided" "4 blocks")
  string(REPLACE " " ";" case "${case}")
  list(GET case 0 processes)
  list(GET case 1 split)
  run(${processes} --split ${split} --out ${FOLDER}/out.txt)
  expect_same_thresholds("${processes} processes, ${split}")
endforeach()

# Process 1 of 4 dies, then process 0 of 2, then 3 processes finish. A dead process ends the run.
set(states --state ${FOLDER}/states)
run(4 ${states} --split strided --stop-rank 1 --stop-after 5)
if(result STREQUAL "0")
  message(FATAL_ERROR "the run with a dead process succeeded\n${output}")
endif()
run(2 ${states} --stop-rank 0 --stop-after 3)
if(result STREQUAL "0")
  message(FATAL_ERROR "the second run with a dead process succeeded\n${output}")
endif()
run(3 ${states} --out ${FOLDER}/out.txt)
expect_same_thresholds("3 processes with saved states")
if(NOT output MATCHES "3 processes; ([0-9]+) of 40 batches are in saved states" OR CMAKE_MATCH_1 LESS 6
   OR CMAKE_MATCH_1 GREATER 39)
  message(FATAL_ERROR "the last run did not go on with saved states\n${output}")
endif()
message(NOTICE "resumed with ${CMAKE_MATCH_1} of 40 batches")
