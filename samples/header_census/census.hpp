// What is known of a number of headers: a value that workers return and that adds up.
#pragma once

#include "words.hpp"

#include <cstdint>
#include <map>
#include <string>

/// Files that could not be read, for one reason.
struct failures {
    std::uint64_t count = 0;
    std::string example; ///< the first by the alphabet, so that it is the same in every run

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(count, example);
    }
    friend bool operator==(const failures&, const failures&) = default;
};

struct census {
    std::uint64_t files = 0, bytes = 0, lines = 0; ///< lines as wc counts them: the newlines
    words identifiers;                             ///< keywords are among them until report time
    words includes;
    std::map<std::string, failures> unread; ///< by reason

    census& operator+=(const census& other);
    void add_failure(const std::string& reason, const std::string& path);

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(files, bytes, lines, identifiers, includes, unread);
    }
    friend bool operator==(const census&, const census&) = default;
};
