# Installs the files that find_package(fewbit) needs.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/fewbit)

install(TARGETS fewbit EXPORT fewbitTargets FILE_SET HEADERS)
install(EXPORT fewbitTargets NAMESPACE fewbit:: DESTINATION ${package_dir})

configure_package_config_file(cmake/fewbitConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/fewbitConfig.cmake
                              INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fewbitConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/fewbitConfig.cmake ${PROJECT_BINARY_DIR}/fewbitConfigVersion.cmake
              cmake/fewbitEigen.cmake
        DESTINATION ${package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/fewbit)
