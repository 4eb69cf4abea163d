# SPDX-License-Identifier: MIT
#
# Removes what `cmake --install` installed last of this library's, as MANIFEST lists it, a path a line, and the folders of
# our own name when they are empty. A path may hold anything but a line's end and ';', so it never goes through a list of
# CMake's or through a pattern.
cmake_minimum_required(VERSION 3.25)
if(NOT EXISTS "${MANIFEST}")
  message(FATAL_ERROR "nothing to uninstall: there is no ${MANIFEST}")
endif()

file(READ "${MANIFEST}" rest)
string(FIND "${rest}" "\n" end)
while(NOT end EQUAL -1)
  string(SUBSTRING "${rest}" 0 ${end} file)
  math(EXPR end "${end} + 1")
  string(SUBSTRING "${rest}" ${end} -1 rest)
  string(FIND "${rest}" "\n" end)

  set(file "$ENV{DESTDIR}${file}")
  if(NOT EXISTS "${file}" AND NOT IS_SYMLINK "${file}")
    continue()
  endif()
  file(REMOVE "${file}")
  if(EXISTS "${file}" OR IS_SYMLINK "${file}")
    message(FATAL_ERROR "cannot remove ${file}")
  endif()
  message(STATUS "Removed: ${file}")
  cmake_path(GET file PARENT_PATH folder)
  if(folder MATCHES "/(lib)?opt$") # rmdir refuses while there is anything in it; where it is missing, folders stay
    execute_process(COMMAND rmdir "${folder}" OUTPUT_QUIET ERROR_QUIET)
  endif()
endwhile()
