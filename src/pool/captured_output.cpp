#include "pool/captured_output.hpp"

#include "os/calls.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <unistd.h>

namespace coproc::detail {
namespace {

constexpr std::size_t kept = 4096; // bytes: some ten lines, and a stack

} // namespace

captured_output::captured_output(const os::watch_set& set, std::uint64_t token, os::descriptor from)
    : set_{set}, token_{token}, from_{std::move(from)}
{
    set_.add_readable(from_.get(), token_);
}

captured_output::~captured_output() { set_.remove(from_.get()); }

void captured_output::pass_on()
{
    std::array<char, 16 * 1024> bytes;
    for (int reads = 0;; ++reads) {
        if (reads == 16) { // the others' turn; the rest is reported again
            set_.remove(from_.get());
            return set_.add_readable(from_.get(), token_);
        }
        ssize_t size = os::read(from_.get(), bytes.data(), bytes.size());
        if (size <= 0)
            return;
        std::string_view text{bytes.data(), static_cast<std::size_t>(size)};
        if (text_.size() > 4 * kept)
            text_.erase(0, text_.size() - kept);
        text_ += text;
        while (!text.empty()) {
            ssize_t written = os::write(STDERR_FILENO, text.data(), text.size());
            if (written <= 0)
                break; // whoever has closed it doesn't want it
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }
}

std::string captured_output::last_lines() const
{
    std::string_view text = text_;
    if (text.size() > kept) {
        text.remove_prefix(text.size() - kept);
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    }
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    return std::string{text};
}

} // namespace coproc::detail
