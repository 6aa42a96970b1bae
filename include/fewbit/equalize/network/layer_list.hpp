#pragma once
/// The layers of a network, checked. Passes of equalize/ read and replace them by name.
///
///     layer_list layers({{.name = "conv1", .kind = layer_kind::conv2d, .weights = w, ...}, ...});
///     const index conv1 = layers.find("conv1");
///
/// Read before: layer.hpp. Read next: compute.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network/layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A layer that takes the place of layer `at` of a list.
struct changed_layer {
  index at;
  network_layer layer;
};

class layer_list {
 public:
  layer_list() = default;

  /// @throws fewbit::error if a name is empty or used twice, if weights, bias and geometry of a
  ///         layer do not fit together, or if a number is not finite; the sentence has the layer
  explicit layer_list(std::vector<network_layer> layers) : layers_(std::move(layers)) {
    for (const network_layer& l : layers_) detail::expect_valid_layer(name, l);
    expect_different_names();
  }

  [[nodiscard]] index size() const noexcept { return static_cast<index>(layers_.size()); }
  /// @param i  0 .. size() - 1
  [[nodiscard]] const network_layer& operator[](index i) const noexcept {
    return layers_[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] auto begin() const noexcept { return layers_.begin(); }
  [[nodiscard]] auto end() const noexcept { return layers_.end(); }

  /// The position of a layer.
  /// @throws fewbit::error if no layer has that name
  [[nodiscard]] index find(const std::string& layer) const { return find(name, layer); }
  /// The same for another function, which the sentence names.
  [[nodiscard]] index find(const char* function, const std::string& layer) const {
    const auto found =
        std::find_if(begin(), end(), [&](const network_layer& l) { return l.name == layer; });
    if (found == end()) detail::fail(function, "layer", "'" + layer + "'", "the name of a layer");
    return static_cast<index>(found - begin());
  }

  /// Replaces layers, all or, after an error, none.
  /// @throws fewbit::error as the constructor does, and if a layer has another name, or other
  ///         numbers of inputs or outputs, than the one that it replaces
  void replace(std::vector<changed_layer> changes) {
    for (const changed_layer& change : changes) expect_replaces(change);
    for (changed_layer& change : changes)
      layers_[static_cast<std::size_t>(change.at)] = std::move(change.layer);
  }

 private:
  static constexpr const char* name = "layer_list";

  void expect_different_names() const {
    std::vector<const std::string*> names;
    for (const network_layer& l : layers_) names.push_back(&l.name);
    const auto less = [](const auto* a, const auto* b) { return *a < *b; };
    std::sort(names.begin(), names.end(), less);
    const auto twin = std::adjacent_find(names.begin(), names.end(),
                                         [](const auto* a, const auto* b) { return *a == *b; });
    if (twin != names.end()) {
      detail::fail(name, "name '" + **twin + "'", "used twice", "a name of one layer");
    }
  }

  void expect_replaces(const changed_layer& change) const {
    constexpr const char* function = "layer_list::replace";
    detail::expect(change.at >= 0 && change.at < size(), function, "position of a layer", change.at,
                   "0 to " + detail::text(size() - 1));
    const network_layer& old = (*this)[change.at];
    const network_layer& now = change.layer;
    detail::expect_valid_layer(function, now);
    detail::expect_equal(function, "name of the layer", now.name, old.name);
    const auto expect_same = [&](const char* argument, index got, index want) {
      if (got != want) detail::fail(function, detail::of_layer(argument, old.name), got, want);
    };
    expect_same("number of inputs", now.inputs(), old.inputs());
    expect_same("number of outputs", now.outputs(), old.outputs());
  }

  std::vector<network_layer> layers_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
