# SPDX-License-Identifier: MIT
#
# Runs a program and checks how it ends. Variables:
#   PROGRAM, ARGS   what to run; ARGS separated by spaces
#   EXPECT          a file with exactly what it must print, exiting with 0
#   REFUSES         instead: text that must be in the single line it writes to standard error, exiting with 2
#   FILES, FOLDER   files, separated by spaces, that must then be in FOLDER, the same bytes when run again
#   MAKE_FOLDER     FOLDER is to be there before; otherwise the program has to make it
separate_arguments(ARGS UNIX_COMMAND "${ARGS}")
separate_arguments(FILES UNIX_COMMAND "${FILES}")
if(FOLDER)
  file(REMOVE_RECURSE ${FOLDER})
  if(MAKE_FOLDER)
    file(MAKE_DIRECTORY ${FOLDER})
  endif()
endif()
execute_process(COMMAND ${PROGRAM} ${ARGS} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)

if(REFUSES)
  if(NOT status EQUAL 2)
    message(FATAL_ERROR "exit status ${status}, not 2: ${err}")
  endif()
  if(NOT err MATCHES "^[^\n]+\n$" OR NOT err MATCHES "${REFUSES}")
    message(FATAL_ERROR "not one line with '${REFUSES}' on standard error:\n${err}")
  endif()
  return()
endif()

if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  message(FATAL_ERROR "exit status ${status}, standard error:\n${err}")
endif()
file(READ ${EXPECT} expected)
if(NOT out STREQUAL expected)
  message(FATAL_ERROR "printed\n${out}\nnot\n${expected}")
endif()

foreach(name ${FILES})
  file(SHA256 ${FOLDER}/${name} hash_${name})
endforeach()
if(FILES)
  execute_process(COMMAND ${PROGRAM} ${ARGS} OUTPUT_QUIET)
endif()
foreach(name ${FILES})
  file(SHA256 ${FOLDER}/${name} again)
  if(NOT again STREQUAL hash_${name})
    message(FATAL_ERROR "${name} differs between two runs")
  endif()
endforeach()
