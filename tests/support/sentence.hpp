#pragma once
/// The sentence of an error, if the build has exceptions.

#include <string>
#include <utility>

#include "fewbit/core/error.hpp"

#if FEWBIT_HAS_EXCEPTIONS

namespace fewbit::tests {

/// The sentence of the fewbit::error that f(arguments...) throws, or "no error".
template <class F, class... Arguments>
std::string sentence_of(F&& f, Arguments&&... arguments) {
  try {
    static_cast<void>(std::forward<F>(f)(std::forward<Arguments>(arguments)...));
  } catch (const error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace fewbit::tests

#endif
