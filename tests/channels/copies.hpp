// Queues in copies of the test's process, and coroutines that wait beside them.
#pragma once

#include "sync/parties.hpp"

#include <coproc/serialize.hpp>

namespace channels_test {

/// A handle for copies of this process, which refuse the one that they inherited: sent to them, as to any other process.
template <class T>
class sent {
public:
    explicit sent(const T& handle)
    {
        coproc::output_archive archive{bytes_};
        archive(handle);
    }
    /// In the copy.
    [[nodiscard]] T take() const
    {
        auto attachments = bytes_.attachments();
        coproc::input_archive archive{bytes_.data(), bytes_.size(), &attachments};
        T handle;
        archive(handle);
        return handle;
    }

private:
    coproc::detail::buffer bytes_;
};

} // namespace channels_test
