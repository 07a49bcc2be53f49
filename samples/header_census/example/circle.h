#include "point.hpp"
#include "shape.hpp"

struct circle : shape {
    point center;
    double radius;
    double area() const override { return 3.14 * radius * radius; }
};
