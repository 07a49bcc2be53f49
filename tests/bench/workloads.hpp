// Workloads that have files of their own.
#pragma once

#include <coproc/task.hpp>

namespace bench {

coproc::task<> w6();
coproc::task<> w7();
coproc::task<> w8();

} // namespace bench
