// Words that a test and its workers share: what has happened so far, and what may go on.
#pragma once

#include "support/eventually.hpp"
#include "support/temporary_folder.hpp"

#include <coproc/task.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <catch2/catch.hpp>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace pool_test {

using word = std::atomic<std::uint32_t>;
inline constexpr std::size_t words = 16384;

/// The words in the file `path`; mapped once in each process and never unmapped.
inline word* words_in(const std::string& path)
{
    static std::map<std::string, word*> known;
    auto& place = known[path];
    if (place)
        return place;
    int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, words * sizeof(word)) != 0)
        throw std::runtime_error{"no board at " + path};
    void* memory = ::mmap(nullptr, words * sizeof(word), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (memory == MAP_FAILED)
        throw std::runtime_error{"the board can't be mapped"};
    return place = static_cast<word*>(memory);
}

/// The test's own. Give `path()` to tasks, which use the functions below.
class board {
public:
    [[nodiscard]] const std::string& path() const { return path_; }
    word& operator[](std::size_t index) { return words_in(path_)[index]; }
    /// Waits until the word is at least `value`. False after some seconds.
    [[nodiscard]] bool reaches(std::size_t index, std::uint32_t value)
    {
        return support::eventually([&] { return (*this)[index] >= value; }, std::chrono::seconds{30});
    }

private:
    support::temporary_folder folder_;
    std::string path_ = folder_ / "board";
};

/// Waits as board::reaches, while the loop goes on.
inline coproc::task<> reached(board& b, std::size_t index, std::uint32_t value)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    for (int tries = 0; b[index] < value && tries < 30'000; ++tries) {
        timer.expires_after(std::chrono::milliseconds{1});
        co_await timer.async_wait(asio::use_awaitable);
    }
    REQUIRE(b[index] >= value);
}

/// Tasks. Each counts what it does in a word of the board.
inline std::uint32_t note(const std::string& path, std::size_t index) { return ++words_in(path)[index]; }

inline void wait_for(const std::string& path, std::size_t index, std::uint32_t value)
{
    if (!support::eventually([&] { return words_in(path)[index] >= value; }, std::chrono::seconds{60}))
        throw std::runtime_error{"nothing happened"};
}

/// Word 0: how many are here; goes on once word 1 is not 0; word 2: how many have gone on. Gives `value`.
inline int hold(const std::string& path, int value)
{
    note(path, 0);
    wait_for(path, 1, 1);
    note(path, 2);
    return value;
}

/// Word `index`: how many are here. Only SIGKILL ends it.
inline int never_end(const std::string& path, std::size_t index)
{
    std::signal(SIGTERM, SIG_IGN);
    note(path, index);
    for (;;)
        ::pause();
}

} // namespace pool_test
