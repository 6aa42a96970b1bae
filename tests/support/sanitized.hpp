#pragma once
/// Whether sanitizers watch this program, which then takes twenty times as long: loops over all
/// lengths or zero points take some of them.

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
