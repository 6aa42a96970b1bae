# Builds the preset cortex-m4 with the network of another build, and runs its tests. Ends with "embedded: no ..." where
# a tool is missing.
#   cmake -DSOURCE=<project> -DBINARY=<folder> -DNETWORK=<header> -DHOST_CXX=<compiler> -P build_cortex_m4.cmake

cmake_minimum_required(VERSION 3.25)

foreach(tool IN ITEMS arm-none-eabi-g++ qemu-system-arm ninja)
  find_program(path_of_${tool} ${tool})
  if(NOT path_of_${tool})
    message(NOTICE "embedded: no ${tool} was found; cmake/setup.sh --embedded installs it")
    return()
  endif()
endforeach()
file(WRITE ${BINARY}/headers.cpp "#include <cstring>\n#include <span>\n")
execute_process(COMMAND arm-none-eabi-g++ -std=c++20 -fsyntax-only ${BINARY}/headers.cpp
                RESULT_VARIABLE result ERROR_QUIET)
if(NOT result EQUAL 0)
  message(NOTICE "embedded: no headers of newlib and libstdc++ for arm-none-eabi were found; cmake/setup.sh --embedded installs them")
  return()
endif()

execute_process(COMMAND ${CMAKE_COMMAND} --preset cortex-m4 -S ${SOURCE} -B ${BINARY}
                        -DFEWBIT_EMBEDDED_NETWORK=${NETWORK} -DFEWBIT_HOST_CXX=${HOST_CXX}
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BINARY} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_CTEST_COMMAND} --test-dir ${BINARY} --no-tests=error --verbose
                COMMAND_ERROR_IS_FATAL ANY)
