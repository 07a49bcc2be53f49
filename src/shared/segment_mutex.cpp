#include <coproc/detail/segment_mutex.hpp>

#include "os/error.hpp"

#include <cerrno>
#include <new>
#include <pthread.h>

namespace coproc {

broken_segment::broken_segment() : error{"a process died while it changed this shared segment, which is broken for that"} {}

namespace detail {
namespace {

static_assert(sizeof(pthread_mutex_t) <= 40 && alignof(pthread_mutex_t) <= 8);

pthread_mutex_t* native(std::byte* storage) { return std::launder(reinterpret_cast<pthread_mutex_t*>(storage)); }

} // namespace

segment_mutex::segment_mutex()
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int error = pthread_mutex_init(::new (storage_) pthread_mutex_t, &attributes);
    pthread_mutexattr_destroy(&attributes);
    if (error != 0)
        os::fail(error, "making a lock");
}

void segment_mutex::lock()
{
    int error = pthread_mutex_lock(native(storage_));
    if (error == 0)
        return;
    if (error == EOWNERDEAD)
        pthread_mutex_unlock(native(storage_)); // not made consistent: nobody gets it any more
    if (error == EOWNERDEAD || error == ENOTRECOVERABLE)
        throw broken_segment{};
    os::fail(error, "locking a shared segment");
}

void segment_mutex::unlock() noexcept { pthread_mutex_unlock(native(storage_)); }

} // namespace detail
} // namespace coproc
