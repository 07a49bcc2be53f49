// Catches lifetime bugs: a value that counts how many of it live, and how they came to be.
#pragma once

#include <utility>

namespace support {

/// Copy it, move it, send it: in the end `counted::alive` must be back at what it was. The counters are of this process
/// and of one thread at a time; `counted::reset()` at the start of a test sets them to zero.
struct counted {
    inline static int alive = 0, constructed = 0, copied = 0, moved = 0;
    static void reset() { alive = constructed = copied = moved = 0; }

    int id = 0; ///< -1 once moved from

    explicit counted(int number = 0) : id{number} { ++alive, ++constructed; }
    counted(const counted& other) : id{other.id} { ++alive, ++copied; }
    counted(counted&& other) noexcept : id{std::exchange(other.id, -1)} { ++alive, ++moved; }
    counted& operator=(const counted& other) = default;
    counted& operator=(counted&& other) noexcept
    {
        id = std::exchange(other.id, -1);
        return *this;
    }
    ~counted() { --alive; }

    bool operator==(const counted& other) const = default;

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(id);
    }
};

} // namespace support
