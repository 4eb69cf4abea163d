# SPDX-License-Identifier: MIT
#
# Part of `cmake --install`, behind what this library installs: writes opt_manifest, and puts that back into the list of the
# whole project.
if(CMAKE_INSTALL_PREFIX MATCHES ";") # where one path ends and the next begins cannot be told
  file(REMOVE "${opt_manifest}")
else()
  string(REPLACE ";" "\n" opt_paths "${CMAKE_INSTALL_MANIFEST_FILES};")
  file(WRITE "${opt_manifest}" "${opt_paths}")
endif()
if(opt_of_others)
  set(CMAKE_INSTALL_MANIFEST_FILES "${opt_of_others};${CMAKE_INSTALL_MANIFEST_FILES}")
endif()
