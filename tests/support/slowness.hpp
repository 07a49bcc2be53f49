// How much more time everything gets in a program that a sanitizer watches.
#pragma once

namespace support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COPROC_TEST_IS_SANITIZED 1 // g++
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COPROC_TEST_IS_SANITIZED 1 // clang
#endif
#endif

#ifdef COPROC_TEST_IS_SANITIZED
inline constexpr int slowness = 3;
#else
inline constexpr int slowness = 1;
#endif

} // namespace support
