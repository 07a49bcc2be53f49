// What became of one task of a map that collects.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace coproc {

/// A result or the exception that came instead of it; std::expected<T, std::exception_ptr> as far as C++20 has it.
/// An outcome of void holds no value. Default constructed it holds neither: value() throws std::bad_exception.
template <class T>
class outcome {
    struct nothing {};
    using stored = std::conditional_t<std::is_void_v<T>, nothing, T>;

public:
    outcome() noexcept = default;
    outcome(std::exception_ptr error) noexcept : error_{std::move(error)} {}
    template <class... Args>
    explicit outcome(std::in_place_t, Args&&... args) : value_{std::in_place, std::forward<Args>(args)...}
    {
    }

    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    /// Null when there is a value.
    [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

    /// The value; throws the error.
    std::add_lvalue_reference_t<T> value() &
    {
        check();
        if constexpr (!std::is_void_v<T>)
            return *value_;
    }
    std::add_lvalue_reference_t<const T> value() const&
    {
        check();
        if constexpr (!std::is_void_v<T>)
            return *value_;
    }
    T value() &&
    {
        check();
        if constexpr (!std::is_void_v<T>)
            return std::move(*value_);
    }
    /// The value, which must be there.
    stored& operator*() noexcept { return *value_; }
    const stored& operator*() const noexcept { return *value_; }
    stored* operator->() noexcept { return &*value_; }
    const stored* operator->() const noexcept { return &*value_; }

private:
    void check() const
    {
        if (error_)
            std::rethrow_exception(error_);
        if (!value_)
            throw std::bad_exception{};
    }

    std::optional<stored> value_;
    std::exception_ptr error_;
};

} // namespace coproc
