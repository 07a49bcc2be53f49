# What coproc stands on. The build includes this file, and so does the installed package, so that both look alike.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(Boost 1.74)  # headers only
find_dependency(OpenSSL 1.1.1 COMPONENTS Crypto)  # keys of listeners; a static coproc is linked with it

if(NOT TARGET coproc::asio)
  find_path(COPROC_ASIO_INCLUDE_DIR asio/awaitable.hpp DOC "Folder of the standalone Asio's asio.hpp")
  if(NOT COPROC_ASIO_INCLUDE_DIR)
    message(FATAL_ERROR "coproc needs standalone Asio (Debian: libasio-dev), or set COPROC_ASIO_INCLUDE_DIR")
  endif()
  mark_as_advanced(COPROC_ASIO_INCLUDE_DIR)
  add_library(coproc::asio INTERFACE IMPORTED)
  # coproc compiles Asio's own sources once (src/os/asio.cpp); whoever includes Asio beside coproc must agree to that.
  # Asio of Debian 12 does not know that clang has had coroutines without flags since version 15.
  set_target_properties(coproc::asio PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${COPROC_ASIO_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS
      "ASIO_STANDALONE;ASIO_SEPARATE_COMPILATION;ASIO_HAS_STD_ALIGNED_ALLOC=1;$<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT=1;ASIO_HAS_STD_COROUTINE=1>"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()

if(NOT TARGET coproc::cereal)
  find_path(COPROC_CEREAL_INCLUDE_DIR cereal/cereal.hpp DOC "Folder of cereal/cereal.hpp")
  if(NOT COPROC_CEREAL_INCLUDE_DIR)
    message(FATAL_ERROR "coproc needs cereal (Debian: libcereal-dev), or set COPROC_CEREAL_INCLUDE_DIR")
  endif()
  mark_as_advanced(COPROC_CEREAL_INCLUDE_DIR)
  add_library(coproc::cereal INTERFACE IMPORTED)
  set_target_properties(coproc::cereal PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${COPROC_CEREAL_INCLUDE_DIR}")
endif()
