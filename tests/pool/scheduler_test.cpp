// The rules in the scheduler's header, one by one.
#include "pool/fake_workers.hpp"

using namespace pool_test;

namespace {

constexpr std::uint64_t microsecond = 1000, millisecond = 1'000'000;

scheduler_options with_workers(std::size_t workers, std::size_t max_tasks = 0)
{
    scheduler_options options;
    options.workers = workers;
    options.max_tasks_per_worker = max_tasks;
    return options;
}

/// Runs the oldest chunk of `worker`.
void run_one(fake_workers& world, worker_id worker, std::uint64_t nanoseconds)
{
    world.begin(worker);
    world.finish(worker, nanoseconds);
    world.obey();
}

} // namespace

TEST_CASE("a scheduler starts as many workers as it has places, and no more")
{
    fake_workers world{with_workers(3)};
    world.obey();
    CHECK(world.workers.size() == 3);
    world.add(100);
    world.run_dry();
    CHECK(world.count(act::start_worker) == 3);
}

TEST_CASE("an empty job ends at once, before there is a worker")
{
    fake_workers world{with_workers(1)};
    auto job = world.add(0);
    auto first = world.machine.next();
    REQUIRE(first);
    CHECK(first->what == act::finish_job);
    CHECK(first->job == job);
}

TEST_CASE("a job of unknown length that turns out to be empty ends")
{
    fake_workers world{with_workers(2)};
    world.add(0, 0, false);
    world.run_dry();
    world.check_end();
}

TEST_CASE("jobs take turns")
{
    fake_workers world{with_workers(1)};
    auto a = world.add(10, 1), b = world.add(10, 1);
    world.run_dry();
    std::vector<job_id> taken;
    for (auto& action : world.log)
        if (action.what == act::take)
            taken.push_back(action.job);
    REQUIRE(taken.size() == 20);
    for (std::size_t i = 0; i < 20; ++i)
        CHECK(taken[i] == (i % 2 == 0 ? a : b));
}

TEST_CASE("a worker has two chunks in flight while their cost is not known")
{
    fake_workers world{with_workers(2)};
    world.add(100);
    world.obey();
    for (auto id : world.ids())
        CHECK(world.workers.at(id).pipe.size() == 2);
}

TEST_CASE("of a concurrent job a worker has as many chunks as run at a time and two more, of one element each")
{
    auto options = with_workers(2);
    options.concurrency = 10;
    fake_workers world{options};
    world.add(1000, 0, true, SIZE_MAX, SIZE_MAX, 0, true);
    world.obey();
    for (auto id : world.ids())
        CHECK(world.workers.at(id).pipe.size() == 12);
    while (world.begin(1))
        continue;
    world.finish(1, 20 * millisecond, 7);
    world.obey();
    CHECK(world.workers.at(1).pipe.size() == 12);
    CHECK(world.largest_take == 1);
}

TEST_CASE("nothing is sent behind as many chunks that may not end as a worker runs at a time")
{
    auto options = with_workers(1);
    options.concurrency = GENERATE(1u, 3u);
    fake_workers world{options};
    world.add(options.concurrency + 2, 1, true, SIZE_MAX, SIZE_MAX, 0, true, {}, true);
    world.add(10, 1, true, SIZE_MAX, SIZE_MAX, 0, true);
    world.add(10);
    world.obey();
    auto& pipe = world.workers.at(1).pipe;
    auto endless = [&] { return std::ranges::count_if(pipe, [&](auto c) { return world.chunks.at(c).job == 1; }); };
    world.begin(1);
    for (int i = 0; i < 40 && static_cast<std::size_t>(endless()) < options.concurrency; ++i) // others end
        run_one(world, 1, microsecond);
    CHECK(static_cast<std::size_t>(endless()) == options.concurrency);
    world.run_dry();
    world.check_end();
}

TEST_CASE("plain chunks and concurrent ones don't take each other's room")
{
    auto options = with_workers(1);
    options.concurrency = 10;
    fake_workers world{options};
    world.add(100, 0, true, SIZE_MAX, SIZE_MAX, 0, true);
    world.obey();
    auto plain = world.add(100);
    world.obey();
    CHECK(world.workers.at(1).pipe.size() == 14);
    CHECK(world.jobs.at(plain).given == 2);
}

TEST_CASE("a job with nothing to send comes back to its turn when a worker dies")
{
    fake_workers world{with_workers(1)};
    auto first = world.add(2, 1), second = world.add(10, 1);
    world.obey();
    world.die(1);
    world.run_dry();
    CHECK(world.jobs.at(first).ended);
    CHECK(world.jobs.at(second).ended);
    world.check_end();
}

TEST_CASE("chunks of unknown cost have one element, unless the caller says otherwise")
{
    fake_workers world{with_workers(1)};
    world.add(100);
    world.obey();
    CHECK(world.largest_take == 1);
    fake_workers other{with_workers(1)};
    other.add(100, 7);
    other.obey();
    CHECK(other.largest_take == 7);
}

TEST_CASE("long tasks stay in chunks of one element, two at each worker")
{
    fake_workers world{with_workers(2)};
    world.add(100);
    world.obey();
    for (int i = 0; i < 20; ++i)
        run_one(world, world.ids()[static_cast<std::size_t>(i) % 2], 100 * millisecond);
    CHECK(world.largest_take == 1);
    for (auto id : world.ids())
        CHECK(world.workers.at(id).pipe.size() == 2);
}

TEST_CASE("short tasks come in chunks that are worth a message")
{
    fake_workers world{with_workers(2)};
    world.add(1'000'000);
    world.obey();
    run_one(world, world.ids()[0], 1 * microsecond);
    CHECK(world.largest_take >= 20);
}

TEST_CASE("the last chunks of a job are small, so that all workers end at about the same time")
{
    fake_workers world{with_workers(2)};
    world.add(10'000);
    world.obey();
    for (std::size_t i = 0; !world.at_rest(); ++i) {
        auto worker = world.ids()[i % 2];
        if (auto& pipe = world.workers.at(worker).pipe; !pipe.empty())
            run_one(world, worker, world.chunks.at(pipe.front()).count * 10 * microsecond);
    }
    std::size_t last = 0;
    for (auto& action : world.log)
        if (action.what == act::take)
            last = action.most;
    CHECK(last < world.largest_take);
}

TEST_CASE("short tasks of explicit chunks of one element fill the pipe up to the limit of chunks in flight")
{
    auto options = with_workers(1);
    options.max_in_flight = 50;
    fake_workers world{options};
    world.add(1000, 1);
    world.obey();
    for (int i = 0; i < 3; ++i) // those sent before the cost was known count as long
        run_one(world, world.ids()[0], 10);
    CHECK(world.workers.at(world.ids()[0]).pipe.size() == 50);
}

TEST_CASE("a worker with nothing to do takes a chunk that waits behind a long one")
{
    fake_workers world{with_workers(2)};
    world.add(4, 1);
    world.obey();
    auto busy = world.ids()[0], quick = world.ids()[1];
    world.begin(busy);
    run_one(world, quick, 10 * millisecond);
    run_one(world, quick, 10 * millisecond);
    CHECK(world.count(act::withdraw) == 1);
    CHECK(world.workers.at(busy).pipe.size() == 1);
    CHECK(world.workers.at(quick).pipe.size() == 1);
}

TEST_CASE("a chunk that is not worth a wake-up stays where it waits")
{
    fake_workers world{with_workers(2)};
    world.add(4, 1);
    world.obey();
    auto busy = world.ids()[0], quick = world.ids()[1];
    run_one(world, quick, 1 * microsecond);
    world.add(2, 1);
    world.obey();
    world.begin(busy);
    while (!world.workers.at(quick).pipe.empty())
        run_one(world, quick, 1 * microsecond);
    for (auto& action : world.log)
        if (action.what == act::withdraw)
            CHECK(world.machine.place(action.chunk).job != 1);
}

TEST_CASE("what a dead worker had not begun goes to others before anything new, earliest first")
{
    fake_workers world{with_workers(2)};
    world.add(100, 1);
    world.obey();
    auto dying = world.ids()[1];
    std::vector<chunk_id> lost{world.workers.at(dying).pipe.begin(), world.workers.at(dying).pipe.end()};
    auto before = world.log.size();
    world.die(dying);
    world.obey();
    std::vector<chunk_id> again;
    for (auto i = before; i < world.log.size() && again.size() < lost.size(); ++i) {
        CHECK(world.log[i].what != act::take);
        if (world.log[i].what == act::send_again)
            again.push_back(world.log[i].chunk);
    }
    CHECK(again == lost);
}

TEST_CASE("after a failure the elements before it still run, those after it don't")
{
    fake_workers world{with_workers(2)};
    auto job = world.add(100, 1);
    world.obey();
    auto a = world.ids()[0], b = world.ids()[1];
    if (world.chunks.at(world.workers.at(a).pipe.front()).first > world.chunks.at(world.workers.at(b).pipe.front()).first)
        std::swap(a, b);
    world.begin(a);
    world.begin(b);
    auto failing = world.chunks.at(world.workers.at(b).pipe.front()).first;
    world.fail(b, 0);
    world.obey();
    CHECK_FALSE(world.jobs.at(job).ended); // element 0 runs
    CHECK(world.jobs.at(job).failed_at == failing);
    CHECK(world.workers.at(b).pipe.empty());
    world.finish(a, 1000);
    world.run_dry();
    CHECK(world.jobs.at(job).ended);
    world.check_end();
    CHECK(world.jobs.at(job).given < 100);
}

TEST_CASE("a cancelled job ends at once, and what it runs is nobody's")
{
    fake_workers world{with_workers(1)};
    auto job = world.add(10, 1);
    world.obey();
    auto worker = world.ids()[0];
    world.begin(worker);
    auto running = world.workers.at(worker).pipe.front();
    world.cancel(job);
    world.obey();
    CHECK(world.jobs.at(job).ended);
    CHECK(world.machine.place(running).job == 0);
    CHECK(world.workers.at(worker).pipe.size() == 1);
    world.run_dry();
    world.check_end();
}

TEST_CASE("cancelling a job that has ended does nothing")
{
    fake_workers world{with_workers(1)};
    auto job = world.add(1);
    world.run_dry();
    world.cancel(job);
    CHECK_FALSE(world.machine.next());
}

TEST_CASE("a worker is replaced after its number of tasks", "[EXE-011]")
{
    fake_workers world{with_workers(2, 3)};
    world.add(30, 1);
    world.run_dry();
    world.check_end();
    CHECK(world.count(act::stop_worker) == 10);
    CHECK(world.count(act::start_worker) == 12);
}

TEST_CASE("a chunk is never larger than what its worker may still do")
{
    fake_workers world{with_workers(1, 3)};
    world.add(30, 10);
    world.run_dry();
    world.check_end();
    CHECK(world.largest_take == 3);
}

TEST_CASE("a chunk that came back does not take a worker beyond its number of tasks")
{
    fake_workers world{with_workers(2, 4)};
    world.add(4, 4);
    world.obey();
    world.add(1);
    world.obey();
    auto dying = world.chunks.begin()->second.worker;
    world.starts_that_fail = 1; // so that the other one is asked
    world.die(dying);           // before it began: the chunk of four comes back
    world.run_dry();
    world.check_end();
}

TEST_CASE("closing lets jobs end, then stops the workers")
{
    fake_workers world{with_workers(2)};
    world.add(10);
    world.obey();
    world.machine.close();
    world.obey();
    CHECK(world.count(act::stop_worker) == 0);
    world.run_dry();
    world.check_end();
    CHECK(world.machine.closed());
}

TEST_CASE("a closed scheduler does not replace a worker that nobody needs")
{
    fake_workers world{with_workers(2)};
    world.obey();
    world.machine.close();
    world.die(world.ids()[0]);
    world.run_dry();
    CHECK(world.count(act::start_worker) == 2);
    CHECK(world.machine.closed());
}

TEST_CASE("a closed scheduler replaces workers while there is work", "[EXE-012][POOL-020]")
{
    fake_workers world{with_workers(1, 1)};
    world.add(5);
    world.obey();
    world.machine.close();
    world.run_dry();
    world.check_end();
    CHECK(world.machine.closed());
    CHECK(world.count(act::start_worker) == 5);
}

TEST_CASE("workers that die without coming to a task are replaced only so often", "[CRA-038]")
{
    fake_workers world{with_workers(1)};
    world.add(1);
    for (world.obey(); !world.workers.empty() && world.count(act::start_worker) < 100; world.obey())
        world.die(world.ids()[0]);
    CHECK(world.gave_up);
    CHECK(world.count(act::start_worker) == 4);
    world.check_end();
}

TEST_CASE("deaths that cost a task are no reason to give up", "[CRA-038]")
{
    fake_workers world{with_workers(1)};
    for (int i = 0; i < 50; ++i) {
        world.add(1);
        world.obey();
        world.begin(world.ids()[0]);
        world.die(world.ids()[0]);
        world.obey();
    }
    CHECK_FALSE(world.gave_up);
    world.check_end();
}

TEST_CASE("deaths of idle workers that had done something are no reason to give up")
{
    fake_workers world{with_workers(1)};
    for (int i = 0; i < 50; ++i) {
        world.add(1);
        world.run_dry();
        world.die(world.ids()[0]);
    }
    CHECK_FALSE(world.gave_up);
}

TEST_CASE("if the first workers can't all be started, the scheduler gives up", "[POOL-024]")
{
    fake_workers world{with_workers(4)};
    world.obey();
    fake_workers other{with_workers(4)};
    other.starts_that_fail = 1;
    other.add(3);
    other.obey();
    CHECK_FALSE(world.gave_up);
    CHECK(other.gave_up);
}

TEST_CASE("what can't be started while others are being started is tried again when one of those has come up")
{
    fake_workers world{with_workers(3)};
    world.slow_starts = true;
    world.starts_that_work = 2;
    world.starts_that_fail = 1;
    world.obey();
    CHECK_FALSE(world.gave_up);
    CHECK(world.workers.size() == 2);
    world.come_up(world.ids()[0]);
    world.obey();
    CHECK(world.workers.size() == 3);

    fake_workers other{with_workers(3)};
    other.slow_starts = true;
    other.starts_that_fail = 1; // nobody is on the way whose start could give anything back
    other.obey();
    CHECK(other.gave_up);
}

TEST_CASE("if a replacement can't be started, the rest goes on, and it is tried again when a worker has ended")
{
    fake_workers world{with_workers(2)};
    world.add(10);
    world.obey();
    world.starts_that_fail = 1;
    world.begin(world.ids()[0]);
    world.die(world.ids()[0]);
    world.run_dry();
    CHECK_FALSE(world.gave_up);
    CHECK(world.workers.size() == 1);
    world.check_end();
    world.die(world.ids()[0]);
    world.obey();
    CHECK(world.workers.size() == 2);
}

TEST_CASE("if none is left and none can be started, the scheduler gives up", "[EXE-014]")
{
    fake_workers world{with_workers(1)};
    world.add(10, 1);
    world.obey();
    world.starts_that_fail = 1;
    world.begin(world.ids()[0]);
    world.die(world.ids()[0]);
    world.add(1);
    world.run_dry();
    CHECK(world.gave_up);
    world.check_end();
}

TEST_CASE("an input that throws ends its job when what was taken has ended", "[POOL-007]")
{
    fake_workers world{with_workers(2)};
    auto job = world.add(100, 2, false, 5);
    world.obey();
    CHECK_FALSE(world.jobs.at(job).ended);
    world.run_dry();
    CHECK(world.jobs.at(job).ended);
    CHECK(world.jobs.at(job).given == 4);
    world.check_end();
}

TEST_CASE("a worker beyond the minimum is started when a task would wait, one for each", "[POOL-043]")
{
    auto options = with_workers(3);
    options.min_workers = 0;
    fake_workers world{options};
    world.obey();
    CHECK(world.workers.empty());
    for (std::size_t tasks = 1; tasks <= 5; ++tasks) {
        world.add(1);
        world.obey();
        CHECK(world.workers.size() == std::min<std::size_t>(tasks, 3));
    }
    world.run_dry();
    world.check_end();
}

TEST_CASE("coroutines share a worker before another one is started for them")
{
    auto options = with_workers(3);
    options.min_workers = 0;
    options.concurrency = 4;
    fake_workers world{options};
    world.add(4, 0, true, SIZE_MAX, SIZE_MAX, 0, true);
    world.obey();
    CHECK(world.workers.size() == 1);
    world.add(1, 0, true, SIZE_MAX, SIZE_MAX, 0, true);
    world.obey();
    CHECK(world.workers.size() == 2);
}

TEST_CASE("what was sent to a worker that leaves goes elsewhere", "[POOL-046]")
{
    auto options = with_workers(2);
    options.min_workers = 0;
    fake_workers world{options};
    auto job = world.add(1);
    world.obey();
    REQUIRE(world.leave(1)); // it has not begun it
    world.obey();
    CHECK(world.workers.at(2).place == 0);
    CHECK(world.workers.at(2).pipe.size() == 1);
    world.run_dry();
    CHECK(world.jobs.at(job).ended);
    world.check_end();
}

TEST_CASE("a job that is bound to a full worker is passed over, and takes its turn when there is room")
{
    fake_workers world{with_workers(2)};
    auto bound = world.add(10, 1, true, SIZE_MAX, SIZE_MAX, 0, false, {0});
    world.obey();
    auto other = world.add(10, 1);
    world.obey();
    auto busy = world.at_place(0).front(), free = world.at_place(1).front();
    CHECK(world.jobs.at(bound).given == 2);
    CHECK(world.jobs.at(other).given == 2);
    for (int i = 0; i < 4; ++i)
        run_one(world, free, 10 * millisecond);
    CHECK(world.jobs.at(other).given == 6);
    run_one(world, busy, 10 * millisecond);
    CHECK(world.jobs.at(bound).given == 3);
    world.run_dry();
    world.check_end();
}

TEST_CASE("an idle worker does not take what is bound to another one")
{
    fake_workers world{with_workers(2)};
    world.add(2, 1, true, SIZE_MAX, SIZE_MAX, 0, false, {0});
    world.obey();
    CHECK(world.count(act::withdraw) == 0);
    CHECK(world.workers.at(world.at_place(0).front()).pipe.size() == 2);
}

TEST_CASE("a bound job of a higher priority overtakes at its worker alone")
{
    fake_workers world{with_workers(2)};
    world.add(4, 1, true, SIZE_MAX, SIZE_MAX, 0);
    world.obey();
    for (auto id : world.ids())
        world.begin(id);
    world.add(1, 1, true, SIZE_MAX, SIZE_MAX, 5, false, {1});
    world.obey();
    CHECK(world.count(act::withdraw) == 1);
    CHECK(world.jobs.at(2).given == 1);
    CHECK(world.chunks.at(world.workers.at(world.at_place(1).front()).pipe.back()).job == 2);
    world.run_dry();
    world.check_end();
}

TEST_CASE("a job whose worker can't be started fails, and the others go on")
{
    fake_workers world{with_workers(2)};
    world.obey();
    auto bound = world.add(3, 1, true, SIZE_MAX, SIZE_MAX, 0, false, {1}), other = world.add(30, 1);
    world.obey();
    world.starts_that_fail = 1;
    world.die(world.at_place(1).front());
    world.obey();
    CHECK(world.count(act::fail_job) == 1);
    CHECK(world.jobs.at(bound).cancelled);
    CHECK_FALSE(world.gave_up);
    world.run_dry();
    CHECK(world.jobs.at(other).ended);
    world.check_end();
}

TEST_CASE("surplus workers end what they run and get nothing more; if the number rises in time, they stay", "[POOL-047]")
{
    fake_workers world{with_workers(3)};
    world.add(100, 1);
    world.obey();
    for (auto id : world.ids())
        world.begin(id);
    REQUIRE(world.resize(1));
    world.obey();
    CHECK(world.staying() == 3);
    auto last = world.at_place(2).front();
    CHECK(world.workers.at(last).pipe.size() == 1);
    world.finish(last, millisecond);
    world.obey();
    CHECK(world.workers.at(last).stopping);
    REQUIRE(world.resize(2));
    world.obey();
    CHECK(world.count(act::start_worker) == 3); // the second one was kept
    CHECK(world.staying() == 2);
    world.run_dry();
    world.check_end();
}
