# `cmake --install` puts the library where find_package(coproc) finds it.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/coproc")
install(TARGETS coproc EXPORT coprocTargets)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(EXPORT coprocTargets NAMESPACE coproc:: DESTINATION "${package_dir}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/tools/cmake/coprocConfig.cmake.in" "${PROJECT_BINARY_DIR}/coprocConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/coprocConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/coprocConfig.cmake" "${PROJECT_BINARY_DIR}/coprocConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/tools/cmake/coprocDependencies.cmake"
  DESTINATION "${package_dir}")
