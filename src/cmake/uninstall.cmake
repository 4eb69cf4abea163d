# SPDX-License-Identifier: MIT
#
# Removes what `cmake --install` installed last, as MANIFEST lists it, and the folders of our own name when they are empty.
# Of a larger project's files only ours: libopt.*, opt.*, libopt_mpi.*, opt_mpi.*, opt/*, libopt/* and man3/opt_*.
if(NOT EXISTS ${MANIFEST})
  message(FATAL_ERROR "nothing to uninstall: there is no ${MANIFEST}")
endif()

file(STRINGS ${MANIFEST} files)
list(FILTER files INCLUDE REGEX "/((lib)?opt(_mpi)?[./]|man3/opt_)[^/]*$")
foreach(file IN LISTS files)
  set(file $ENV{DESTDIR}${file})
  if(NOT EXISTS ${file} AND NOT IS_SYMLINK ${file})
    continue()
  endif()
  file(REMOVE ${file})
  if(EXISTS ${file} OR IS_SYMLINK ${file})
    message(FATAL_ERROR "cannot remove ${file}")
  endif()
  message(STATUS "Removed: ${file}")
  cmake_path(GET file PARENT_PATH folder)
  file(GLOB rest ${folder}/*)
  if(folder MATCHES "/(lib)?opt$" AND NOT rest)
    file(REMOVE_RECURSE ${folder})
  endif()
endforeach()
