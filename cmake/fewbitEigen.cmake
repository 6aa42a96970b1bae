# Finds the Eigen that fewbit uses, in its own build and in projects that find an installed fewbit.

# fewbit_eigen_package(<dir>): the directory of the first package of Eigen 3.4 to 5 on CMake's search
# path, or empty. A version request cannot express "3.4 to 5": the package of Eigen 5 refuses 3.4. So the
# search requests a version that no package has. CMake then lists all packages and loads none.
function(fewbit_eigen_package result)
  set(${result} "" PARENT_SCOPE)
  find_package(Eigen3 9999 EXACT CONFIG QUIET)
  foreach(config version IN ZIP_LISTS Eigen3_CONSIDERED_CONFIGS Eigen3_CONSIDERED_VERSIONS)
    if(version VERSION_GREATER_EQUAL 3.4 AND version VERSION_LESS 6)
      cmake_path(GET config PARENT_PATH directory)
      set(${result} "${directory}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# fewbit_host_eigen(<target>): the host's target for Eigen (imported, an alias, or its own library), or
# empty.
function(fewbit_host_eigen result)
  set(${result} "" PARENT_SCOPE)
  foreach(name IN ITEMS Eigen3::Eigen Eigen::Eigen eigen Eigen eigen3 Eigen3)
    if(TARGET ${name})
      get_target_property(type ${name} TYPE)
      if(type MATCHES "_LIBRARY$")  # a target that only downloads Eigen can have such a name too
        set(${result} ${name} PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

# fewbit_find_eigen(<target> <reason>): the target for Eigen. The choices, in this order: the target that
# the host names, another target of the host, a package. If there is none, <target> is empty and <reason>
# is an error sentence.
function(fewbit_find_eigen result reason)
  set(${reason} "Eigen 3.4 to 5 was not found" PARENT_SCOPE)
  if(FEWBIT_EIGEN_TARGET)
    set(${reason} "FEWBIT_EIGEN_TARGET is ${FEWBIT_EIGEN_TARGET}, expected a target" PARENT_SCOPE)
    set(target "")
    if(TARGET ${FEWBIT_EIGEN_TARGET})
      set(target ${FEWBIT_EIGEN_TARGET})
    endif()
    set(${result} "${target}" PARENT_SCOPE)
    return()
  endif()

  fewbit_host_eigen(target)
  if(NOT target)
    fewbit_eigen_package(package)
    if(package)
      find_package(Eigen3 CONFIG QUIET PATHS "${package}" NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
    endif()
    fewbit_host_eigen(target)  # FetchContent may provide a target without a package
  endif()
  set(${result} "${target}" PARENT_SCOPE)
endfunction()

# Runs at the end of the whole configuration if fewbit was added by add_subdirectory. The host may have
# added its Eigen after fewbit; that Eigen is used. Imported targets come from packages that fewbit found
# itself.
function(fewbit_use_late_eigen)
  if(FEWBIT_EIGEN_TARGET)
    fewbit_find_eigen(target reason)
  else()
    fewbit_host_eigen(target)
  endif()
  if(target)
    # An alias may have the same name as the package's target in the directory of fewbit.
    get_target_property(aliased ${target} ALIASED_TARGET)
    if(aliased)
      set(target ${aliased})
    endif()
    get_target_property(imported ${target} IMPORTED)
    if(NOT imported)
      set_property(TARGET fewbit PROPERTY INTERFACE_LINK_LIBRARIES $<BUILD_INTERFACE:${target}>)
    endif()
  endif()
  get_target_property(linked fewbit INTERFACE_LINK_LIBRARIES)
  if(NOT linked)
    message(FATAL_ERROR "fewbit: the host has no Eigen of 3.4 to 5; add one, or set Eigen3_DIR or FEWBIT_EIGEN_TARGET")
  endif()
endfunction()
