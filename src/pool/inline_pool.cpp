// coproc::inline_workers: the same jobs, run where they are awaited.
#include "pool/pool_state.hpp"
#include "wire/exception.hpp"

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

bool pool_state::claim_inline(const job& work)
{
    std::scoped_lock lock{mutex_};
    return work.waiters->runs_inline && !std::exchange(work.waiters->begun_inline, true);
}

void pool_state::end_inline(job& work, std::exception_ptr failure)
{
    turn([&] {
        if (work.waiters->done)
            return; // it was cancelled
        if (failure) { // as it would come from a worker
            buffer bytes;
            output_archive out{bytes};
            encode_exception(out, failure, work.name.c_str(), 0);
            input_archive in{bytes.data(), bytes.size()};
            work.failure = decode_exception(in);
        }
        release(work);
    });
}

void pool_state::run_inline(job& work)
{
    std::exception_ptr failure;
    try {
        for (std::size_t index = 0;; ++index) {
            inline_call one{work};
            if (!one.what)
                break;
            one.what->plain(*one.call);
            one.keep(work, index);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    end_inline(work, failure);
}

task<> pool_state::run_inline_coroutine(std::shared_ptr<job> work)
{
    std::exception_ptr failure;
    try {
        for (std::size_t index = 0;; ++index) {
            inline_call one{*work};
            if (!one.what)
                break;
            auto end = one.what->coroutine(*one.call);
            co_await std::move(end);
            one.keep(*work, index);
        }
    } catch (...) {
        failure = std::current_exception();
    }
    end_inline(*work, failure);
}

// One call, whose result is the stream's next item; nothing more of the input is read.
task<> pool_state::run_inline_step(std::shared_ptr<job> work)
{
    std::exception_ptr failure;
    bool ended = false;
    try {
        inline_call one{*work};
        ended = !one.what;
        if (one.what && one.what->plain)
            one.what->plain(*one.call);
        else if (one.what) {
            auto end = one.what->coroutine(*one.call);
            co_await std::move(end);
        }
        if (!ended)
            one.keep(*work, work->waiters->steps++);
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure || ended)
        end_inline(*work, failure);
}

} // namespace coproc::detail
