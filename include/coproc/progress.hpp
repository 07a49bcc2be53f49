// How far a call of a pool has come, told while it goes on.
//
//     auto show = [&](const coproc::progress& p) { bar.set(p.done, p.total); };
//     auto results = co_await pool.map(f, inputs, {.on_progress = show});
#pragma once

#include <concepts>
#include <cstddef>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>

namespace coproc {

/// What call_options::on_progress is told. Valid during that call.
struct progress {
    /// How many of the call's tasks (elements of its input) have ended for good, each counted once, however often it was
    /// tried; with finish_all or collect also those that failed.
    std::size_t done = 0;
    /// How many there are; nothing while that is not known. Equal to `done` at the end of a call that succeeds.
    std::optional<std::size_t> total{};
    // Of a report (this_task::report_progress); without `index` this is none, and `done` or `total` has changed.
    std::optional<std::size_t> index{}; ///< of the task's input; 0 for a single task
    double fraction = 0;
    std::string_view text{};
};

/// Something to be called with a progress; empty, or a function, or a function object of up to four pointers that is trivially
/// copyable: a lambda that captures by reference (`[&]`) is. It is copied; what it refers to must live as long as the call.
class progress_callback {
public:
    progress_callback() noexcept = default;
    template <class F>
        requires(!std::is_same_v<F, progress_callback> && std::invocable<F&, const progress&>)
    progress_callback(F f) noexcept : call_{&call<F>}
    {
        static_assert(std::is_trivially_copyable_v<F> && sizeof(F) <= sizeof storage_ && alignof(F) <= alignof(void*),
                      "coproc: on_progress keeps up to four pointers: capture by reference, or one reference to all that is needed");
        if constexpr (std::is_trivially_copyable_v<F> && sizeof(F) <= sizeof storage_)
            new (storage_) F(f);
    }

    explicit operator bool() const noexcept { return call_ != nullptr; }
    void operator()(const progress& p) const { call_(storage_, p); }

private:
    template <class F>
    static void call(const std::byte* f, const progress& p)
    {
        F copy = *std::launder(reinterpret_cast<const F*>(f));
        static_cast<void>(copy(p));
    }

    void (*call_)(const std::byte*, const progress&) = nullptr;
    alignas(void*) std::byte storage_[4 * sizeof(void*)]{};
};
static_assert(std::is_trivially_copyable_v<progress_callback>);

} // namespace coproc
