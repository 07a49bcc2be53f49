#include <coproc/detail/generator_job.hpp>
#include <coproc/detail/job.hpp>

#include "pool/pool_state.hpp"

#include <coproc/error.hpp>

#include <algorithm>
#include <string>

namespace coproc::detail {

job::job(const call_options& asked) : options{asked}, name{asked.name}
{
    if (options.retries < 0)
        throw usage_error{"a task can't be tried again " + std::to_string(options.retries) + " times"};
    if (std::min({options.timeout, options.deadline, options.backoff}).count() < 0)
        throw usage_error{"a task can't have a limit of time, or a time to wait, below zero"};
    options.name = {};
    tag = asked.tag;
    options.tag = {};
    if (options.measure || options.timeout.count() > 0 || options.retries > 0 || options.on_error != error_policy::cancel_rest)
        options.chunk_size = 1;
}
job::~job() = default;

void job::put_function_number(buffer& body) const { body.append(&waiters->id, sizeof waiters->id); }

} // namespace coproc::detail
