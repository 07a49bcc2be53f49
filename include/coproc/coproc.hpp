// All of coproc.
#pragma once

#include <coproc/as_completed.hpp>
#include <coproc/async_result.hpp>
#include <coproc/bind_front.hpp>
#include <coproc/call.hpp>
#include <coproc/cpu_count.hpp>
#include <coproc/error.hpp>
#include <coproc/exit_status.hpp>
#include <coproc/joinable_queue.hpp>
#include <coproc/mutex.hpp>
#include <coproc/outcome.hpp>
#include <coproc/pool.hpp>
#include <coproc/pool_options.hpp>
#include <coproc/process.hpp>
#include <coproc/process_options.hpp>
#include <coproc/queue.hpp>
#include <coproc/remote_call.hpp>
#include <coproc/run.hpp>
#include <coproc/serialize.hpp>
#include <coproc/shared_value.hpp>
#include <coproc/start_method.hpp>
#include <coproc/stream.hpp>
#include <coproc/task.hpp>
#include <coproc/this_process.hpp>
#include <coproc/this_task.hpp>
#include <coproc/worker_state.hpp>
