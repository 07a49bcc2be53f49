#pragma once

struct point {
    double x = 1'000.5e-3, y = 0;
};
