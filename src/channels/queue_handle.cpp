#include <coproc/detail/queue_handle.hpp>

#include "channels/queue_core.hpp"

#include <coproc/error.hpp>

#include <utility>

namespace coproc::detail {
queue_handle::queue_handle(const queue_handle& other) : kind_{other.kind_}, capacity_{other.capacity_}, core_{other.core()} {}
queue_handle::queue_handle(queue_handle&& other) noexcept : kind_{other.kind_}, capacity_{other.capacity_}
{
    std::scoped_lock lock{other.mutex_};
    core_ = std::move(other.core_);
}

queue_handle& queue_handle::operator=(const queue_handle& other)
{
    auto core = other.core();
    std::scoped_lock lock{mutex_};
    core_ = std::move(core);
    return *this;
}

queue_handle& queue_handle::operator=(queue_handle&& other) noexcept
{
    if (this != &other) {
        std::scoped_lock lock{mutex_, other.mutex_};
        core_ = std::move(other.core_);
        capacity_ = other.capacity_;
    }
    return *this;
}

queue_handle::~queue_handle() = default;

std::shared_ptr<queue_core> queue_handle::core() const
{
    std::scoped_lock lock{mutex_};
    if (!core_) {
        registry::here(); // whoever can change it is known, so that its death is noticed
        core_ = std::make_shared<queue_core>(kind_.type, capacity_, kind_.joinable, kind_.carries_descriptors);
    }
    if (!core_->is_ours())
        throw usage_error{"a queue that was inherited by fork can't be used: let the parent send it as an argument"};
    return core_;
}

void queue_handle::send(output_archive& archive) const
{
    auto queue = core();
    archive.attach(queue->file());
    if (kind_.carries_descriptors) {
        archive.attach(queue->packets().putting());
        archive.attach(queue->packets().getting());
    }
}

void queue_handle::receive(input_archive& archive)
{
    registry::here(); // see core
    auto file = archive.take_attachment();
    queue_packets packets;
    if (kind_.carries_descriptors) {
        auto putting = archive.take_attachment();
        packets = {std::move(putting), archive.take_attachment()};
    }
    auto core = std::make_shared<queue_core>(kind_.type, kind_.joinable, std::move(file), std::move(packets));
    std::scoped_lock lock{mutex_};
    core_ = std::move(core);
}

} // namespace coproc::detail
