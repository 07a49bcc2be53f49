// Any bytes as a call. The first byte chooses: the message as it is; or arguments behind a function whose check is valid;
// or a pointer to code, which is then decoded but not called: with a valid check it may be any function of the program.
#include <coproc/detail/entry.hpp>

#include <cstdint>
#include <exception>
#include <string>

namespace {

int add(int a, int b) { return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)); }

struct shape {
    int size = 1;
    virtual ~shape() = default;
    virtual std::string name(std::string s) const { return s; }
    int half() { return size / 2; }

    template <class Archive>
    void serialize(Archive& archive)
    {
        archive(size);
    }
};

template <class... Args, class F>
void call_with(coproc::output_archive& out, const F& f, const std::uint8_t* data, std::size_t size)
{
    using namespace coproc::detail;
    const auto begin = begin_function(out, entry_for<task_calls, F, parameters_of<F, Args...>>::record);
    save_function(out, f);
    out.save_binary(data, size);
    end_function(out, begin);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    if (size == 0)
        return 0;
    const auto kind = *data++ % 9;
    --size;
    coproc::detail::buffer message, results;
    coproc::output_archive out{message}, gets{results};
    switch (kind) {
    case 0: call_with<int, int>(out, &add, data, size); break;
    case 1: call_with<shape, std::string>(out, &shape::name, data, size); break;
    case 2: call_with<shape>(out, &shape::half, data, size); break;
    case 3: call_with<shape>(out, &shape::size, data, size); break;
    case 4: call_with<int>(out, coproc::bind_front(&add, 1), data, size); break;
    case 5: call_with<std::string, std::string>(out, std::plus<>{}, data, size); break;
    default: out.save_binary(data, size);
    }
    try {
        coproc::input_archive in{message.data(), message.size()};
        if (kind == 7) {
            coproc::detail::load_function<int (*)(int, int)>(in);
        } else if (kind == 8) {
            coproc::detail::load_function<decltype(&shape::name)>(in);
            coproc::detail::load_function<int shape::*>(in);
        } else {
            const auto& entry = coproc::detail::decode_entry(in);
            coproc::detail::invocation call{in, gets};
            entry.plain(call);
        }
    } catch (const std::exception&) {
    }
    return 0;
}
