// What has something shared, and gives it back.
#pragma once

#include <memory>
#include <utility>

namespace coproc::detail {

struct object_place;

/// Has something until it is destroyed or released; movable. `Hold` is a trivial struct that says what it has: `state`, null
/// for nothing, and `give_back(place)`, which sets both to nothing. (Not inline: g++ 12 warns of empty optional guards.)
template <class Hold>
class guard {
public:
    guard() noexcept = default;
    guard(guard&& other) noexcept : place_{std::move(other.place_)}, hold_{other.hold_} { other.hold_.state = nullptr; }
    guard& operator=(guard&& other) noexcept
    {
        guard taken{std::move(other)};
        std::swap(place_, taken.place_);
        std::swap(hold_, taken.hold_);
        return *this;
    }
    ~guard() { release(); }

    /// Gives it back. Nothing happens the second time.
    void release() noexcept { hold_.give_back(place_); }
    [[nodiscard]] explicit operator bool() const noexcept { return hold_.state != nullptr; }

protected:
    guard(std::shared_ptr<object_place> place, const Hold& hold) noexcept : place_{std::move(place)}, hold_{hold} {}

    std::shared_ptr<object_place> place_; ///< keeps it where it is
    Hold hold_;
};

} // namespace coproc::detail
