// A call whose one task is a generator: its items are taken one by one.
#pragma once

#include <coproc/detail/job.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

namespace coproc::detail {

/// How many items there are, and of how many bytes, as the pool counts them; and how many the worker may make. It is told
/// more in steps of half a window, so that an item that is taken is no message.
struct item_account {
    static constexpr std::uint64_t most_bytes = 32 << 20; ///< that may wait when the next item is made

    std::uint64_t window = 0; ///< items that may wait
    std::uint64_t came = 0, came_bytes = 0;
    std::uint64_t taken = 0, taken_bytes = 0;
    std::uint64_t allowed = 0, allowed_bytes = 0; ///< as the worker was told, counted from the first item
    std::uint64_t chunk = 0;                      ///< the task, for the pool

    /// One of so many bytes has come from a worker; throws protocol_error if it should not have been made.
    void add(std::size_t bytes);
    void take(std::size_t bytes) noexcept
    {
        ++taken;
        taken_bytes += bytes;
    }
    /// Whether the worker is to be told of what was taken; then `allowed` and `allowed_bytes` are what to say.
    bool allow_more() noexcept;
};

/// What a generator_job begins with. Throws usage_error if its options are not for a generator.
std::unique_ptr<item_account> open_account(job& work);

template <class R>
class generator_job final : public job {
public:
    using item = R;

    template <class F, class... Args>
    generator_job(const call_options& asked, F&& f, Args&&... args) : job{asked}
    {
        using function = std::decay_t<F>;
        static_assert(check_generator<function, Args...>());
        items = open_account(*this);
        output_archive archive{body_};
        encode_generator_function<function, Args...>(archive, f);
        encode_arguments(archive, f, std::forward<Args>(args)...);
    }
    ~generator_job() noexcept override {}

    std::size_t next(buffer& body, std::size_t, std::size_t) override
    {
        if (given_)
            return 0;
        given_ = true;
        body.swap(body_);
        return 1;
    }

    /// One item.
    void results(input_archive& from, std::size_t, std::size_t) override
    {
        auto bytes = from.remaining();
        R value{};
        load_value(from, value);
        waiting_.push_back({std::move(value), bytes});
    }

    bool ready() const override { return !waiting_.empty(); }
    std::size_t pop() override
    {
        current_.emplace(std::move(waiting_.front().value));
        items->take(waiting_.front().bytes);
        waiting_.pop_front();
        return 0;
    }
    R take() { return *std::exchange(current_, std::nullopt); }

private:
    struct arrival {
        R value;
        std::size_t bytes;
    };
    buffer body_ = make_message();
    bool given_ = false;
    std::deque<arrival> waiting_;
    std::optional<R> current_;
};

} // namespace coproc::detail
