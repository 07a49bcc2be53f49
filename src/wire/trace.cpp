#include "wire/trace.hpp"

#include "wire/symbol_name.hpp"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <dlfcn.h>
#include <typeinfo>
#include <unwind.h>

// clang's sanitizers link their own interceptor of __cxa_throw into the program.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COPROC_NO_THROW_HOOK
#endif
#endif

namespace coproc::detail {

namespace {

// Reason: deep enough for a task's own frames; a walk of this length stays near 10 µs.
constexpr std::size_t max_frames = 48;

struct noted_throw {
    const void* exception = nullptr;        // its address; another one may come to live there
    const std::type_info* type = nullptr;
    std::size_t count = 0;
    std::array<std::uintptr_t, max_frames> frames;
};

// The last throws of a thread. Reason for more than one: destructors and handlers throw and catch on the way out.
struct thread_notes {
    unsigned scopes = 0;
    std::size_t next = 0;
    std::array<noted_throw, 4> throws;
};

thread_local thread_notes notes;

struct walk {
    noted_throw& into;
    std::uintptr_t from;   // frames up to the one that returns there are ours
    bool begun = false;
};

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* data)
{
    auto& w = *static_cast<walk*>(data);
    int before = 0;
    const auto address = _Unwind_GetIPInfo(context, &before);
    if (address == 0 || w.into.count == max_frames)
        return _URC_END_OF_STACK;
    w.begun = w.begun || address == w.from;
    if (w.begun)
        w.into.frames[w.into.count++] = before ? address : address - 1;   // within the call, not behind it
    return _URC_NO_REASON;
}

[[maybe_unused]] void note_throw(const void* exception, const std::type_info* type, const void* from) noexcept
{
    if (notes.scopes == 0)
        return;
    auto& note = notes.throws[notes.next++ % notes.throws.size()];
    note.exception = exception;
    note.type = type;
    note.count = 0;
    walk w{note, reinterpret_cast<std::uintptr_t>(from)};
    _Unwind_Backtrace(&note_frame, &w);
}

const noted_throw* find_note(const std::exception_ptr& pointer)
{
    const void* exception = nullptr;   // an exception_ptr is the address of its object, in libstdc++ and libc++
    static_assert(sizeof pointer == sizeof exception);
    std::memcpy(&exception, &pointer, sizeof exception);
    if (!exception)
        return nullptr;
    for (std::size_t age = 1; age <= notes.throws.size(); ++age) {
        const auto& note = notes.throws[(notes.next - age) % notes.throws.size()];
        if (note.exception != exception || note.count == 0)
            continue;
#if defined(__GLIBCXX__)
        if (note.type != pointer.__cxa_exception_type())
            return nullptr;
#endif
        return &note;
    }
    return nullptr;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// What called the task, from here on outwards.
bool is_machinery(std::string_view name)
{
    return contains(name, "coproc::detail::task_calls<") || contains(name, "coproc::detail::body_call<")
        || contains(name, "asio::detail::awaitable_");
}

}  // namespace

trace_scope::trace_scope() noexcept { ++notes.scopes; }
trace_scope::~trace_scope()
{
    if (--notes.scopes == 0)
        for (auto& note : notes.throws)
            note.count = 0;
}

std::string trace_of(const std::exception_ptr& exception)
{
    std::string trace, glue;   // frames of the standard library are kept only when the task's own follow
    const auto* note = find_note(exception);
    for (std::size_t i = 0; note && i < note->count; ++i) {
        const auto home = find_module(reinterpret_cast<const void*>(note->frames[i]));
        if (!home)
            continue;
        auto name = full_name(*home, note->frames[i]);
        if (is_machinery(name))
            return trace;
        if (const auto remark = name.find(" [clone"); remark != name.npos)
            name = without_parameters(name);
        const bool is_glue = contains(name, "std::__invoke") || contains(name, "std::invoke");
        (is_glue ? glue : trace += glue) += name + (name.empty() ? "" : "  ") + '[' + place_name(*home, note->frames[i])
            + "]\n";
        if (!is_glue)
            glue.clear();
    }
    return trace;
}

}  // namespace coproc::detail

#if !defined(COPROC_NO_THROW_HOOK)

namespace {

using throw_function = void (*)(void*, std::type_info*, void (*)(void*));

throw_function find_runtime_throw() noexcept
{
    if (void* found = ::dlsym(RTLD_NEXT, "__cxa_throw"))
        return reinterpret_cast<throw_function>(found);
    if (void* library = ::dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD))
        if (void* found = ::dlsym(library, "__cxa_throw"))
            return reinterpret_cast<throw_function>(found);
    std::abort();   // a program that throws has a runtime that does it
}

}  // namespace

#if defined(__GLIBCXX__)
// A static libstdc++ defines this beside its __cxa_throw: asking for it brings both, and the weak one below gives way.
extern "C" const char coproc_runtime_exception __asm__("__cxa_init_primary_exception");
[[gnu::used]] static const char* const wants_runtime = &coproc_runtime_exception;
#endif

// Under a name of its own, as compilers know a declaration of __cxa_throw that differs from the ABI's.
extern "C" {
[[noreturn, gnu::weak, gnu::visibility("default")]] void coproc_throw(void* thrown, std::type_info* type,
                                                                      void (*destroy)(void*)) __asm__("__cxa_throw");

void coproc_throw(void* thrown, std::type_info* type, void (*destroy)(void*))
{
    static const throw_function next = find_runtime_throw();
    coproc::detail::note_throw(thrown, type, __builtin_return_address(0));
    next(thrown, type, destroy);
    __builtin_unreachable();
}
}

#endif
