#include "words.hpp"

#include <algorithm>
#include <functional>

namespace {

constexpr std::size_t first_size = 64;
constexpr std::uint64_t tag = ~std::uint64_t{0} << 32;

std::uint64_t hash_of(std::string_view word) { return std::hash<std::string_view>{}(word); }

} // namespace

words::words() : slots_(first_size) {}

std::size_t words::slot_of(std::string_view word, std::uint64_t hash) const
{
    std::size_t place = hash & (slots_.size() - 1);
    for (; slots_[place] != 0; place = (place + 1) & (slots_.size() - 1))
        if ((slots_[place] & tag) == (hash & tag) && word_of(entries_[(slots_[place] & ~tag) - 1]) == word)
            break;
    return place;
}

void words::rebuild_slots(std::size_t size)
{
    slots_.assign(size, 0);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        std::size_t place = entries_[i].hash & (size - 1);
        while (slots_[place] != 0)
            place = (place + 1) & (size - 1);
        slots_[place] = (entries_[i].hash & tag) | (i + 1);
    }
}

void words::add(std::string_view word, std::uint64_t hash, std::uint64_t times)
{
    std::size_t place = slot_of(word, hash);
    if (slots_[place] != 0) {
        entries_[(slots_[place] & ~tag) - 1].count += times;
        return;
    }
    auto begin = static_cast<std::uint32_t>(text_.size()), length = static_cast<std::uint32_t>(word.size());
    entries_.push_back({hash, times, begin, length});
    text_ += word;
    slots_[place] = (hash & tag) | entries_.size();
    if (entries_.size() * 2 > slots_.size())
        rebuild_slots(slots_.size() * 2);
}

void words::add(std::string_view word, std::uint64_t times) { add(word, hash_of(word), times); }

void words::add(const words& others)
{
    for (auto& e : others.entries_)
        if (e.count != 0)
            add(others.word_of(e), e.hash, e.count);
}

void words::remove(std::string_view word)
{
    if (auto slot = slots_[slot_of(word, hash_of(word))]; slot != 0)
        entries_[(slot & ~tag) - 1].count = 0;
}

std::size_t words::size() const
{
    return entries_.size() - static_cast<std::size_t>(std::ranges::count(entries_, 0u, &entry::count));
}

std::uint64_t words::count(std::string_view word) const
{
    auto slot = slots_[slot_of(word, hash_of(word))];
    return slot == 0 ? 0 : entries_[(slot & ~tag) - 1].count;
}

std::vector<std::pair<std::string, std::uint64_t>> words::top(std::size_t most) const
{
    auto sorted = entries_;
    most = std::min(most, size());
    std::ranges::partial_sort(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(most), {},
                              [this](const entry& e) { return std::pair{~e.count, word_of(e)}; });
    std::vector<std::pair<std::string, std::uint64_t>> result;
    for (std::size_t i = 0; i < most; ++i)
        result.emplace_back(word_of(sorted[i]), sorted[i].count);
    return result;
}

void words::save(coproc::output_archive& archive) const
{
    archive(text_, entries_.size());
    archive(cereal::binary_data(entries_.data(), entries_.size() * sizeof(entry)));
}

void words::load(coproc::input_archive& archive)
{
    std::size_t size = 0;
    archive(text_, size);
    entries_.resize(size);
    archive(cereal::binary_data(entries_.data(), size * sizeof(entry)));
    std::size_t slots = first_size;
    while (slots < 2 * size)
        slots *= 2;
    rebuild_slots(slots);
}

bool operator==(const words& a, const words& b)
{
    return a.size() == b.size()
        && std::ranges::all_of(a.entries_, [&](auto& e) { return e.count == 0 || b.count(a.word_of(e)) == e.count; });
}
