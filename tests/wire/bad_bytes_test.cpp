// Valid messages, cut at each byte and with each bit flipped: an error or another valid value, and nothing else.
#include <catch2/catch.hpp>

#include <coproc/error.hpp>

#include "wire/call_here.hpp"
#include "wire/every_type.hpp"

#include <stdexcept>

using namespace wire_test;

namespace {

/// Runs `take` on every damaged form of `message`; returns how many of them it took without an error.
template <class Take>
std::size_t taken_of_damaged(const bytes& message, Take take)
{
    std::size_t taken = 0;
    const auto attempt = [&](const bytes& damaged) {
        try {
            take(damaged);
            ++taken;
        } catch (const std::exception&) {
        }
    };
    for (std::size_t size = 0; size < message.size(); ++size)
        attempt({message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size)});
    for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
        auto damaged = message;
        damaged[bit / 8] ^= std::byte{1} << bit % 8;
        attempt(damaged);
    }
    return taken;
}

int twice(int n) { return 2 * n; }

} // namespace

TEST_CASE("a damaged value gives an error or another value")
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    out(every_type{});
    taken_of_damaged(bytes_of(buffer), [](const bytes& damaged) { value_in<every_type>(damaged); });
}

TEST_CASE("a truncated value is always an error")
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    out(every_type{});
    const auto message = bytes_of(buffer);
    for (std::size_t size = 0; size < message.size(); ++size)
        CHECK_THROWS_AS(value_in<every_type>({message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size)}),
                        coproc::protocol_error);
}

TEST_CASE("no flipped bit gets a function executed, its state included")
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    const auto f = coproc::bind_front(twice, 21);
    coproc::detail::encode_task_function<std::remove_const_t<decltype(f)>>(out, f);
    CHECK(value_in<int>(execute(bytes_of(buffer))) == 42);
    CHECK(taken_of_damaged(bytes_of(buffer), [](const bytes& damaged) { execute(damaged); }) == 0);
}

TEST_CASE("a damaged exception gives an error or another exception")
{
    coproc::detail::buffer buffer;
    coproc::output_archive out{buffer};
    coproc::detail::encode_exception(out, std::make_exception_ptr(std::system_error{ENOENT, std::generic_category(), "x"}),
                                     "task", 1);
    taken_of_damaged(bytes_of(buffer), [](const bytes& damaged) {
        coproc::input_archive in{damaged.data(), damaged.size()};
        if (!coproc::detail::decode_exception(in))
            FAIL("neither an error nor an exception");
    });
}
