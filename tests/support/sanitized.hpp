#pragma once
/// Whether this program runs with sanitizers. Sanitizers make it twenty times slower, so loops over
/// all lengths or zero points then test only some of them.

namespace fewbit::tests {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace fewbit::tests
