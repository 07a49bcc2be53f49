// A library that the test program is linked with.
#include "wire/libraries/library.hpp"

int function_in_linked_library(int n) { return n + 1000; }

void function_message(wire_test::bytes& message) { message = wire_test::message_of(&function_in_linked_library, 1); }

void lambda_message(wire_test::bytes& message)
{
    message = wire_test::message_of([](int n) { return n + 2000; }, 1);
}
