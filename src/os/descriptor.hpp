// A file descriptor with one owner.
#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

namespace coproc::os {

/// Owns a descriptor and closes it, exactly once. Empty when default constructed or moved from.
///
/// All descriptors that coproc owns are known by number (see owned_descriptors), so that a child made by plain fork can
/// close what belongs to its parent.
class descriptor {
public:
    descriptor() noexcept = default;
    /// Takes over `number`; -1 is empty.
    explicit descriptor(int number) noexcept;
    descriptor(descriptor&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
    descriptor& operator=(descriptor&& other) noexcept
    {
        descriptor{std::move(other)}.swap(*this);
        return *this;
    }
    ~descriptor() { reset(); }

    [[nodiscard]] int get() const noexcept { return number_; }
    explicit operator bool() const noexcept { return number_ >= 0; }
    void reset() noexcept;
    /// Gives the number away, open; the caller closes it.
    [[nodiscard]] int release() noexcept;
    void swap(descriptor& other) noexcept { std::swap(number_, other.number_); }

    /// A second descriptor for the same open file.
    [[nodiscard]] descriptor duplicate() const;
    void set_non_blocking(bool on) const;

private:
    int number_ = -1;
};

/// The numbers of all descriptors that some `descriptor` owns now.
[[nodiscard]] std::vector<int> owned_descriptors();
/// In a copy of a process: closes all that the original owned but those in `kept`. No owner may be used, or destroyed,
/// afterwards.
void abandon_descriptors(std::initializer_list<int> kept) noexcept;

/// Two connected descriptors. For a pipe: `first` reads what `second` was written.
struct descriptor_pair {
    descriptor first, second;
};
/// Owns what the kernel just made, by another number if that is 0, 1 or 2. Throws std::system_error with errno if it is -1.
[[nodiscard]] descriptor adopt(int number, const char* operation);
[[nodiscard]] descriptor_pair adopt_pair(const int (&ends)[2], const char* operation);
[[nodiscard]] descriptor_pair make_pipe();
/// Connected Unix sockets that keep packet boundaries and carry descriptors.
[[nodiscard]] descriptor_pair make_packet_pair();
/// A counter that wakes whoever polls it; non-blocking.
[[nodiscard]] descriptor make_event();
/// Opens /dev/null in place of each standard stream that is closed. Our own descriptors keep away from these numbers, but
/// those of libraries (an event loop's) don't.
void fill_standard_streams();
/// Opens a file; the exception names the path.
[[nodiscard]] descriptor open_file(const char* path, int flags, unsigned mode = 0666);

} // namespace coproc::os
