# tests/must_not_compile/NAME.cpp opens with `// error: REGEX`: a ctest test sees that it is refused in those words.
set(flags "${CMAKE_CURRENT_BINARY_DIR}/must_not_compile.flags")
set(includes "$<TARGET_PROPERTY:coproc,INTERFACE_INCLUDE_DIRECTORIES>")
set(definitions "$<TARGET_PROPERTY:coproc,INTERFACE_COMPILE_DEFINITIONS>")
file(GENERATE OUTPUT "${flags}" CONTENT "-std=c++20 -fsyntax-only
$<$<BOOL:${includes}>:-I\"$<JOIN:$<FILTER:${includes},EXCLUDE,^/usr/include$>,\"\n-I\">\">
$<$<BOOL:${definitions}>:-D$<JOIN:${definitions},\n-D>>
")
file(GLOB cases CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/must_not_compile/*.cpp")
foreach(source IN LISTS cases)
  cmake_path(GET source STEM name)
  add_test(NAME "must not compile: ${name}" COMMAND
    "${PROJECT_SOURCE_DIR}/tools/must_not_compile" "${source}" "${CMAKE_CXX_COMPILER}" "@${flags}")
  set_tests_properties("must not compile: ${name}" PROPERTIES LABELS compile TIMEOUT 120)
endforeach()
