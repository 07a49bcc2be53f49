// A value that refuses to be sent.
#pragma once

#include <stdexcept>

namespace pool_test {

struct stubborn { // can't be sent when it is negative
    int value = 0;
    template <class Archive>
    void save(Archive& archive) const
    {
        if (value < 0)
            throw std::logic_error{"negative values don't travel"};
        archive(value);
    }
    template <class Archive>
    void load(Archive& archive)
    {
        archive(value);
    }
};
inline stubborn make_stubborn(int value) { return {value}; }

} // namespace pool_test
