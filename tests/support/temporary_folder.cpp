#include "support/temporary_folder.hpp"

#include <cerrno>
#include <system_error>

#include <stdlib.h>

namespace support {

temporary_folder::temporary_folder()
{
    std::string name = std::filesystem::temp_directory_path() / "coproc-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error{errno, std::generic_category(), "mkdtemp"};
    path_ = name;
}

temporary_folder::~temporary_folder()
{
    std::error_code ignored; // a file that can't be removed is no reason to end the test program
    std::filesystem::remove_all(path_, ignored);
}

} // namespace support
