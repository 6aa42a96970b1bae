#pragma once
/// save and load of all layers.
///
///     packed_writer out("model.fewbit");            // io/packed_file.hpp
///     fc1.save(out, "fc1");
///     fc2.save(out, "fc2");
///     out.close();
///
///     packed_file file("model.fewbit");
///     const auto fc1 = linear<int8_per_row>::load(file, "fc1");   // copies no weights
///
/// A layer names its parts once, in a function visit_parts(layer, parts); the same function serves
/// both directions (ops/parts.hpp). A loaded layer gives the same bits as the saved one. It reads
/// its weights where they are, so the reader must outlive it. Include ops/parts.hpp by name to call
/// these functions; io/packed_file.hpp does.

#include "fewbit/begin.hpp"

#include <string_view>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

template <class Writer>
class part_writer;
template <class Reader>
class part_reader;

/// "linear", "conv2d" ...: the name of a class of layers in files.
template <class Layer>
inline constexpr const char* layer_word = nullptr;

/// Calls the private visit_parts of layers.
struct parts_access {
  template <class Layer, class Parts>
  static void visit(Layer& layer, Parts& parts) {
    layer.visit_parts(layer, parts);
  }
  /// A layer without an empty state has from_parts(parts) in addition.
  template <class Layer, class Parts>
  static Layer load(Parts& parts) {
    if constexpr (requires { Layer::from_parts(parts); }) {
      return Layer::from_parts(parts);
    } else {
      Layer layer;
      visit(layer, parts);
      return layer;
    }
  }
};

/// The base class of a layer that can be saved.
template <class Layer>
class saved_layer {
 public:
  /// Writes the layer to sections of `to` whose names begin with `name` (core/archive.hpp).
  ///
  /// @throws fewbit::error if the layer is empty, or if `to` has a section of that name
  template <class Writer>
  void save(Writer& to, std::string_view name) const {
    part_writer<Writer> parts(to, name);
    parts_access::visit(static_cast<const Layer&>(*this), parts);
    parts.template finish<Layer>();
  }

  /// Reads the layer that save() wrote under that name. Weights and tables are read where they are,
  /// in memory of `from`, which must outlive the layer. Weights that were packed for another
  /// instruction set are packed anew, and `from` is told.
  ///
  /// @throws fewbit::error if there is no such layer, if it has another type, scheme or kind of
  ///         inputs, or if a number is out of its range. The sentence names section and byte
  template <class Reader>
  [[nodiscard]] static Layer load(Reader& from, std::string_view name) {
    part_reader<Reader> parts(from, name);
    parts.template start<Layer>();
    Layer layer = parts_access::load<Layer>(parts);
    parts.finish();
    return layer;
  }

 protected:
  saved_layer() = default;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
