// The scheduler in thousands of random lives. A failure prints the seed of its life; COPROC_TEST_SEED runs that one alone.
#include "pool/fake_workers.hpp"
#include "support/slowness.hpp"

#include <cstdlib>
#include <random>

using namespace pool_test;

namespace {

struct chances {
    double death = 0.02, failure = 0.05, cancel = 0.02, add = 0.2, failing_start = 0;
    double retry = 0, stop = 0, window = 0, hesitation = 0, priority = 0; ///< of what is asked for
    double elastic = 0, leave = 0, resize = 0, recycle = 0, bind = 0;
};

class life {
public:
    life(unsigned seed, chances chances) : random_{seed}, chances_{chances}, world_{options()} {}

    void run(int steps)
    {
        for (int step = 0; step < steps; ++step) {
            for (auto together = between(1, 3); together > 0; --together) // several events may come before the machine is asked
                one_event();
            world_.obey();
        }
        world_.run_dry();
        if (!world_.gave_up && !closed_ && chances_.failing_start == 0)
            CHECK((world_.workers.size() <= workers_ && world_.workers.size() >= std::min(least_, workers_)));
        world_.check_end();
        world_.machine.close();
        world_.run_dry();
        CHECK(world_.machine.closed());
        CHECK(world_.workers.empty());
    }

private:
    std::size_t between(std::size_t least, std::size_t most) { return std::uniform_int_distribution{least, most}(random_); }
    bool happens(double chance) { return std::bernoulli_distribution{chance}(random_); }

    scheduler_options options()
    {
        scheduler_options result;
        result.workers = workers_ = between(1, 5);
        if (happens(chances_.elastic))
            result.min_workers = least_ = between(0, workers_);
        result.max_tasks_per_worker = happens(0.5) ? 0 : between(1, 12);
        result.max_in_flight = between(2, 20);
        result.concurrency = happens(0.5) ? 1 : between(2, 10);
        result.max_failures = 1'000'000; // giving up has lives of its own
        if (chances_.failing_start > 0)
            result.max_failures = 3;
        return result;
    }

    job_id any_job() { return world_.jobs.empty() ? 0 : between(1, world_.jobs.size()); }
    std::vector<std::size_t> places()
    {
        std::vector<std::size_t> result;
        if (happens(chances_.bind))
            for (std::size_t place = 0; place < workers_; ++place)
                if (happens(0.4))
                    result.push_back(place);
        return result;
    }
    void add()
    {
        auto ahead = happens(chances_.window) ? between(1, 12) : SIZE_MAX;
        auto priority = happens(chances_.priority) ? static_cast<int>(between(0, 4)) - 2 : 0;
        auto id = world_.add(between(0, 40), happens(0.5) ? 0 : between(1, 9), happens(0.7), happens(0.1) ? between(0, 30) : SIZE_MAX, ahead, priority,
                             happens(0.5), places(), happens(0.2));
        world_.jobs.at(id).hesitates = happens(chances_.hesitation);
    }

    std::uint64_t cost()
    {
        constexpr std::uint64_t costs[]{0, 100, 10'000, 1'000'000, 100'000'000};
        return costs[between(0, 4)];
    }

    void one_event()
    {
        world_.starts_that_fail = happens(chances_.failing_start) ? 1 : 0;
        world_.slow_starts = happens(0.3);
        if (happens(chances_.add) && !closed_ && !world_.gave_up)
            add();
        if (auto job = any_job(); job != 0 && happens(0.5)) {
            auto& state = world_.jobs.at(job);
            world_.consume(job, between(state.consumed, state.given));
            if (happens(0.3))
                world_.feed(job);
        }
        for (auto& [chunk, state] : world_.chunks)
            if (state.delayed && happens(0.3)) {
                world_.again(chunk);
                break;
            }
        if (happens(chances_.cancel) && !world_.jobs.empty())
            world_.cancel(between(1, world_.jobs.size()));
        if (happens(0.0005)) {
            closed_ = true;
            world_.machine.close();
        }
        if (auto size = between(1, 6); happens(chances_.resize) && world_.resize(size))
            workers_ = size;
        if (happens(chances_.recycle))
            world_.machine.recycle();
        if (world_.workers.empty())
            return;
        auto ids = world_.ids();
        auto id = ids[between(0, ids.size() - 1)];
        if (happens(chances_.leave) && world_.leave(id))
            return;
        if (world_.workers.at(id).stopping ? happens(0.3) : happens(chances_.death))
            world_.die(id, between(0, 10));
        else if (!world_.workers.at(id).up && happens(0.5))
            world_.come_up(id);
        else if ((!world_.begin(id) || happens(0.3)) && world_.runs(id)) {
            if (happens(chances_.failure))
                happens(0.5) ? world_.fail(id, between(0, 10), between(0, 10)) : world_.settle(id);
            else if (happens(chances_.retry))
                world_.retry(id);
            else if (happens(chances_.stop))
                happens(0.3) ? world_.stop(id) : world_.abandon(id, happens(0.3));
            else
                world_.finish(id, cost(), between(0, 10));
        }
    }

    std::mt19937 random_;
    chances chances_;
    std::size_t workers_ = 0, least_ = SIZE_MAX;
    fake_workers world_;
    bool closed_ = false;
};

void live(int lives, int steps, chances chances)
{
    const char* given = std::getenv("COPROC_TEST_SEED");
    unsigned first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    auto count = given ? 1u : static_cast<unsigned>(lives / support::slowness);
    for (unsigned seed = first; seed != first + count; ++seed) {
        INFO("COPROC_TEST_SEED=" << seed);
        life{seed, chances}.run(steps);
    }
}

} // namespace

TEST_CASE("in a life without deaths every element runs exactly once") { live(100, 500, {.death = 0, .failure = 0, .cancel = 0}); }

TEST_CASE("whatever happens, a chunk is at one worker at a time and each job ends once", "[CRA-048]") { live(200, 500, {}); }

TEST_CASE("workers that die like flies lose nothing but what they ran", "[CRA-048]") { live(100, 500, {.death = 0.4}); }

TEST_CASE("jobs that are cancelled as fast as they come leave nothing behind") { live(100, 500, {.cancel = 0.4, .add = 0.6}); }

TEST_CASE("when workers can't be started, every job still ends", "[EXE-014]") { live(200, 300, {.death = 0.2, .failing_start = 0.3}); }

TEST_CASE("tasks that are tried again are tried one after the other, and end once") { live(150, 500, {.retry = 0.3}); }

TEST_CASE("a worker whose task is being stopped is given nothing, and what waited there is not lost", "[CRA-048]")
{
    live(200, 500, {.cancel = 0.1, .retry = 0.2, .stop = 0.3});
}

TEST_CASE("an input is read only so far ahead as was asked for, and waited for when it has nothing")
{
    live(150, 500, {.window = 0.7, .hesitation = 0.3});
}

TEST_CASE("whatever waits with a higher priority goes first") { live(150, 500, {.add = 0.4, .retry = 0.1, .priority = 0.8}); }

TEST_CASE("workers that come when they are needed and leave when they are not lose nothing", "[POOL-045][POOL-046]")
{
    live(100, 500, {.retry = 0.1, .elastic = 1, .leave = 0.3});
}

TEST_CASE("the number of workers may change and all may be replaced at any time", "[POOL-047][POOL-048][POOL-049]")
{
    live(100, 500, {.retry = 0.1, .stop = 0.1, .resize = 0.1, .recycle = 0.1});
}

TEST_CASE("what is bound to certain workers runs there alone, and nothing else waits for it")
{
    live(60, 500, {.add = 0.4, .retry = 0.1, .stop = 0.1, .window = 0.3, .priority = 0.5, .bind = 0.6});
}

TEST_CASE("all of this goes together, with workers that die and starts that fail")
{
    live(100, 500, {.death = 0.05, .retry = 0.1, .stop = 0.1, .window = 0.2, .hesitation = 0.1, .priority = 0.3, .elastic = 0.5, .leave = 0.2, .resize = 0.05, .recycle = 0.03, .bind = 0.4});
    live(60, 300, {.death = 0.2, .failing_start = 0.3, .elastic = 0.7, .leave = 0.2, .resize = 0.05, .recycle = 0.03, .bind = 0.4});
}
