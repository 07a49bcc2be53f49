#include "report.hpp"

#include <algorithm>
#include <iomanip>

namespace {

std::string grouped(std::uint64_t number) // 1234567 -> 1,234,567
{
    auto text = std::to_string(number);
    for (auto place = static_cast<std::ptrdiff_t>(text.size()) - 3; place > 0; place -= 3)
        text.insert(static_cast<std::size_t>(place), ",");
    return text;
}

std::string printable(std::string text) // a file's name or content is no command to the terminal
{
    std::ranges::replace_if(text, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    return text;
}

void write_top(std::ostream& out, const char* title, const words& all)
{
    auto top = all.top(20);
    if (top.empty())
        return;
    out << '\n' << title << " (of " << grouped(all.size()) << " different ones)\n";
    for (auto& [word, times] : top)
        out << std::setw(12) << grouped(times) << "  " << printable(word) << '\n';
}

} // namespace

void write_text(std::ostream& out, const report& what)
{
    auto& total = what.total;
    if (total.files == 0)
        out << "No headers below " << printable(what.folder) << '\n';
    else
        out << "Headers below " << printable(what.folder) << ": " << grouped(total.files) << " files, "
            << grouped(total.bytes) << " bytes, " << grouped(total.lines) << " lines\n";
    write_top(out, "Most frequent identifiers", total.identifiers);
    write_top(out, "Most included headers", total.includes);
    if (!total.unread.empty())
        out << "\nNot read\n";
    for (auto& [reason, failed] : total.unread)
        out << std::setw(12) << grouped(failed.count) << "  " << reason << ", " << printable(failed.example) << '\n';

    if (!what.seconds)
        return;
    double megabytes = static_cast<double>(total.bytes) / 1e6;
    out << std::fixed << std::setprecision(2) << '\n'
        << what.workers << (what.workers == 1 ? " worker: " : " workers: ") << *what.seconds << " s, "
        << std::setprecision(0) << megabytes / *what.seconds << " MB/s\n";
    if (what.compared)
        out << std::setprecision(2) << "again, all files cached: " << what.compared->pool << " s; in one process "
            << what.compared->one_process << " s: " << what.compared->speed_up() << " times as fast\n";
}
