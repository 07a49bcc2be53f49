# tests/bench/*.cpp becomes the program bench, built only when it is asked for (tools/bench).
file(GLOB bench_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bench/*.cpp")
if(bench_sources)
  add_executable(bench EXCLUDE_FROM_ALL ${bench_sources})
  target_link_libraries(bench PRIVATE coproc::coproc)
  house_rules(bench)
endif()
