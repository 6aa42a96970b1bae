# Filters a header for Doxygen; lines keep their numbers. The first comment becomes the description of
# the file. Inline namespaces and namespaces called detail are removed. Names with the same meaning in
# every type are described here once.

BEGIN {
  says["bits"] = "Bits of a code."
  says["min"] = "The least code."
  says["max"] = "The largest code."
  says["is_signed"] = "Whether codes may be negative."
  says["is_integer"] = "Whether codes are integers, not the numbers of levels."
  says["code"] = "The C++ type of a code."
  says["name"] = "The name in error messages and tables."
  says["compiled"] = "Whether this build has the instruction set."
  says["base"] = "The instruction set to fall back to."
  says["is_random"] = "Whether rounding takes random numbers."
  says["is_static"] = "Whether the scale is known before the call."
  says["is_affine"] = "Whether codes have a zero point."
  says["fits"] = "Whether it works with this storage."
  says["n"] = "Columns of the product: outputs."
  says["k"] = "Depth of the product: inputs."
  says["rows"] = "The number of rows."
  says["cols"] = "The number of columns."
  says["inputs"] = "The number of inputs, k."
  says["outputs"] = "The number of outputs, n."
  says["options"] = "The options of the constructor."
  says["input_params"] = "Scale and zero point of the inputs."
  says["size"] = "The number of elements."
  says["begin"] = "The first element."
  says["end"] = "One past the last element."
  says["data"] = "The elements."
  says["swap"] = "Exchanges the contents."
  says["count"] = "The number of values that were seen."
  says["skipped"] = "The number of values that were skipped by the policy."
  says["policy"] = "What happens to NaN and infinity."
  says["merge"] = "Adds the data of another observer."
  says["observe"] = "Adds all elements of a matrix."
  says["range"] = "The range of the data."
  says["to_text"] = "The state as text, for from_text."
  says["storage"] = "How a value is stored."
  says["granularity"] = "Which elements share a scale."
  says["groups"] = "The number of groups of a row."
  says["group"] = "Elements of a group."
  says["levels"] = "The levels of the codebook."
  says["unit"] = "The basic operation of the kernel."
  says["planes"] = "Bit planes of a code."
  says["largest"] = "The largest magnitude of a code."
  says["operator()"] = "The result of the stage, or the call that the description of the type explains."
  says["operator=="] = "Whether all members are equal."
  says["operator[]"] = "Element i."
  says["operator="] = "Assigns."
  says["operator|"] = says["operator&"] = says["operator^"] = says["operator<<"] = "Operates on the bits of each lane."
  says["operator+"] = says["operator-"] = says["operator*"] = says["operator/"] = "Operates on each lane."
  says["operator+="] = "Adds to each lane."
  says["operator<"] = says["operator>"] = "-1 in the lanes where it holds, else 0."
  says["is_native"] = "Whether it is stored in registers, not in an array."
  says["takes"] = "Whether a number is a code of the format."
  says["stored"] = "The bits of a code."
  says["expected"] = "The codes of the format, for error messages."
  says["format"] = "The format of the codes."
  says["reciprocal"] = "The factor that numbers are multiplied by."
  says["contains"] = "Whether x is in the bin."
  says["last_split"] = "One past the last bin whose values `narrow` counts."
  says["group_floats"] = "Floats of a group."
  says["number"] = "The number of the centroid at a place."
  says["sums_together"] = "Sums from one query to the next, in elements."
  says["float_zero"] = "sum_zero() as a float."
  says["below_one"] = "Whether all factors are below 1 in magnitude."
  says["value_type"] = "The type of an element."
  says["lanes"] = "The number of elements."
  says["store"] = "Writes all elements to memory."
  says["set"] = "Replaces element i."
  says["from"] = "Converts a register."
  says["width"] = "The width: of a bin, or of a part in columns."
  says["clipped"] = "The number of values outside the range."
  says["lo"] = "The least value."
  says["hi"] = "The largest value."
  says["ends"] = "Whether the range is symmetric."
  says["counts"] = "The number of values of each bin."
  says["zero"] = "The code or the bin of the number 0."
  says["bins"] = "The number of bins."
  says["edge"] = "The lower edge of bin i."
  says["center"] = "The middle of bin i."
  says["total"] = "The number of values, or the type of a total."
  says["default_bins"] = "The default number of bins."
  says["momentum"] = "The weight of the old average in each batch."
  says["batches"] = "The number of batches."
  says["channels"] = "The number of channels."
  says["most_channels"] = "The largest number of channels."
  says["method"] = "How the threshold is chosen."
  says["values"] = "The values that were seen."
  says["seed"] = "The seed of the random numbers."
  says["counter"] = "The number of the next random number."
  says["restart"] = "The number of the restart, from 0."
  says["scale"] = "The scale."
  says["scales"] = "The scales."
  says["zero_point"] = "The code of the number 0."
  says["rounding"] = "How numbers are rounded to codes."
  says["dimension"] = "Coordinates of a point."
  says["parts"] = "The number of parts of a point or of a row."
  says["points"] = "The number of points."
  says["bytes"] = "Bytes of memory."
  says["blocks"] = "The blocks, or their number."
  says["tables"] = "The tables of sums."
  says["layout"] = "The order in memory."
  says["clustering"] = "The report of k-means."
  says["first"] = "The first of two."
  says["second"] = "The second of two."
  says["rounds"] = "The number of rounds so far."
  says["empty"] = "Whether there are no elements."
  says["alignment"] = "The alignment of the memory, in bytes."
  says["for_each"] = "Calls f(0) to f(n - 1), as Executor requires."
  says["threads"] = "The number of threads, the calling one included."
  says["multiplier"] = "The factor as this mode stores it."
  says["apply"] = "Accumulator times factor, with the rounding of this mode."
  says["mantissa"] = "0, or 2^30 to 2^31 - 1."
  says["exponent"] = "The power of two."
  says["slots"] = "The number of slots."
  says["bytes_per_slot"] = "Bytes of a slot."
  says["block"] = "The type of a block."
  says["blocks_per_row"] = "Blocks of a row."
  says["row"] = "A row, or its number."
  says["col"] = "A column, or its number."
  says["valid"] = "Lanes inside C."
  says["has_minimum"] = "Whether a block has a minimum in addition to its scale."
  says["m"] = "The number of rows, m."
  says["d[]"] = "The scale, a half-precision number."
  says["m[]"] = "The minimum, a half-precision number."
  says["qs[]"] = "The codes."
  says["qh[]"] = "The high bits of the codes."
  says["lhs_format"] = "The format of the activations."
  says["rhs_format"] = "The format of the weights."
  says["lhs_code"] = "The C++ type of the activations."
  says["rhs_code"] = "The C++ type of the weights."
  says["rule"] = "Which planes are multiplied."
  says["panels"] = "How columns are divided into panels, or the number of panels."
  says["panel"] = "The codes of a panel."
  says["panel_bytes"] = "Bytes of a panel."
  says["tail_bytes"] = "Bytes of the scales and zero points of a group."
  says["tiles"] = "The number of tiles of rows."
  says["codes"] = "The codes."
  says["arch_type"] = "The instruction set."
  says["kernel_type"] = "The kernel that multiplies."
  says["layout_type"] = "The order in memory."
  says["panels_type"] = "How columns are divided into panels."
  says["weights_type"] = "The packed weights."
  says["input_code"] = "The C++ type of the codes of inputs."
  says["factor"] = "The factor."
  says["factors"] = "The factors."
  says["terms"] = "The terms that are added."
  says["bias"] = "The bias."
  says["mantissas"] = "Mantissas of the factors, one per column."
  says["exponents"] = "Exponents of the factors, one per column."
  says["lowest"] = "The bound."
  says["shift"] = "The power of two that sums are divided by."
  says["threshold"] = "The value at which clipping starts."
  says["scale_of"] = "The number of the scale of an element."
  says["run"] = "Neighbouring elements of a row that share a scale."
  says["groups_per_row"] = "The number of groups of a row."
  says["choose"] = "The scale and threshold of a group."
  says["round"] = "Rounds x to an integer."
  says["round_step"] = "The step, rounded to this kind of scale."
  says["round_down"] = "The largest scale of this kind that is not above a step."
  says["code_min"] = "The least code that quantization produces."
  says["code_max"] = "The largest code that quantization produces."
  says["steps"] = "Steps of the scale that the range is divided into."
  says["quantize"] = "The code of a number, as that library computes it."
  says["dequantize"] = "The number of a code, as that library computes it."
  says["requantize"] = "The code of a sum, as that library computes it."
  says["scheme"] = "The scheme of the codes."
  says["row_bytes"] = "Bytes of the codes of a row."
  says["positive_scale"] = "The scale of code 1 in row r."
  says["negative_scale"] = "The scale of code -1 in row r."
  says["learn"] = "The levels for a matrix."
  says["quantizer"] = "The quantizer."
  says["largest_code"] = "The largest code."
  says["default_zero_point"] = "The default zero point."
  says["chunk_bytes"] = "Bytes of a chunk of a panel."
  says["offset"] = "The number that is added to the sums of row r."
  says["map"] = "The centroids as a matrix."
  says["planes_of"] = "Bit planes of a code."

  # Names that have another meaning in one header: <header>.<name>.
  says["fixed_histogram.max"] = "The largest magnitude that has a bin."
  says["granularity.count"] = "The number of scales."
  says["granularity.group"] = "The elements that share scale i."
  says["granularity.size"] = "Columns of a group, or rows of a block."
  says["granularity.row"] = "The first row."
  says["granularity.col"] = "The first column."
  says["scheme.zero_point"] = "symmetric, symmetric_full or affine."
  says["scheme.scale"] = "real_scale or power_of_two."
  says["histogram.count"] = "The number of values, in all or of bin i."
  says["magnitude_rule.threshold"] = "Smaller magnitudes become 0."
  says["stages.rows"] = "One number for each row."
  says["stages.cols"] = "One number for each column."
  before = ""
}

# The name that a declaration declares, or "".
function declared(line, text, array) {
  text = line
  while (sub(/ (\[\[nodiscard\]\]|FEWBIT_ALWAYS_INLINE|static|constexpr|friend|explicit|const) /, " ", text)) {}
  if (match(text, /operator[^ (]+\(/) || match(text, /operator\(\)\(/)) {
    text = substr(text, RSTART, RLENGTH - 1)
    return text == "operator(" ? "operator()" : text
  }
  if (text ~ /^ *using [a-z_0-9]+ = /) { sub(/^ *using /, "", text); sub(/ =.*/, "", text); return text }
  if (text !~ /^ +[A-Za-z]/ || text ~ /^ *(return|for|if|while|static_assert|requires)[ (]/) return ""
  array = text ~ /^[^(={]*\[[0-9]+\];/ ? "[]" : ""
  sub(/ *[({=\[;].*/, "", text)
  if (text !~ /[A-Za-z>*&0-9] [a-z_0-9]+$/) return ""
  sub(/.*[ *&]/, "", text)
  return text array
}

function explained(line, name, header) {
  name = declared(line)
  header = FILENAME
  sub(/.*\//, "", header)
  sub(/hpp$/, "", header)
  if (header name in says) return "/** " says[header name] " */ "
  if (name in says) return "/** " says[name] " */ "
  if (name ~ /^(u?int[0-9]+|ternary|binary|codebook)_(affine|grouped|per_)/) return "/** A scheme by its parts. */ "
  if (line ~ "^  (explicit |constexpr )*" type "\\(") return "/** Constructs from the values of the members, or like the constructor before it. */ "
  return ""
}

function put(line) {
  before = line
  print line
}

{
  if ($0 ~ /^(struct|class) [a-z_0-9]+/) { type = $2; sub(/[^a-z_0-9].*/, "", type) }
  if ($0 ~ /^ *#define FEWBIT_DETAIL_/ || skips) {
    skips = $0 ~ /\\$/
    print ""
    next
  }
  if ($0 ~ /^#define FEWBIT_(HAS|NATIVE|ALWAYS)_/) { print $0 "  ///< Depends on the compiler flags of this build."; next }
  if ($0 ~ /^ *\/\/\//) gsub(/<[BUSI]>/, "\\\\&")
  if (FNR == 1 && $0 == "#pragma once") { put("/// \\file"); next }
  if ($0 ~ /^namespace detail \{$/) hidden = "^}  // namespace detail$"
  if ($0 ~ /^namespace fewbit .*namespace ([a-z]+::|gemm \{ namespace )?detail \{$/) hidden = "^}+  // namespace fewbit"
  if (hidden != "") {
    if ($0 ~ hidden) hidden = ""
    print ""
    before = ""
    next
  }
  if ($0 ~ /inline namespace FEWBIT_(ARCH|VERSION)_NAMESPACE \{/) {
    sub(/inline namespace FEWBIT_(ARCH|VERSION)_NAMESPACE \{ ?/, "")
  } else if ($0 ~ /^}}+  \/\/ namespace fewbit/) {
    sub(/^}/, "")
  }
  documented = before ~ /^ *\/\/\// || $0 ~ /\/\/\/</
  if (waiting != "") {  # a template<> line without a comment
    sub(/^ */, "&" explained($0), waiting)
    put(waiting)
    waiting = ""
    put($0)
    next
  }
  if (!documented && $0 ~ /^ *template <.*>$/) { waiting = $0; next }
  if (!documented && before !~ /^ *template <|^ *requires |[,(|&=]$/) sub(/^ */, "&" explained($0))
  put($0)
}
