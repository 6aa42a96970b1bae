# Adds to the programs the rows of every rival that is found; each is optional on its own.
# A rival stands in <folder>/rivals/<name>.cpp, for the program <folder>_benchmark, and support/<name>.hpp.

# add_rival(<name> PACKAGES <Debian packages> INCLUDES <folders> LIBRARIES <libraries>): left out with
# a message when a folder or a library is a <variable>-NOTFOUND.
function(add_rival name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "PACKAGES;INCLUDES;LIBRARIES")
  if("${arg_INCLUDES};${arg_LIBRARIES}" MATCHES "-NOTFOUND")
    list(JOIN arg_PACKAGES ", " packages)
    message(STATUS "benchmarks: ${name} is left out, it needs ${packages}")
    return()
  endif()
  foreach(program IN LISTS programs)
    cmake_path(GET program STEM target)
    string(REGEX REPLACE "_benchmark$" "" folder ${target})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/rivals/${name}.cpp)
      continue()
    endif()
    target_sources(${target} PRIVATE ${folder}/rivals/${name}.cpp)
    target_include_directories(${target} SYSTEM PRIVATE ${arg_INCLUDES})
    target_link_libraries(${target} PRIVATE ${arg_LIBRARIES})
  endforeach()
endfunction()

# The config file of Debian's oneDNN stops the whole build where OpenCL is missing.
find_package(OpenCL QUIET)
if(OpenCL_FOUND)
  find_package(dnnl CONFIG QUIET)
endif()
find_package(OpenMP QUIET COMPONENTS CXX)
set(onednn_libraries onednn-NOTFOUND)
if(TARGET DNNL::dnnl AND OpenMP_CXX_FOUND)
  # Without -fopenmp: only the number of threads is set, and Eigen stays as it is.
  set(onednn_libraries DNNL::dnnl ${OpenMP_CXX_LIBRARIES})
endif()
add_rival(onednn PACKAGES libdnnl-dev ocl-icd-opencl-dev "OpenMP of the compiler"
          INCLUDES ${OpenMP_CXX_INCLUDE_DIRS} LIBRARIES ${onednn_libraries})

find_path(FEWBIT_GEMMLOWP_INCLUDE_DIR public/gemmlowp.h PATH_SUFFIXES gemmlowp)
add_rival(gemmlowp PACKAGES libgemmlowp-dev INCLUDES ${FEWBIT_GEMMLOWP_INCLUDE_DIR})

find_path(FEWBIT_XNNPACK_INCLUDE_DIR xnnpack.h)
find_path(FEWBIT_PTHREADPOOL_INCLUDE_DIR pthreadpool.h)
find_path(FEWBIT_CPUINFO_INCLUDE_DIR cpuinfo.h)
find_library(FEWBIT_XNNPACK_LIBRARY XNNPACK)
find_library(FEWBIT_PTHREADPOOL_LIBRARY pthreadpool)
find_library(FEWBIT_CPUINFO_LIBRARY cpuinfo)
add_rival(xnnpack PACKAGES libxnnpack-dev libpthreadpool-dev libcpuinfo-dev
          INCLUDES ${FEWBIT_XNNPACK_INCLUDE_DIR} ${FEWBIT_PTHREADPOOL_INCLUDE_DIR} ${FEWBIT_CPUINFO_INCLUDE_DIR}
          LIBRARIES ${FEWBIT_XNNPACK_LIBRARY} ${FEWBIT_PTHREADPOOL_LIBRARY} ${FEWBIT_CPUINFO_LIBRARY})

find_package(OpenBLAS CONFIG QUIET)
if(NOT OpenBLAS_FOUND)
  set(OpenBLAS_LIBRARIES openblas-NOTFOUND)
endif()
add_rival(openblas PACKAGES libopenblas-dev INCLUDES ${OpenBLAS_INCLUDE_DIRS} LIBRARIES ${OpenBLAS_LIBRARIES})

add_rival(eigen)

set(faiss_library faiss-NOTFOUND)
if(OpenMP_CXX_FOUND)  # its config file asks for it and does not look
  find_package(faiss CONFIG QUIET)
endif()
if(TARGET faiss)
  set(faiss_library faiss ${OpenMP_CXX_LIBRARIES})
endif()
add_rival(faiss PACKAGES libfaiss-dev "OpenMP of the compiler" INCLUDES ${OpenMP_CXX_INCLUDE_DIRS}
          LIBRARIES ${faiss_library})
