# `make install`: the program, both libraries, the public header, quamba.pc, manual pages, documents.
include(GNUInstallDirs)

# The pkg-config file finds its prefix from where it lies, so an installed tree can be moved.
file(RELATIVE_PATH pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" pc_to_prefix "${pc_to_prefix}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/quamba.pc.in quamba.pc @ONLY)

install(TARGETS quamba quamba_static quamba_shared)
install(DIRECTORY include/quamba DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_BINARY_DIR}/quamba.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES README.md CHANGELOG.md LICENSE docs/numerics.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES examples/generate.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# The program prints its own manual pages.
set(man_pages ${CMAKE_BINARY_DIR}/man)
add_custom_command(OUTPUT ${man_pages}/quamba.1
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${man_pages}
  COMMAND quamba help --man all --output ${man_pages}
  DEPENDS quamba)
add_custom_target(manual ALL DEPENDS ${man_pages}/quamba.1)
install(DIRECTORY ${man_pages}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
