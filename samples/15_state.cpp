// What each worker sets up once and its tasks use: make_state in the initializer, state<T> in the tasks.
#include <coproc/coproc.hpp>

#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

// Stands for what is expensive to make or can't travel: a model, a connection, a table. One for each worker.
class dictionary {
public:
    explicit dictionary(std::string language) : language_{std::move(language)} {}
    std::string look_up(const std::string& word)
    {
        ++asked_;
        auto found = words_.find(word);
        return found == words_.end() ? word + "?" : found->second;
    }
    std::string report() const { return language_ + ": " + std::to_string(asked_) + " words"; }

private:
    std::string language_;
    std::map<std::string, std::string> words_{{"one", "un"}, {"two", "deux"}};
    int asked_ = 0;
};

void open_dictionary(std::string language) { coproc::make_state<dictionary>(std::move(language)); }
void close_dictionary() { coproc::reset_state<dictionary>(); } // runs its destructor

std::string translated(const std::string& word) { return coproc::state<dictionary>().look_up(word); }
std::string report() { return coproc::state<dictionary>().report(); }

coproc::task<> async_main()
{
    coproc::pool pool{{.workers = 1,
                       .initializer = coproc::bind_front(open_dictionary, "French"),
                       .finalizer = close_dictionary}};

    const std::vector<std::string> words{"one", "two", "three"};
    for (const auto& word : co_await pool.map(translated, words))
        std::cout << word << '\n';
    std::cout << co_await pool.apply(report) << '\n';
    co_await pool.close(); // finalizers run when workers end in an orderly way
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// un
// deux
// three?
// French: 3 words
