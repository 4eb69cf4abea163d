# SPDX-License-Identifier: MIT
#
# The library in two files, opt.h and opt.c, for those who would rather copy than link: cmake --build . --target opt_amalgamation
find_program(OPT_AWK NAMES awk mawk gawk DOC "Makes the manual pages, and the library in two files")
if(NOT OPT_AWK)
  return()
endif()

file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src/*/*.c)
list(FILTER sources EXCLUDE REGEX "^src/mpi/") # which wants a library
set(folder ${PROJECT_BINARY_DIR}/amalgamation)
add_custom_target(opt_amalgamation
  COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
  COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C ${OPT_AWK} -v version=${PROJECT_VERSION} -v out=${folder}
          -f src/cmake/amalgamate.awk ${sources}
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Writing ${folder}/opt.h and opt.c"
  VERBATIM)
