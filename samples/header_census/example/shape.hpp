// A small tree for header_census to count. "Words" in comments are no identifiers, nor are those in strings.
#pragma once

#include "point.hpp"
#include <string>

struct shape {
    virtual double area() const = 0;
    std::string name = "shape";
};

/* several
   lines */
constexpr auto help = R"(a raw "string" with #include <nothing>)";
