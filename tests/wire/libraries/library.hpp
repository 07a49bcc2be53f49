// What the libraries of these tests give: a message that calls a function of their own, of which each has its own kind.
#pragma once

#include "../call_here.hpp"

extern "C" {
// The caller owns the bytes.
void function_message(wire_test::bytes& message);
void lambda_message(wire_test::bytes& message);
}

int function_in_linked_library(int n);
