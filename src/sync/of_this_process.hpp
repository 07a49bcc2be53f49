// What a process has for itself.
#pragma once

#ifndef COPROC_EXPLORE // tests/sync/explorer.hpp brings its own: virtual processes have one each

#include "os/stamp.hpp"

#include <cstdint>
#include <mutex>

namespace coproc::detail {

/// The only T of this process. A copy of a process leaves its original's alone and has a new one. Never destroyed: handles may
/// be static objects, and coroutines may end late.
template <class T>
T& of_this_process()
{
    static std::mutex mutex;
    static T* instance = nullptr;
    static std::uint64_t stamp = 0;
    std::scoped_lock lock{mutex};
    if (!instance || stamp != os::process_stamp()) {
        instance = new T;
        stamp = os::process_stamp();
    }
    return *instance;
}

} // namespace coproc::detail

#endif
