// coproc::inline_workers: the same jobs, run where they are awaited.
#include "pool/pool_state.hpp"
#include "process/loop.hpp"

#include <coproc/detail/entry.hpp>
#include <coproc/error.hpp>

namespace coproc::detail {
namespace {

// One call of a job in this process, by the way of bytes, so that copies behave as with workers.
struct inline_call {
    buffer body, results;
    std::optional<input_archive> in;
    std::optional<output_archive> out;
    std::optional<invocation> call;
    const entry* what = nullptr;

    explicit inline_call(job& work)
    {
        if (work.next(body, 1, unknown_size) == 0)
            return;
        in.emplace(body.data(), body.size(), &body.attachments());
        what = &decode_entry(*in);
        out.emplace(results);
        call.emplace(invocation{*in, *out});
    }
    void keep(job& work, std::size_t index)
    {
        input_archive from{results.data(), results.size(), &results.attachments()};
        work.results(from, index, 1);
    }
};

} // namespace

void pool_state::run_inline(job& work)
{
    try {
        for (std::size_t index = 0;; ++index) {
            inline_call one{work};
            if (!one.what)
                break;
            one.what->plain(*one.call);
            one.keep(work, index);
        }
    } catch (...) {
        work.failure = std::current_exception();
    }
    work.waiters->done = true;
}

task<> pool_state::run_inline_coroutine(std::shared_ptr<job> work)
{
    try {
        for (std::size_t index = 0;; ++index) {
            inline_call one{*work};
            if (!one.what)
                break;
            co_await one.what->coroutine(*one.call);
            one.keep(*work, index);
        }
    } catch (...) {
        work->failure = std::current_exception();
    }
    work->waiters->done = true;
}

} // namespace coproc::detail
