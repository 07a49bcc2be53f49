// A library that is loaded at run time; VERSION makes another build of it.
#include "wire/libraries/library.hpp"

namespace {
int function_in_loaded_library(int n) { return n + 3000 + VERSION; }
} // namespace

void function_message(wire_test::bytes& message) { message = wire_test::message_of(&function_in_loaded_library, 1); }

void lambda_message(wire_test::bytes& message)
{
    message = wire_test::message_of([](int n) { return n + 4000 + VERSION; }, 1);
}
