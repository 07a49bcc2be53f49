// A shared place for one number: who puts one waits until it is empty, who takes one until it is full.
#pragma once

#include "sync/parties.hpp"

#include <coproc/condition.hpp>

namespace sync_test {

inline task<> put(coproc::condition c, shared_value<int> place, int count)
{
    for (int i = 1; i <= count; ++i) {
        auto held = co_await c.acquire();
        co_await c.wait(held, [&] { return place.load() == 0; });
        place.store(i);
        c.notify_all();
    }
}

inline task<> take(coproc::condition c, shared_value<int> place, shared_value<int> left, shared_value<int> sum)
{
    while (true) {
        auto held = co_await c.acquire();
        co_await c.wait(held, [&] { return place.load() != 0 || left.load() == 0; });
        if (place.load() == 0)
            co_return;
        sum.fetch_add(place.exchange(0));
        left.fetch_sub(1);
        c.notify_all();
    }
}

} // namespace sync_test
