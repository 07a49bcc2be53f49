#include "wire/same_name.hpp"

#include <string>

namespace {

std::string twin(int) { return "a"; }

struct twin_object {
    std::string operator()(int) const { return "a"; }
};

} // namespace

namespace same_name {

wire_test::bytes function_of_a() { return wire_test::message_of(&twin, 0); }

wire_test::bytes lambda_of_a()
{
    return wire_test::message_of([](int) { return std::string{"a"}; }, 0);
}

wire_test::bytes object_of_a() { return wire_test::message_of(twin_object{}, 0); }

} // namespace same_name
