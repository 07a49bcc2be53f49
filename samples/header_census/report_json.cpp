#include "report.hpp"

#include <iomanip>
#include <string_view>

namespace {

// How many bytes at the beginning of `text` are one character of UTF-8, 0 if none is (RFC 3629, section 4).
std::size_t utf8_length(std::string_view text)
{
    auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    auto first = byte(0);
    if (first < 0x80)
        return 1;
    std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    unsigned lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0xc2 || first > 0xf4 || byte(1) < lowest || byte(1) > highest)
        return 0;
    for (std::size_t i = 2; i < length; ++i)
        if ((byte(i) & 0xc0u) != 0x80)
            return 0;
    return length;
}

// JSON is UTF-8, names of files and what stands in them need not be: each other byte becomes U+FFFD.
std::string json_string(std::string_view text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result = "\"";
    while (!text.empty()) {
        auto length = utf8_length(text);
        char c = text[0];
        if (length == 0)
            result += "\\ufffd";
        else if (c == '"' || c == '\\')
            (result += '\\') += c;
        else if (length == 1 && static_cast<unsigned char>(c) < ' ')
            ((result += "\\u00") += digits[static_cast<unsigned char>(c) / 16]) += digits[c % 16];
        else
            result += text.substr(0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return result + '"';
}

void write_top(std::ostream& out, const char* name, const words& all)
{
    out << "  \"different_" << name << "\": " << all.size() << ",\n  \"" << name << "\": [";
    const char* separator = "";
    for (auto& [word, times] : all.top(20)) {
        out << separator << "\n    {\"name\": " << json_string(word) << ", \"count\": " << times << '}';
        separator = ",";
    }
    out << "],\n";
}

} // namespace

void write_json(std::ostream& out, const report& what)
{
    auto& total = what.total;
    out << "{\n  \"folder\": " << json_string(what.folder) << ",\n  \"files\": " << total.files
        << ",\n  \"bytes\": " << total.bytes << ",\n  \"lines\": " << total.lines << ",\n";
    write_top(out, "identifiers", total.identifiers);
    write_top(out, "includes", total.includes);
    out << "  \"unread\": [";
    const char* separator = "";
    for (auto& [reason, failed] : total.unread) {
        out << separator << "\n    {\"reason\": " << json_string(reason) << ", \"count\": " << failed.count
            << ", \"example\": " << json_string(failed.example) << '}';
        separator = ",";
    }
    out << "],\n" << std::fixed << std::setprecision(4);
    if (what.seconds)
        out << "  \"seconds\": " << *what.seconds
            << ",\n  \"megabytes_per_second\": " << static_cast<double>(total.bytes) / 1e6 / *what.seconds << ",\n";
    if (what.compared)
        out << "  \"comparison\": {\"one_process_seconds\": " << what.compared->one_process
            << ", \"pool_seconds\": " << what.compared->pool << ", \"speed_up\": " << what.compared->speed_up()
            << "},\n";
    out << "  \"workers\": " << what.workers << "\n}\n";
}
