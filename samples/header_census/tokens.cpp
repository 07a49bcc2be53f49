#include "tokens.hpp"

#include <array>
#include <cstring>

namespace {

enum kind : unsigned char { other, letter, digit, space };

constexpr auto kinds = [] {
    std::array<kind, 256> result{};
    for (int c = 'a'; c <= 'z'; ++c)
        result[c] = result[c - 'a' + 'A'] = letter;
    for (int c = '0'; c <= '9'; ++c)
        result[c] = digit;
    result['_'] = letter;
    for (char c : {' ', '\t', '\v', '\f', '\r'})
        result[c] = space;
    return result;
}();

kind kind_of(char c) { return kinds[static_cast<unsigned char>(c)]; }
bool in_word(char c) { return kind_of(c) == letter || kind_of(c) == digit; }

class reader {
public:
    reader(std::string_view text, words& identifiers, words& includes)
        : at_{text.data()}, end_{at_ + text.size()}, identifiers_{identifiers}, includes_{includes}
    {
    }

    void read()
    {
        bool line_begins = true; // a # is a directive's only where nothing but space stands before it
        while (at_ < end_) {
            char c = *at_;
            switch (kind_of(c)) {
            case letter: word(); break;
            case digit: number(); break;
            case space: ++at_; continue;
            case other:
                if (c == '\n') {
                    line_begins = true;
                    ++at_;
                    continue;
                }
                if (c == '\\' && (next() == '\n' || next() == '\r')) { // the line goes on
                    skip_past(1, "\n");
                    continue;
                }
                if (c == '/' && next() == '*') {
                    skip_past(2, "*/");
                    continue;
                }
                if (c == '/' && next() == '/')
                    rest_of_line();
                else if (c == '"' || c == '\'')
                    quoted();
                else if (c == '#' && line_begins)
                    directive();
                else if (c == '.' && kind_of(next()) == digit)
                    number();
                else
                    ++at_;
            }
            line_begins = false;
        }
    }

private:
    char next() const { return at_ + 1 < end_ ? at_[1] : '\0'; }
    std::string_view take_word()
    {
        const char* begin = at_;
        while (at_ < end_ && in_word(*at_))
            ++at_;
        return {begin, static_cast<std::size_t>(at_ - begin)};
    }
    void skip_past(std::size_t from, std::string_view what)
    {
        std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
        auto place = rest.find(what, from);
        at_ = place == rest.npos ? end_ : at_ + place + what.size();
    }
    bool line_goes_on(const char* newline) const // a backslash before it, maybe with a carriage return between
    {
        return newline[-1] == '\\' || (newline[-1] == '\r' && newline[-2] == '\\');
    }

    void rest_of_line() // of a comment: at least // stands before its end
    {
        do {
            const void* newline = std::memchr(at_ + 1, '\n', static_cast<std::size_t>(end_ - at_ - 1));
            at_ = newline ? static_cast<const char*>(newline) : end_;
        } while (at_ < end_ && line_goes_on(at_));
    }

    void word()
    {
        auto name = take_word();
        if (at_ < end_ && (*at_ == '"' || *at_ == '\'')) { // a prefix, as in u8"text"
            if (*at_ == '"' && (name == "R" || name == "LR" || name == "uR" || name == "UR" || name == "u8R"))
                return raw_string();
            if (name == "L" || name == "u" || name == "U" || name == "u8")
                return quoted();
        }
        identifiers_.add(name);
    }

    void number() // with exponents, suffixes and separators: 1e-9, 0x7fU, 1'000
    {
        for (; at_ < end_; ++at_) {
            char c = *at_;
            bool sign = (c == '+' || c == '-') && std::strchr("eEpP", at_[-1]);
            bool separator = c == '\'' && in_word(next());
            if (!in_word(c) && c != '.' && !sign && !separator)
                break;
        }
    }

    void quoted() // ends with its line at the latest: apostrophes in #error lines are no characters
    {
        char quote = *at_++;
        for (; at_ < end_; ++at_) {
            if (*at_ == '\n')
                return;
            if (*at_ == quote) {
                ++at_;
                return;
            }
            if (*at_ == '\\' && at_ + 1 < end_) {
                ++at_;
                if (*at_ == '\r' && next() == '\n')
                    ++at_;
            }
        }
    }

    void raw_string() // R"delimiter( ... )delimiter"
    {
        const char* begin = ++at_;
        while (at_ < end_ && *at_ != '(' && *at_ != '\n')
            ++at_;
        if (at_ == end_ || *at_ == '\n')
            return; // C, where R is just a name
        skip_past(1, ')' + std::string{begin, at_} + '"');
    }

    void skip_space()
    {
        while (at_ < end_ && kind_of(*at_) == space)
            ++at_;
    }
    void directive()
    {
        ++at_;
        skip_space();
        auto name = take_word();
        if (name != "include" && name != "include_next" && name != "import")
            return;
        skip_space();
        char close = at_ == end_ ? '\0' : *at_ == '<' ? '>' : *at_ == '"' ? '"' : '\0';
        if (close == '\0')
            return; // a macro's name: an identifier like others
        const char* begin = ++at_;
        while (at_ < end_ && *at_ != close && *at_ != '\n')
            ++at_;
        if (at_ == end_ || *at_ == '\n')
            return;
        includes_.add({begin, static_cast<std::size_t>(at_ - begin)});
        ++at_;
    }

    const char* at_;
    const char* end_;
    words& identifiers_;
    words& includes_;
};

constexpr std::string_view keywords[] = {
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char",
    "char16_t", "char32_t", "char8_t", "class", "co_await", "co_return", "co_yield", "compl", "concept", "const",
    "const_cast", "consteval", "constexpr", "constinit", "continue", "decltype", "default", "defined", "delete", "do",
    "double", "dynamic_cast", "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto",
    "if", "inline", "int", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator",
    "or", "or_eq", "private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict", "return",
    "short", "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch", "template", "this",
    "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using", "virtual",
    "void", "volatile", "wchar_t", "while", "xor", "xor_eq", "_Alignas", "_Alignof", "_Atomic", "_Bool", "_Complex",
    "_Generic", "_Imaginary", "_Noreturn", "_Static_assert", "_Thread_local",
};

} // namespace

void read_tokens(std::string_view text, words& identifiers, words& includes)
{
    reader{text, identifiers, includes}.read();
}

void remove_keywords(words& identifiers)
{
    for (auto keyword : keywords)
        identifiers.remove(keyword);
}
