# The target `docs` writes an API reference of the public names to <build folder>/html.

find_program(DOXYGEN doxygen)
if(NOT DOXYGEN)
  message(FATAL_ERROR "fewbit: doxygen was not found; run cmake/setup.sh --docs, or set FEWBIT_DOCS=OFF")
endif()
configure_file(cmake/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
add_custom_target(docs COMMAND ${CMAKE_COMMAND} -E rm -rf ${PROJECT_BINARY_DIR}/html
                  COMMAND ${DOXYGEN} ${PROJECT_BINARY_DIR}/Doxyfile
                  COMMENT "API reference: ${PROJECT_BINARY_DIR}/html/index.html" VERBATIM)
