// Shared arrays: an image that workers fill in tiles. No element travels; each worker writes where the parent reads.
#include <coproc/coproc.hpp>

#include <algorithm>
#include <complex>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <string_view>
#include <tuple>
#include <vector>

constexpr std::size_t width = 64, height = 24, rows_of_tile = 6;
constexpr std::string_view shades = " .:-=+*#%@";

// How soon the point leaves the Mandelbrot set: a letter for each pixel.
char shade(std::size_t column, std::size_t row)
{
    std::complex<double> c{-2.2 + 3.2 * static_cast<double>(column) / width, -1.2 + 2.4 * static_cast<double>(row) / height};
    std::complex<double> z;
    int steps = 0;
    while (steps < 50 && std::norm(z) < 4)
        z = z * z + c, ++steps;
    return shades[static_cast<std::size_t>(std::min(steps / 3, 9))];
}

// A tile is a part of the image: a handle, whatever its size. No other worker writes there; what all of them write to needs
// a mutex, which an array may have with it.
std::size_t fill(coproc::shared_array<char> tile, std::size_t first_row, coproc::shared_array<int> counts)
{
    for (std::size_t i = 0; i < tile.size(); ++i)
        tile[i] = shade(i % width, first_row + i / width);
    std::scoped_lock held{counts.mutex()};
    for (char c : tile)
        ++counts[shades.find(c)];
    return tile.size();
}

coproc::task<> async_main()
{
    coproc::shared_array<char> image{width * height}; // all zero, in memory of its own
    coproc::shared_array<int> counts{shades.size(), coproc::with_mutex};
    std::vector<std::tuple<coproc::shared_array<char>, std::size_t, coproc::shared_array<int>>> tiles;
    for (std::size_t row = 0; row < height; row += rows_of_tile)
        tiles.emplace_back(image.subarray(row * width, rows_of_tile * width), row, counts);

    coproc::pool pool{2};
    std::size_t pixels = 0;
    for (auto n : co_await pool.starmap(fill, tiles))
        pixels += n;
    std::cout << pixels << " pixels, " << counts.back() << " of them in the set, middle row:\n";
    for (char c : image.subarray(height / 2 * width, width))
        std::cout << c;
    std::cout << '\n';
}

int main(int argc, char** argv) { return coproc::run(argc, argv, async_main); }

// Expected output:
// 1536 pixels, 331 of them in the set, middle row:
//      @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@=:::..........
