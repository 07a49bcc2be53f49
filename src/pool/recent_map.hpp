// A hash map that is mostly asked for the entry it was asked for last.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

namespace coproc::detail {

/// The functions are those of std::unordered_map; to find what was found last costs one comparison.
template <class Key, class T>
class recent_map {
    using map = std::unordered_map<Key, T>;

public:
    using iterator = typename map::iterator;
    using const_iterator = typename map::const_iterator;

    recent_map() = default;
    recent_map(const recent_map& other) : all_{other.all_} {}
    recent_map& operator=(const recent_map&) = delete;

    iterator find(const Key& key)
    {
        if (known_ && last_->first == key)
            return last_;
        auto found = all_.find(key);
        known_ = found != all_.end();
        return last_ = found;
    }
    const_iterator find(const Key& key) const
    {
        return known_ && last_->first == key ? const_iterator{last_} : all_.find(key);
    }
    [[nodiscard]] bool contains(const Key& key) const { return find(key) != end(); }
    T& at(const Key& key)
    {
        auto found = find(key);
        return found != end() ? found->second : all_.at(key);
    }
    T& operator[](const Key& key)
    {
        if (auto found = find(key); found != end())
            return found->second;
        known_ = false; // iterators don't survive an insertion
        return all_[key];
    }
    template <class... Args>
    void emplace(Args&&... args)
    {
        known_ = false;
        all_.emplace(std::forward<Args>(args)...);
    }
    void erase(const Key& key)
    {
        known_ = false;
        all_.erase(key);
    }
    void erase(iterator at)
    {
        known_ = false;
        all_.erase(at);
    }

    iterator begin() noexcept { return all_.begin(); }
    iterator end() noexcept { return all_.end(); }
    const_iterator begin() const noexcept { return all_.begin(); }
    const_iterator end() const noexcept { return all_.end(); }
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }

private:
    map all_;
    iterator last_{};
    bool known_ = false; ///< last_ is an entry
};

} // namespace coproc::detail
