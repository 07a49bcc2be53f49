// A map from numbers that it gives out itself: a lookup is an index, and no insertion takes memory once it has grown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace coproc::detail {

/// Keys are never 0 and are not given out again for 2^32 uses of their place, so that a late answer finds nothing rather
/// than somebody else's entry.
template <class T>
class slot_map {
public:
    std::uint64_t insert(T value)
    {
        if (free_.empty()) {
            free_.push_back(static_cast<std::uint32_t>(slots_.size()));
            slots_.emplace_back();
        }
        std::uint32_t index = free_.back();
        free_.pop_back();
        auto& here = slots_[index];
        here.value = std::move(value);
        here.used = true;
        ++size_;
        return key(index, here.generation);
    }

    /// Null if there is no such entry (any more). Valid until the next insertion.
    [[nodiscard]] T* find(std::uint64_t key) noexcept { return valid(key) ? &slots_[index(key)].value : nullptr; }
    [[nodiscard]] const T* find(std::uint64_t key) const noexcept { return valid(key) ? &slots_[index(key)].value : nullptr; }

    void erase(std::uint64_t key)
    {
        if (!valid(key))
            return;
        auto& here = slots_[index(key)];
        here.value = T{};
        here.used = false;
        ++here.generation;
        free_.push_back(index(key));
        --size_;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Where an entry is: small, and its own as long as the entry exists.
    [[nodiscard]] static std::uint32_t index(std::uint64_t key) noexcept { return static_cast<std::uint32_t>(key) - 1; }

private:
    struct slot {
        T value{};
        std::uint32_t generation = 0;
        bool used = false;
    };

    [[nodiscard]] static std::uint64_t key(std::uint32_t index, std::uint32_t generation) noexcept
    {
        return std::uint64_t{generation} << 32 | (std::uint64_t{index} + 1);
    }
    [[nodiscard]] bool valid(std::uint64_t which) const noexcept
    {
        auto at = index(which);
        return at < slots_.size() && slots_[at].used && slots_[at].generation == which >> 32;
    }

    std::vector<slot> slots_;
    std::vector<std::uint32_t> free_;
    std::size_t size_ = 0;
};

} // namespace coproc::detail
