// The one place where Asio's own sources are compiled (ASIO_SEPARATE_COMPILATION); everybody else reads declarations.
#include <asio/impl/src.hpp>
