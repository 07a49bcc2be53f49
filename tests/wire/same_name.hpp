// Two files have functions and lambdas of the same names and shapes; a call must reach its own.
#pragma once

#include "wire/call_here.hpp"

namespace same_name {

wire_test::bytes function_of_a();
wire_test::bytes function_of_b();
wire_test::bytes lambda_of_a();
wire_test::bytes lambda_of_b();
wire_test::bytes object_of_a();
wire_test::bytes object_of_b();

} // namespace same_name
