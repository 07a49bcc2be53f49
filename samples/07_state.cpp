// How tasks get their state: bind_front for what a lambda would capture, tuples for several arguments, an initializer
// for what each worker prepares once.
#include <coproc/coproc.hpp>

#include <iostream>
#include <string>
#include <tuple>
#include <vector>

int scaled(int factor, int x) { return factor * x; }

// Any type that cereal can serialize travels; one's own with a few lines like this.
struct point {
    int x = 0, y = 0;
    template <class A>
    void serialize(A& archive) { archive(x, y); }
};
point moved(point p, int by) { return {p.x + by, p.y + by}; }

std::string language; // one for each worker
void prepare(std::string name) { language = name; }
std::string greeting(std::string whom) { return (language == "French" ? "Bonjour " : "Hello ") + whom; }

coproc::task<> async_main()
{
    coproc::pool pool{{.workers = 2, .initializer = coproc::bind_front(prepare, "French")}};

    const std::vector numbers{1, 2, 3}; // named first: g++ 12 takes no {1, 2, 3} inside a co_await expression
    for (int n : co_await pool.map(coproc::bind_front(scaled, 10), numbers))
        std::cout << n << '\n';

    const std::vector<std::tuple<point, int>> calls{{{1, 2}, 10}, {{3, 4}, 20}};
    for (point p : co_await pool.starmap(moved, calls))
        std::cout << p.x << ' ' << p.y << '\n';

    std::cout << co_await pool.apply(greeting, "Marie") << '\n';
    co_await pool.close(); // waits until the workers have ended in an orderly way
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 10
// 20
// 30
// 11 12
// 23 24
// Bonjour Marie
