#include "channels/handshake.hpp"

#include "os/error.hpp"
#include "os/stream_socket.hpp"
#include "process/ready.hpp"

#include <coproc/error.hpp>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cerrno>
#include <cstring>
#include <sys/random.h>

namespace coproc::detail {
namespace {

struct hello {
    std::array<unsigned char, 8> mark = handshake_mark;
    random_bytes random;
};
struct reply {
    hello greeting;
    proof_bytes proof;
};
static_assert(sizeof(hello) == 40 && sizeof(reply) == 72);

random_bytes random()
{
    random_bytes result;
    if (::getrandom(result.data(), result.size(), 0) != static_cast<ssize_t>(result.size())) // never less for 256 and fewer
        os::fail("getting random bytes");
    return result;
}

[[noreturn]] void throw_ended(const std::string& remark = {})
{
    throw authentication_error{"the other side ended the connection instead of proving that it knows the key" + remark};
}

template <class T>
task<> receive_all(int socket, T& to, const char* remark_at_end = "")
{
    auto left = std::as_writable_bytes(std::span{&to, 1});
    while (!left.empty()) {
        auto got = os::receive_some(socket, left);
        if (got.what == os::progress::end)
            throw_ended(remark_at_end);
        left = left.subspan(got.size);
        if (got.what == os::progress::would_block) {
            auto wait = ready(socket, waits::wait_read);
            co_await std::move(wait);
        }
    }
}

template <class T>
task<> send_all(int socket, const T& what)
{
    auto left = std::as_bytes(std::span{&what, 1});
    while (!left.empty()) {
        auto sent = os::send_some(socket, left, {});
        if (sent.what == os::progress::end)
            throw_ended();
        left = left.subspan(sent.size);
        if (sent.what == os::progress::would_block) {
            auto wait = ready(socket, waits::wait_write);
            co_await std::move(wait);
        }
    }
}

void check_mark(const hello& greeting)
{
    if (greeting.mark != handshake_mark)
        throw authentication_error{"the other side does not speak of keys: it is no connection of this kind, or has no key"};
}

[[noreturn]] void throw_wrong_key() { throw authentication_error{"the other side has another key"}; }

task<> as_listener(int socket, std::string key)
{
    hello ours;
    ours.random = random();
    auto first = send_all(socket, ours);
    co_await std::move(first);
    reply theirs;
    auto second = receive_all(socket, theirs);
    co_await std::move(second);
    check_mark(theirs.greeting);
    if (!same(theirs.proof, proof(role::client, key, ours.random, theirs.greeting.random)))
        throw_wrong_key();
    auto our_proof = proof(role::listener, key, ours.random, theirs.greeting.random);
    auto third = send_all(socket, our_proof);
    co_await std::move(third);
}

task<> as_client(int socket, std::string key)
{
    hello theirs;
    auto first = receive_all(socket, theirs);
    co_await std::move(first);
    check_mark(theirs);
    reply ours;
    ours.greeting.random = random();
    ours.proof = proof(role::client, key, theirs.random, ours.greeting.random);
    auto second = send_all(socket, ours);
    co_await std::move(second);
    proof_bytes their_proof;
    auto third = receive_all(socket, their_proof, ": the key given here may be a wrong one");
    co_await std::move(third);
    if (!same(their_proof, proof(role::listener, key, theirs.random, ours.greeting.random)))
        throw_wrong_key();
}

} // namespace

proof_bytes proof(role who, std::string_view key, const random_bytes& of_listener, const random_bytes& of_client)
{
    std::string text = who == role::client ? "client" : "listener";
    for (auto* bytes : {&of_listener, &of_client})
        text.append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    proof_bytes result;
    unsigned size = 0;
    if (!::HMAC(::EVP_sha256(), key.data() ? key.data() : "", static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
                text.size(), reinterpret_cast<unsigned char*>(result.data()), &size)
        || size != result.size())
        throw error{"the cryptographic library can't make an HMAC-SHA256"};
    return result;
}

bool same(const proof_bytes& a, const proof_bytes& b) noexcept { return ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

task<> shake_hands(role self, int socket, std::string key)
{
    return self == role::listener ? as_listener(socket, std::move(key)) : as_client(socket, std::move(key));
}

} // namespace coproc::detail
