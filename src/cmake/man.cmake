# SPDX-License-Identifier: MIT
#
# Manual pages, from the headers' comments. They have a version and no date, so that they come out the same every time.
if(NOT OPT_AWK)
  message(NOTICE "Manual pages: left out, no awk was found")
  return()
endif()

set(man ${PROJECT_BINARY_DIR}/man)
file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/opt/*.h)
add_custom_command(OUTPUT ${man}/man3/libopt.3
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${man}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${man}/man3
  COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C ${OPT_AWK} -v version=${PROJECT_VERSION} -v out=${man}/man3
          -f src/cmake/man.awk include/opt.h
  DEPENDS src/cmake/man.awk include/opt.h ${headers}
  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
  COMMENT "Making the manual pages"
  VERBATIM)
add_custom_target(opt_man ALL DEPENDS ${man}/man3/libopt.3)
install(DIRECTORY ${man}/ DESTINATION ${CMAKE_INSTALL_MANDIR} OPTIONAL)
