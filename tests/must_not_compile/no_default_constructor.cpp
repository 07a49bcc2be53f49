// error: give it a default constructor
#include <coproc/detail/check_call.hpp>

struct made_of_int {
    explicit made_of_int(int n) : value{n} {}
    int value;
    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(value);
    }
};
int f(made_of_int m) { return m.value; }
int main() { return coproc::detail::check_call<decltype(&f), made_of_int>(); }
