#include "wire/remote_category.hpp"

#include <asio/error.hpp>

#include <future>
#include <ios>
#include <map>
#include <memory>
#include <mutex>

namespace coproc::detail {

namespace {

class remote_category final : public std::error_category {
public:
    explicit remote_category(std::string name) : name_{std::move(name)} {}
    const char* name() const noexcept override { return name_.c_str(); }
    std::string message(int value) const override { return name_ + " error " + std::to_string(value); }

private:
    std::string name_;
};

constexpr std::size_t max_foreign = 64;

const std::error_category& foreign(const std::string& name)
{
    static std::mutex mutex;
    static auto& known = *new std::map<std::string, std::unique_ptr<remote_category>>;   // leaked: codes outlive all
    static const auto& other = *new remote_category{"other"};
    const std::lock_guard lock{mutex};
    if (const auto found = known.find(name); found != known.end())
        return *found->second;
    if (known.size() >= max_foreign)
        return other;
    return *(known[name] = std::make_unique<remote_category>(name));
}

}  // namespace

const std::error_category& category_named(const std::string& name)
{
    for (const auto* category :
         {&std::generic_category(), &std::system_category(), &std::iostream_category(), &std::future_category(),
          &asio::error::get_netdb_category(), &asio::error::get_addrinfo_category(), &asio::error::get_misc_category()})
        if (name == category->name())
            return *category;
    return foreign(name);
}

}  // namespace coproc::detail
