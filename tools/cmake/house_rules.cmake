# Warnings for coproc's own targets, and how fast they compile. All PRIVATE: a consumer never sees it.
function(house_rules target)
  if(NOT PROJECT_IS_TOP_LEVEL)
    return()
  endif()
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>  # as with g++, whose -Wconversion leaves it out in C++
    # g++ 12 sees overlapping copies in `"text" + std::string` (its bug 105651), and at -O1 takes the new and the delete of
    # Asio's coroutine frames for different ones when only one of them was inlined.
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict$<SEMICOLON>-Wno-mismatched-new-delete>
    # Collects garbage only beyond half a GiB, which few files need: a tenth of the time.
    $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=524288>)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(COPROC_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# ccache saves minutes where it is installed; nothing depends on it.
macro(use_ccache_if_found)
  if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    find_program(COPROC_CCACHE ccache DOC "Optional compiler cache")
    mark_as_advanced(COPROC_CCACHE)
    if(COPROC_CCACHE)
      set(CMAKE_CXX_COMPILER_LAUNCHER "${COPROC_CCACHE}")
    endif()
  endif()
endmacro()
