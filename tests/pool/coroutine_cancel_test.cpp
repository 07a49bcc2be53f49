// A worker's coroutines that are asked to stop. The worker is this process.
#include "pool/coroutines.hpp"
#include "pool/tasks.hpp"
#include "wire/call_here.hpp"

#include "os/calls.hpp"
#include "os/packet.hpp"
#include "pool/worker_page.hpp"
#include "pool/worker_setup.hpp"
#include "wire/frame.hpp"

#include <map>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <vector>

using namespace pool_test;
using namespace coproc::detail;
namespace os = coproc::os;

namespace {

/// The worker, and what its tasks know of it: they play the pool, as nobody else can while it runs.
struct staged {
    worker_page page;
    os::descriptor attention = os::make_event();
    std::vector<std::byte> said;

    std::uint64_t tasks = 0;
    template <class F, class... Args>
    void task(const F& f, Args... args)
    {
        auto body = wire_test::message_of(f, args...);
        frame header;
        header.kind = frame_kind::task;
        header.number = ++tasks;
        header.count = 1;
        header.size = static_cast<std::uint32_t>(body.size());
        append(&header, sizeof header);
        append(body.data(), body.size());
        page.queue(tasks);
    }
    void append(const void* from, std::size_t size)
    {
        auto* bytes = static_cast<const std::byte*>(from);
        said.insert(said.end(), bytes, bytes + size);
    }
    void stop(std::uint64_t number)
    {
        CHECK(page.request_stop(number));
        os::ring(attention.get());
    }
    /// Until it was told to stop and has. The kinds of its answers, by task.
    std::map<std::uint64_t, frame_kind> run(std::uint32_t concurrency);
};
staged* stage = nullptr;

std::map<std::uint64_t, frame_kind> staged::run(std::uint32_t concurrency)
{
    frame stop_frame;
    stop_frame.kind = frame_kind::stop;
    append(&stop_frame, sizeof stop_frame);
    auto pipe = os::make_pipe();
    auto sockets = os::make_packet_pair();
    REQUIRE(::write(pipe.second.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()));
    worker_setup setup;
    setup.tasks = std::make_shared<os::descriptor>(std::move(pipe.first));
    setup.descriptors = std::make_shared<os::descriptor>(std::move(sockets.second));
    setup.doorbell = std::make_shared<os::descriptor>(os::make_event());
    setup.attention = std::make_shared<os::descriptor>(attention.duplicate());
    setup.page = std::make_shared<os::descriptor>(page.file().duplicate());
    setup.concurrency = concurrency;
    stage = this;
    CHECK(worker_main(std::move(setup)) == 0);
    std::map<std::uint64_t, frame_kind> answers;
    frame_reader reader;
    while (page.available() > 0)
        reader.put(page.read(reader.space()));
    while (auto item = reader.next())
        answers[item->header.number] = item->header.kind;
    return answers;
}

coproc::task<int> wait_for_ever_and_clean_up()
{
    try {
        static_cast<void>(co_await wait_for_ever());
    } catch (const std::system_error&) {
    }
    co_await asio::this_coro::reset_cancellation_state();
    co_await yield();
    co_return 2;
}
coproc::task<int> stop_task(std::uint64_t number)
{
    co_await yield();
    stage->stop(number);
    co_return 3;
}
int stop_task_plainly(std::uint64_t number)
{
    stage->stop(number);
    return 4;
}
coproc::task<int> stop_itself_and_wait(std::uint64_t number)
{
    stage->stop(number);
    co_return co_await wait_for_ever();
}

} // namespace

TEST_CASE("a coroutine that is asked to stop is cancelled where it waits; those beside it are not")
{
    staged worker;
    worker.task(&wait_for_ever);
    worker.task(&wait_for_ever);
    worker.task(&stop_task, std::uint64_t{1});
    worker.task(&twice_later, 1);
    worker.task(&stop_task_plainly, std::uint64_t{2});
    auto answers = worker.run(3);
    CHECK(answers[1] == frame_kind::failure);
    CHECK(answers[2] == frame_kind::failure);
    for (std::uint64_t number : {3, 4, 5})
        CHECK(answers[number] == frame_kind::result);
}

TEST_CASE("a coroutine that runs alone in its worker is cancelled, too")
{
    staged worker;
    worker.task(&stop_itself_and_wait, std::uint64_t{1});
    worker.task(&stop_itself_and_wait, std::uint64_t{2});
    worker.task(&twice_later, 1);
    auto answers = worker.run(1);
    CHECK(answers[1] == frame_kind::failure);
    CHECK(answers[2] == frame_kind::failure);
    CHECK(answers[3] == frame_kind::result);
}

TEST_CASE("a coroutine that is cancelled may clean up, and return")
{
    staged worker;
    worker.task(&wait_for_ever_and_clean_up);
    worker.task(&stop_task, std::uint64_t{1});
    auto answers = worker.run(2);
    CHECK(answers[1] == frame_kind::result);
    CHECK(answers[2] == frame_kind::result);
}
