// What a worker is given when it is started: its ends of the channels, and what to run before and after.
#pragma once

#include "os/descriptor.hpp"

#include <coproc/remote_call.hpp>
#include <coproc/serialize.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace coproc::detail {

/// What to run before or after all tasks: an encoded call with what it carries; empty for none.
struct worker_hook {
    std::vector<std::byte> bytes;
    std::vector<attachment> attachments;

    worker_hook() = default;
    explicit worker_hook(const remote_call& call);
    void save(output_archive& archive) const;
    void load(input_archive& archive);
};

/// An argument of worker_main. In the pool it is made from the worker's ends; in the worker it owns them.
struct worker_setup {
    std::shared_ptr<os::descriptor> tasks;       ///< the pipe, to read
    std::shared_ptr<os::descriptor> descriptors; ///< the socket beside it, both ways
    std::shared_ptr<os::descriptor> doorbell;
    std::shared_ptr<os::descriptor> page;
    std::shared_ptr<os::descriptor> attention;   ///< an event: one of its tasks is asked to stop
    std::uint32_t concurrency = 1;               ///< coroutines at a time
    // Limits, 0 for none; see pool_options.
    std::uint64_t memory_limit = 0, cpu_seconds = 0, open_files_limit = 0, max_memory = 0, max_age = 0;
    std::uint64_t idle_time = 0; ///< nanoseconds; 0: it stays until it is told to stop
    std::int64_t processor = -1; ///< the index of that to stay on; -1: none
    worker_hook initializer, finalizer;

    void save(output_archive& archive) const;
    void load(input_archive& archive);
};

/// The body of a worker process; see worker_main.cpp.
int worker_main(worker_setup setup);

} // namespace coproc::detail
