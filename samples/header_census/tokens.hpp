// Reads C and C++ as far as a census needs it.
#pragma once

#include "words.hpp"

#include <string_view>

/// Adds the identifiers of `text`, keywords among them, and the targets of its #include lines, without <> or "".
///
/// What is in comments, strings (raw ones too), characters and numbers is no identifier, nor is a directive's name.
/// Nothing is preprocessed: what stands between #if 0 and #endif counts. Bytes beyond ASCII separate words, so that a
/// text in any encoding that contains ASCII, or in none, can be read.
void read_tokens(std::string_view text, words& identifiers, words& includes);

/// Takes the keywords of C and C++ out of what read_tokens found.
void remove_keywords(words& identifiers);
