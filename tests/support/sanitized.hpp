#pragma once
/// Whether this program runs with sanitizers. It then takes twenty times as long, so loops over all
/// lengths or zero points use only some of them.

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
