#include <catch2/catch.hpp>

#include <coproc/error.hpp>

#include "wire/libraries/library.hpp"

#include <dlfcn.h>
#include <filesystem>
#include <string>

using namespace wire_test;
using Catch::Contains;

namespace {

const std::filesystem::path libraries = COPROC_TASK_LIBRARIES;

/// One of the libraries under a path of its own, as another build of the same library will come to have it.
struct installed_library {
    std::filesystem::path folder = std::filesystem::temp_directory_path() / ("coproc-library-" + std::to_string(::getpid()));
    std::filesystem::path path = folder / "libtasks.so";

    explicit installed_library(int version)
    {
        std::filesystem::create_directories(folder);
        install(version);
    }
    ~installed_library() { std::filesystem::remove_all(folder); }

    void install(int version) const
    {
        std::filesystem::remove(path); // a new file, so that a mapped one stays as it is
        std::filesystem::copy_file(libraries / ("libtask_library_loaded_" + std::to_string(version) + ".so"), path);
    }

    /// Loads it, takes a message of it, and unloads it again.
    bytes message(const char* function) const
    {
        void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        INFO((handle ? "" : ::dlerror()));
        REQUIRE(handle);
        bytes result;
        reinterpret_cast<void (*)(bytes&)>(::dlsym(handle, function))(result);
        ::dlclose(handle);
        return result;
    }

    bool is_loaded() const
    {
        void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
        if (handle)
            ::dlclose(handle);
        return handle != nullptr;
    }
};

} // namespace

TEST_CASE("functions and lambdas of a library that the program is linked with are called")
{
    bytes message;
    function_message(message);
    CHECK(value_in<int>(execute(message)) == 1001);
    lambda_message(message);
    CHECK(value_in<int>(execute(message)) == 2001);
    CHECK(call_here(&function_in_linked_library, 2) == 1002);
}

TEST_CASE("another build of a library at the same path is refused, and not loaded")
{
    const installed_library library{1};
    for (const auto* function : {"function_message", "lambda_message"}) {
        library.install(1);
        const auto message = library.message(function);
        REQUIRE_FALSE(library.is_loaded());
        library.install(2);
        CHECK_THROWS_WITH(execute(message), Contains("different build") && Contains(library.path.string()));
        CHECK_FALSE(library.is_loaded());
    }
}

TEST_CASE("a library that was loaded at run time on the other side is loaded here for its function")
{
    const installed_library library{1};
    const auto of_lambda = library.message("lambda_message"), of_function = library.message("function_message");
    REQUIRE_FALSE(library.is_loaded());
    CHECK(value_in<int>(execute(of_lambda)) == 4002);
    CHECK(library.is_loaded());
    CHECK(value_in<int>(execute(of_function)) == 3002);
}
