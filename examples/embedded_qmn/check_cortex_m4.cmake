# Checks a program of the preset cortex-m4 and prints its costs:
# - Its symbols show no float, no heap and no exception.
# - Under qemu it prints what the same program prints on this machine (HOST).
#   cmake -DPROGRAM=<elf> -DNM=<nm> [-DHOST=<program> -DCOST=<elf> -DSIZE=<size> -DQEMU=<emulator>] -P check_cortex_m4.cmake

cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${NM} ${PROGRAM} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "(__aeabi_([fd]|[a-z]+2[fd])|malloc|calloc|realloc|_sbrk|_Zn[wa]|__cxa_|_Unwind|printf)[a-zA-Z0-9_]*"
       found "${symbols}")
if(found)
  list(REMOVE_DUPLICATES found)
  list(JOIN found " " found)
  message(FATAL_ERROR "${PROGRAM} uses ${found}")
endif()
if(NOT HOST)
  return()
endif()

if(NOT QEMU)
  message(NOTICE "embedded: no qemu-system-arm was found; cmake/setup.sh --embedded installs it")
  return()
endif()
# With -icount the clock advances by 1 ns for each instruction.
macro(run_under_qemu program out)
  execute_process(COMMAND ${QEMU} -M mps2-an386 -display none -monitor none -serial none -chardev stdio,id=out
                          -semihosting-config enable=on,target=native,chardev=out ${ARGN} -kernel ${program}
                  OUTPUT_VARIABLE ${out} INPUT_FILE /dev/null TIMEOUT 60 COMMAND_ERROR_IS_FATAL ANY)
endmacro()
execute_process(COMMAND ${HOST} OUTPUT_VARIABLE expected COMMAND_ERROR_IS_FATAL ANY)
run_under_qemu(${PROGRAM} printed)
string(REPLACE "\r" "" printed "${printed}")
message(NOTICE "${printed}")
if(NOT printed STREQUAL expected OR NOT printed MATCHES "[0-9]+ of [0-9]+ images are right")
  message(FATAL_ERROR "qemu printed other lines than this machine:\n${expected}")
endif()

execute_process(COMMAND ${SIZE} ${PROGRAM} OUTPUT_VARIABLE sizes COMMAND_ERROR_IS_FATAL ANY)
message(NOTICE "${sizes}")
execute_process(COMMAND ${NM} --demangle --print-size --radix=d ${PROGRAM} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE ";" "," symbols "${symbols}")
foreach(pair IN ITEMS "q7_convolution=q7_conv2d" "q7_linear_layer=q7_linear" "q7_largest=q7_max_pool2d" "q7_mean=q7_average_pool2d")
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 symbol)
  list(GET pair 1 name)
  if(NOT symbols MATCHES "[0-9]+ 0*([0-9]+) [a-zA-Z] [^\n]*${symbol}[^\n]*operator\\(\\)")
    message(FATAL_ERROR "${PROGRAM} has no symbol of ${name}")
  endif()
  message(NOTICE "${name}: ${CMAKE_MATCH_1} bytes of code")
endforeach()
run_under_qemu(${COST} costs -icount shift=0)
message(NOTICE "\n${costs}")
