# Adds the rows of other libraries to the benchmarks. Each library is optional. The rows of <name> for
# the program <folder>_benchmark are in <folder>/rivals/<name>.cpp and support/<name>.hpp.

# add_rival(<name> PACKAGES <Debian packages> INCLUDES <folders> LIBRARIES <libraries>): adds one library.
# If a folder or a library is a <variable>-NOTFOUND, prints a message and adds nothing.
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

# Does not use the config file of Debian's oneDNN, because it stops the build if OpenCL is missing.
find_package(OpenCL QUIET)
if(OpenCL_FOUND)
  find_package(dnnl CONFIG QUIET)
endif()
find_package(OpenMP QUIET COMPONENTS CXX)
set(onednn_libraries onednn-NOTFOUND)
if(TARGET DNNL::dnnl AND OpenMP_CXX_FOUND)
  # Without -fopenmp, because only the number of threads is set. The flag would change Eigen.
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
if(OpenMP_CXX_FOUND)  # its config file needs it but does not find it
  find_package(faiss CONFIG QUIET)
endif()
if(TARGET faiss)
  set(faiss_library faiss ${OpenMP_CXX_LIBRARIES})
endif()
add_rival(faiss PACKAGES libfaiss-dev "OpenMP of the compiler" INCLUDES ${OpenMP_CXX_INCLUDE_DIRS}
          LIBRARIES ${faiss_library})
