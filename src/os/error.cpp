#include "os/error.hpp"

#include <cerrno>
#include <system_error>

namespace coproc::os {

void fail(int error, const char* operation) { throw std::system_error{error, std::generic_category(), operation}; }
void fail(const char* operation) { fail(errno, operation); }

} // namespace coproc::os
