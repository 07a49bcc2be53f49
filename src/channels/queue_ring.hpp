// The ring of bytes that a queue's segment is, as one process sees it.
#pragma once

#include "os/memory_file.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace coproc::detail {

/// Positions count up for ever and are taken modulo the ring's size. Copying is up to its users' agreement; what they read
/// may be anything.
class queue_ring {
public:
    queue_ring() noexcept = default;
    explicit queue_ring(std::shared_ptr<os::mapping> memory) noexcept : memory_{std::move(memory)} {}

    [[nodiscard]] std::size_t size() const noexcept { return memory_ ? memory_->size() : 0; }
    void copy_in(std::uint64_t at, std::span<const std::byte> bytes) const noexcept;
    void copy_out(std::uint64_t at, std::span<std::byte> bytes) const noexcept;

private:
    std::shared_ptr<os::mapping> memory_;
};

} // namespace coproc::detail
