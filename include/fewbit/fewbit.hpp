#pragma once
/// fewbit: integer quantization of neural networks and vectors, on Eigen. This header includes the
/// library and is its table of contents: first what programs call, then what is inside. The last
/// lines list the headers that a program includes by name.
///
///     float data -> calib observer -> range -> quant params -> quantize -> codes
///     float weights -> quantize<scheme> -> quantized_matrix -> packed weights      once
///     activations -> [quantize] -> product of codes -> epilogue -> out             often

#include "fewbit/begin.hpp"

// ======== What programs call ========

// ---- quant: real numbers <-> codes
#include "fewbit/quant/arrays.hpp"             // quantize_array, quantize_rows, dequantize_array
#include "fewbit/quant/dequantize.hpp"         // dequantize
#include "fewbit/quant/metrics.hpp"            // mse, sqnr_db, cosine, max_error, clipped_share
#include "fewbit/quant/modes.hpp"              // onnx, fbgemm, tflite: as others do it
#include "fewbit/quant/params.hpp"             // quant_params, minimum_params, choose_params
#include "fewbit/quant/quantize.hpp"           // quantize, fake_quantize
#include "fewbit/quant/quantized_matrix.hpp"   // quantized_matrix<S>
#include "fewbit/quant/range.hpp"              // range
#include "fewbit/quant/scheme.hpp"             // scheme<...>, int8_per_row, int4_grouped<32> ...
#include "fewbit/quant/two_scale_ternary.hpp"  // quantize_ttq
#include "fewbit/quant/weighted_quantize.hpp"  // scales by the importance of inputs

// ---- calib: observers that watch float data and answer a range
#include "fewbit/calib/entropy.hpp"                  // by_entropy
#include "fewbit/calib/histogram_observer.hpp"       // histogram_observer: streaming
#include "fewbit/calib/max_observer.hpp"             // max_observer
#include "fewbit/calib/moving_average_observer.hpp"  // moving_average_observer
#include "fewbit/calib/mse.hpp"                      // by_mse
#include "fewbit/calib/per_channel.hpp"              // per_channel<Observer>
#include "fewbit/calib/percentile.hpp"               // by_percentile
#include "fewbit/calib/threshold.hpp"                // by_max, ThresholdMethod
#include "fewbit/calib/threshold_observer.hpp"       // entropy_observer, mse_observer ...

// ---- ops: the operators that an inference program calls
#include "fewbit/ops/inputs.hpp"        // dynamic_int8, float_inputs ...; prepare(x, scratch)
#include "fewbit/ops/integer_only.hpp"  // integer_only<In, Out, Mode>: codes in, codes out
#include "fewbit/ops/layer.hpp"         // calls, options and memory of all layers
#include "fewbit/ops/linear.hpp"        // linear<Weights, Inputs>: the table of linear layers
#include "fewbit/ops/output.hpp"        // layer_options; bias, bound, codes

// ---- gemm: exact products of codes
#include "fewbit/gemm/apply_epilogue.hpp"  // finish: sums -> epilogue -> C
#include "fewbit/gemm/block_stage.hpp"     // sums of blocks of k, for grouped scales
#include "fewbit/gemm/epilogue.hpp"        // at, stage, operator|, raw, Epilogue
#include "fewbit/gemm/multiply.hpp"        // the door to products of codes: which kind for what
#include "fewbit/gemm/stages.hpp"          // add_bias, requantize<Mode>, relu, to_int8 ...
#include "fewbit/gemm/weights_image.hpp"   // write_image, view: packed weights in flash or a file

// ---- core: what every layer speaks
#include "fewbit/core/error.hpp"        // fewbit::error, set_error_handler
#include "fewbit/core/executor.hpp"     // Executor, inline_executor
#include "fewbit/core/fixed_point.hpp"  // tflite_double, tflite_single, xnn_fp32, q7_pot ...
#include "fewbit/core/random.hpp"       // generator: counter-based random numbers
#include "fewbit/core/types.hpp"        // index, row_matrix, RowMajorDense

// ======== What is inside ========

// config.hpp: version, instruction sets of this build, inline namespaces
// begin.hpp, end.hpp: first and last in every header; put the host's macros aside

// ---- arch: instruction sets as types, short vectors, units of instructions for kernels
#include "fewbit/arch/all.hpp"        // avx2, avx_vnni, avx512_vnni, neon, neon_dotprod, neon_i8mm
#include "fewbit/arch/arch.hpp"       // arch::native, arch::compiled
#include "fewbit/arch/bit_unit.hpp"   // instructions of kernels of bit planes
#include "fewbit/arch/byte_sums.hpp"  // add_fours: sums of neighbouring bytes
#include "fewbit/arch/code_values.hpp"   // codes of a few bits as floats
#include "fewbit/arch/convert.hpp"       // nearest_int, saturated, widened: float -> int32 -> codes
#include "fewbit/arch/dot_unit.hpp"      // instructions of matrix kernels
#include "fewbit/arch/extrema.hpp"       // one-instruction minima and maxima
#include "fewbit/arch/fused.hpp"         // fused_multiply_add, the same bits everywhere
#include "fewbit/arch/level_values.hpp"  // levels of a codebook by their codes
#include "fewbit/arch/lookup_unit.hpp"   // instructions of searches by codes
#include "fewbit/arch/magnitude.hpp"     // larger_magnitude
#include "fewbit/arch/memory.hpp"        // prefetch
#include "fewbit/arch/partial.hpp"       // load_first, store_first: the first lanes of a register
#include "fewbit/arch/stored_unit.hpp"   // instructions for stored weights of 1 to 8 bits
#include "fewbit/arch/streaming_store.hpp"  // streaming_store, end_streaming
#include "fewbit/arch/table_unit.hpp"       // instructions of table lookup
#include "fewbit/arch/transpose.hpp"        // rows to columns in registers
#include "fewbit/arch/vec.hpp"              // arch::vec<T, N>: select, convert, round_to_int ...

// ---- core
#include "fewbit/core/aligned_buffer.hpp"  // aligned_buffer<T>
#include "fewbit/core/bits.hpp"            // pack_bits, unpack_bits: 1, 2, 4, 8, 16 bits
#include "fewbit/core/finite.hpp"          // finite_amax, without_nan: finite numbers by their bits
#include "fewbit/core/half.hpp"            // to_half, from_half
#include "fewbit/core/operands.hpp"        // DenseRows: what the hot path reads and writes
#include "fewbit/core/rows.hpp"  // matrix_ref, row_of, expect_finite: what preparation reads
#include "fewbit/core/stored_array.hpp"  // stored_array<T>: memory of its own, or of the caller
#include "fewbit/core/workspace.hpp"     // workspace

// ---- quant
#include "fewbit/quant/default_rule.hpp"      // full_range, default_rule<S>
#include "fewbit/quant/dequantize_array.hpp"  // 8-bit codes -> array
#include "fewbit/quant/encode_levels.hpp"     // codes of codebooks, codebook_scales
#include "fewbit/quant/granularity.hpp"       // per_tensor, per_row, grouped<G> ...
#include "fewbit/quant/level_rule.hpp"        // normal_quantiles, powers_of_two ...
#include "fewbit/quant/magnitude_rule.hpp"    // mean_magnitude, ternary_optimum, ternary_twn
#include "fewbit/quant/quantize_array.hpp"    // array -> 8-bit codes, one scale
#include "fewbit/quant/quantize_rows.hpp"     // rows -> 8-bit codes, a scale for each row
#include "fewbit/quant/rounding.hpp"          // nearest_even, half_away, toward_zero, stochastic
#include "fewbit/quant/row_in_registers.hpp"  // one row -> 8-bit codes, for calls row by row
#include "fewbit/quant/row_quantizer.hpp"     // dynamic_scale, row_quantizer: what operators use
#include "fewbit/quant/scale.hpp"             // real_scale, power_of_two
#include "fewbit/quant/scale_search.hpp"      // the scale of a group that costs least
#include "fewbit/quant/storage.hpp"           // int8, uint8, int16, int4 ... binary, codebook<B>
#include "fewbit/quant/zero_point.hpp"        // symmetric, symmetric_full, affine, real_minimum

// ---- gemm: parts of every product
#include "fewbit/gemm/epilogue_rows.hpp"   // output_rectangle, apply_epilogue_to_rows
#include "fewbit/gemm/multiply_block.hpp"  // a block of rows, or one row in chunks, in raw memory
#include "fewbit/gemm/partial_sums.hpp"    // partial_sums<weights>: sums over a part of k
#include "fewbit/gemm/parts.hpp"           // C cut into parts, one per slot of scratch memory
#include "fewbit/gemm/sum_of_codes.hpp"    // sum_of_codes
#include "fewbit/gemm/tuning.hpp"          // every threshold that a measurement chose
#include "fewbit/gemm/weights_image/header.hpp"  // the header of an image, and its checks

// ---- gemm/int8: weights of 8 bits
#include "fewbit/gemm/int8/dots_by_block.hpp"       // the loop whose dots depend on activations
#include "fewbit/gemm/int8/epilogue_registers.hpp"  // epilogues on sums in registers
#include "fewbit/gemm/int8/kernel.hpp"              // default_kernel; picture and glossary
#include "fewbit/gemm/int8/lhs.hpp"                 // activations in place or copied
#include "fewbit/gemm/int8/lhs_by_proof.hpp"        // activations and their largest
#include "fewbit/gemm/int8/micro_kernel.hpp"        // the loop
#include "fewbit/gemm/int8/multiply.hpp"            // multiply, scratch_bytes of int8_weights
#include "fewbit/gemm/int8/panel_chunks.hpp"      // a panel against a block of rows, chunk by chunk
#include "fewbit/gemm/int8/panel_layout.hpp"      // panels of columns, blocks and steps of k
#include "fewbit/gemm/int8/panels_by_proof.hpp"   // panels with the same dots, activations
#include "fewbit/gemm/int8/partial_sums.hpp"      // partial_sums of int8_weights
#include "fewbit/gemm/int8/row_panels.hpp"        // one row, all panels, the epilogue in registers
#include "fewbit/gemm/int8/row_streams.hpp"       // one row, several panels side by side
#include "fewbit/gemm/int8/row_tiles.hpp"         // how rows are cut into tiles
#include "fewbit/gemm/int8/saturation_proof.hpp"  // which weights 16-bit sums are exact for
#include "fewbit/gemm/int8/small_product.hpp"     // products without the preparation of a walk
#include "fewbit/gemm/int8/sums_by_proof.hpp"     // sums of rows and panels with proofs
#include "fewbit/gemm/int8/walk.hpp"              // the walk over C
#include "fewbit/gemm/int8/walk_by_proof.hpp"     // each panel by the fastest dots it allows
#include "fewbit/gemm/int8/weights.hpp"           // int8_weights, pack

// ---- gemm/few_bits: weights of 1 to 8 bits, multiplied as they are stored
#include "fewbit/gemm/few_bits/expanded_chunks.hpp"   // narrow weights, a chunk of k at a time
#include "fewbit/gemm/few_bits/expanded_weights.hpp"  // narrow weights in the order of int8/
#include "fewbit/gemm/few_bits/few_rows.hpp"          // product_of_few_rows; the loop
#include "fewbit/gemm/few_bits/grouped_weights.hpp"   // 1 to 8 bits, a scale for each group
#include "fewbit/gemm/few_bits/multiply.hpp"          // multiply, of few_bit_weights
#include "fewbit/gemm/few_bits/multiply_grouped.hpp"  // multiply_grouped, totals_writer
#include "fewbit/gemm/few_bits/partial_sums.hpp"      // partial_sums of few_bit_weights
#include "fewbit/gemm/few_bits/partial_totals.hpp"    // partial_totals: some groups
#include "fewbit/gemm/few_bits/weights.hpp"  // few_bit_weights: 1 to 4 bits that stay packed

// ---- gemm/bit_planes: codes as bit planes, multiplied by counting
#include "fewbit/gemm/bit_planes/formats.hpp"       // binary_bits, ternary_bits, signed_bits<B> ...
#include "fewbit/gemm/bit_planes/lhs.hpp"           // bit_planes, to_planes: activations in planes
#include "fewbit/gemm/bit_planes/multiply.hpp"      // multiply, of bit planes
#include "fewbit/gemm/bit_planes/parities.hpp"      // signs counted by carry-save adders
#include "fewbit/gemm/bit_planes/partial_sums.hpp"  // plane_rows; partial_sums of planes
#include "fewbit/gemm/bit_planes/rules.hpp"         // which planes are multiplied
#include "fewbit/gemm/bit_planes/tile.hpp"          // the loop of bit planes
#include "fewbit/gemm/bit_planes/weights.hpp"       // plane_weights, pack_planes: weights in planes

// ---- gemm/lookup: tables of sums
#include "fewbit/gemm/lookup/multiply.hpp"      // multiply, by table lookup
#include "fewbit/gemm/lookup/partial_sums.hpp"  // partial_sums of table_weights
#include "fewbit/gemm/lookup/weights.hpp"       // table_weights, pack_table: one and two bits

// ---- calib
#include "fewbit/calib/fixed_histogram.hpp"  // fixed_histogram: range given
#include "fewbit/calib/histogram.hpp"        // histogram: counts as plain data
#include "fewbit/calib/observer.hpp"         // Observer, nan_policy

// ---- ops
#include "fewbit/ops/linear/bit_inputs.hpp"    // rows to codes of one to eight bits
#include "fewbit/ops/linear/bit_planes.hpp"    // linear<S, binary_inputs> ...: bits on both sides
#include "fewbit/ops/linear/choices.hpp"       // what weights of a linear layer are
#include "fewbit/ops/linear/float_inputs.hpp"  // linear<S, float_inputs>
#include "fewbit/ops/linear/grouped.hpp"       // linear<S> of weights in groups, as they are stored
#include "fewbit/ops/linear/grouped_weights.hpp"  // scheme -> weights in groups
#include "fewbit/ops/linear/int8.hpp"             // a scale per row, static inputs, codebooks
#include "fewbit/ops/linear/scheme_layer.hpp"     // constructors of layers with a scheme
#include "fewbit/ops/linear/two_scale.hpp"        // linear<ttq>: weights of quantize_ttq
#include "fewbit/ops/linear/weight_table.hpp"     // scales and zero points by block and channel
#include "fewbit/ops/parts/checks.hpp"            // what numbers of saved layers must be
#include "fewbit/ops/saved_layer.hpp"             // save, load

// ---- by name only, because each compiled line has its price
// fewbit/core/executor_adapters.hpp          OpenMP, std::thread
// fewbit/core/json_text.hpp                  UTF-8, strings of JSON
//
// calib: all tensors of a network in one pass
// fewbit/calib/calibration.hpp               calibration: observers by the names of tensors
// fewbit/calib/batch_set.hpp                 batch_set: the numbers of seen batches
// fewbit/calib/calibration/any_observer.hpp  the observer of one tensor
//
// codebook: levels that the data chooses
// fewbit/codebook/clustering.hpp             kmeans_options, kmeans_result
// fewbit/codebook/find_nearest.hpp           find_nearest: the nearest of many coded vectors
// fewbit/codebook/nearest_by_codes.hpp       the nearest centroid by way of 8-bit codes
// fewbit/codebook/distance_tables.hpp        distances to all centroids, floats and bytes
// fewbit/codebook/entry_tables.hpp           tables of one part, in float and bytes
// fewbit/codebook/interval_search.hpp        the best intervals of sorted numbers
// fewbit/codebook/kmeans.hpp                 kmeans
// fewbit/codebook/kmeans_1d.hpp              optimal_kmeans_1d
// fewbit/codebook/lloyd.hpp                  the iterations
// fewbit/codebook/lloyd_max.hpp              levels of codebook<B> learned from a matrix
// fewbit/codebook/nearest.hpp                nearest_centroids, packed_centroids
// fewbit/codebook/nearest_1d.hpp             sorted_centroids
// fewbit/codebook/output_aware.hpp           train_output_aware: outputs of a layer, not weights
// fewbit/codebook/packed_codes.hpp           codes for the search, sums of table lookups
// fewbit/codebook/point_panel.hpp            points side by side
// fewbit/codebook/pq_float_product.hpp       the same by tables of floats
// fewbit/codebook/pq_product.hpp             multiply_pq: products by table lookup
// fewbit/codebook/pq_weights.hpp             weights as codes, packed for them
// fewbit/codebook/product_quantizer.hpp      product_quantizer, train_product_quantizer
// fewbit/codebook/residual_quantizer.hpp     residual_quantizer: two levels
// fewbit/codebook/rotated_quantizer.hpp      rotated_quantizer: parts of turned vectors (OPQ)
// fewbit/codebook/row_table.hpp              equal rows, by a hash table
// fewbit/codebook/seeding.hpp                k-means++
// fewbit/codebook/sorted_points.hpp          numbers in order, means of intervals
//
// ops: layers of other weights
// fewbit/ops/gathered_linear.hpp             gathered_linear<S>: columns in an order of inputs
// fewbit/ops/linear/gathered_rows.hpp        rows of inputs in an order
// fewbit/ops/linear/pq.hpp                   linear<pq<Width, Bits>>: 1 or 2 bits per weight
//
// ops: networks of images, and layers of integers alone
// fewbit/ops/add.hpp                         add, subtract: sums of two tensors of codes
// fewbit/ops/batch_matmul.hpp                products of two tensors of activations
// fewbit/ops/code_table.hpp                  any function of 8-bit codes: a table of 256
// fewbit/ops/concatenate.hpp                 channels of several images side by side
// fewbit/ops/conv2d.hpp                      conv2d<S, Inputs>: convolutions of NHWC images
// fewbit/ops/conv1d.hpp                      conv1d<S, Inputs>: over time, whole or as a stream
// fewbit/ops/depthwise_conv2d.hpp            a filter for each channel
// fewbit/ops/integer16.hpp                   convolutions and linear layers of 16-bit activations
// fewbit/ops/linear/integer.hpp              linear<S, integer_only<In, Out, Mode>>
// fewbit/ops/mean2d.hpp                      means over the pixels of images
// fewbit/ops/multiply.hpp                    products of two tensors of codes, element by element
// fewbit/ops/pad.hpp                         pixels of zero points around images
// fewbit/ops/pool2d.hpp                      average and maximum pools
// fewbit/ops/qmn.hpp                         networks of power-of-two scales on microcontrollers
// fewbit/ops/requantize.hpp                  codes -> codes of another scale or type
// fewbit/ops/resize.hpp                      images of another size: nearest, bilinear
// fewbit/ops/softmax.hpp                     softmax on codes
// fewbit/ops/softmax16.hpp                   the same of 16-bit codes
// fewbit/ops/transpose_conv2d.hpp            transposed convolutions of NHWC images
// fewbit/ops/window2d.hpp                    window2d, same_padding, placed_window
//
// ops: what is inside these
// fewbit/arch/averages.hpp                   means of two and four 8-bit codes
// fewbit/arch/byte_lookup.hpp                bytes by a table of 256
// fewbit/arch/code_pairs.hpp                 pairs of codes as int16
// fewbit/arch/products.hpp                   products that need more bits than their factors
// fewbit/arch/tap_unit.hpp                   instructions of depthwise convolutions
// fewbit/core/fixed_functions.hpp            exp, 1 / (1 + x) in fixed point
// fewbit/gemm/int8/one_row.hpp               products of one row at a time
// fewbit/arch/dual_products.hpp              two products of int16 at once, on microcontrollers
// fewbit/core/error_handler.hpp              set_error_handler, without the headers of strings
// fewbit/core/index.hpp                      index, without Eigen
// fewbit/core/range_checks.hpp               checks of integers without strings
// fewbit/gemm/int8/wide_product.hpp          products of int16 codes
// fewbit/ops/code_blocks.hpp                 tensors of codes cut in blocks
// fewbit/ops/conv2d/patches.hpp              windows as rows of a matrix
// fewbit/ops/conv2d/product.hpp              convolutions as products of blocks of windows
// fewbit/ops/conv2d/winograd.hpp             3 x 3 windows by F(2x2, 3x3), exact, in int16
// fewbit/ops/depthwise/product.hpp           weights of each channel, and their product
// fewbit/ops/depthwise/tile.hpp              the loop of depthwise convolutions
// fewbit/ops/depthwise/walk.hpp              the walk over the output image
// fewbit/ops/depthwise/weights.hpp           weights in the order of the loop
// fewbit/ops/digit_pairs.hpp                 the formula of linear_pairs.hpp by products of bytes
// fewbit/ops/image_extents.hpp               extents of images and windows, without Eigen
// fewbit/ops/integer_output.hpp              sums -> codes by fixed-point multipliers
// fewbit/ops/integer_weights.hpp             factors, sums and bias of quantized weights
// fewbit/ops/linear_pairs.hpp                a * x + b * y + c of codes
// fewbit/ops/window_loops.hpp                loops over windows of images, pixels, channels
// fewbit/ops/qmn/conv2d.hpp                  convolutions of codes with power-of-two scales
// fewbit/ops/qmn/layer.hpp                   weights, shifts and sums of these layers
// fewbit/ops/qmn/linear.hpp                  the fully connected layer
// fewbit/ops/qmn/pool2d.hpp                  average and maximum pools
// fewbit/ops/qmn/window.hpp                  windows of images
//
// ops: saved layers
// fewbit/core/archive.hpp                    writers and readers of named sections
// fewbit/gemm/weights_image/load.hpp         weights from an image of any instruction set
// fewbit/gemm/weights_image/unpack.hpp       codes of such an image
// fewbit/ops/parts.hpp                       the parts of a layer as sections, and back
// fewbit/ops/parts/layer_text.hpp            the text of a type of layers
// fewbit/quant/scheme_words.hpp              the five choices of a scheme as words
//
// equalize: what repairs a network in float
// fewbit/equalize/batch_norm.hpp             fold_batch_norm; repairs channels of variance 0
// fewbit/equalize/bias_absorption.hpp        absorb_bias: large biases into the next layer
// fewbit/equalize/bias_correction.hpp        bias_shift: the mean error of quantized weights
// fewbit/equalize/bias_from_data.hpp         correct_biases_by_data: layer by layer
// fewbit/equalize/channels.hpp               channel_link: layers that write and read channels
// fewbit/equalize/cross_layer.hpp            equalize_layers: equal ranges of channels
// fewbit/equalize/data_free_range.hpp        ranges of activations from batch norms
// fewbit/equalize/network.hpp                a network: layers, and forward(inputs, compute)
// fewbit/equalize/integer_network.hpp        integer_network: planned layers, ready to run and save
// fewbit/equalize/outlier_split.hpp          split_outliers: input channels read twice
// fewbit/equalize/outlier_split_pass.hpp     outlier_split_pass: the same for layers of a network
// fewbit/equalize/smooth.hpp                 search_smoothing, smooth_layers: SmoothQuant
// fewbit/equalize/sub_tensor.hpp             choose_shared_scales: rows that share a scale
// fewbit/equalize/network/batches.hpp        calibration inputs, progress of long work
// fewbit/equalize/network/compute.hpp        compute_function, float_compute, watching
// fewbit/equalize/network/float_layer.hpp    products of layers in float
// fewbit/equalize/network/input_codes.hpp    quantized inputs, simulated
// fewbit/equalize/network/layer.hpp          network_layer: weights, bias, geometry, activation
// fewbit/equalize/network/layer_list.hpp     layer_list: checked layers, found by name
// fewbit/equalize/network/observe.hpp        observe_inputs: an observer for each layer
// fewbit/equalize/network/simulate.hpp       simulation: quantized weights and inputs, in float
// fewbit/equalize/integer_network/code_product.hpp  a layer in integers, whatever its kind
// fewbit/equalize/integer_network/digit_product.hpp  a layer with inputs of 16 bits
// fewbit/equalize/smooth/search.hpp          the search for one group of layers
//
// equalize: codes of a matrix of weights that keep the outputs of its layer
// fewbit/equalize/adaround.hpp               adaround: a search whether weights round down or up
// fewbit/equalize/adaround_pass.hpp          adaround_pass: adaround for the layers of a network
// fewbit/equalize/awq.hpp                    awq_scales, clip_search: scales and ranges by inputs
// fewbit/equalize/gptq.hpp                   gptq: later columns compensate for earlier ones
// fewbit/equalize/gptq_pass.hpp              gptq_pass: gptq for the layers of a network
// fewbit/equalize/hadamard.hpp               hadamard_rotation: spreads large inputs over all
// fewbit/equalize/hqq.hpp                    hqq: minima of groups, without data
// fewbit/equalize/input_products.hpp         input_products: X^T X, all that these need of inputs
// fewbit/equalize/layer_products.hpp         input_products of all layers of a network
// fewbit/equalize/rotated_linear.hpp         rotated_linear, measure_rotation: does rotation pay?
// fewbit/equalize/adaround/rounding_search.hpp  the steps of AdaRound in some rows
// fewbit/equalize/cholesky.hpp               the Cholesky factor of a matrix in strips
// fewbit/equalize/gptq/factor.hpp            the order of inputs, and the factor of H + damping
// fewbit/equalize/gptq/group_rule.hpp        scales of a group, codes and values
// fewbit/equalize/gptq/sweep.hpp             the columns of GPTQ, one after the other
// fewbit/equalize/portable_functions.hpp     exp and powers with the same bits everywhere
// fewbit/equalize/strips.hpp                 triangular matrices, and their product
//
// diagnose: why a quantized network is bad
// fewbit/diagnose/diagnose.hpp               diagnose: figures and faults of each layer, advice
// fewbit/diagnose/inspect.hpp                inspect: the same of the weights alone
// fewbit/diagnose/sensitivity.hpp            one layer at a time, layers that stay in float
// fewbit/diagnose/recorded_run.hpp           two runs: which layer goes wrong first
// fewbit/diagnose/compare.hpp                two reports: what changed
// fewbit/diagnose/page.hpp                   report_html: the page
// fewbit/diagnose/json.hpp                   report_json: the same data
// fewbit/diagnose/report.hpp                 network_report, as plain data
// fewbit/diagnose/findings.hpp               faults in sentences, rank
// fewbit/diagnose/weights.hpp                measure_weights
// fewbit/diagnose/errors.hpp                 sums of errors by channel
// fewbit/diagnose/input_figures.hpp          histogram, dead channels, clipped values of inputs
// fewbit/diagnose/page/charts.hpp            the charts of a network
// fewbit/diagnose/page/layer_charts.hpp      the charts of a layer
// fewbit/diagnose/page/columns.hpp           the columns of the table
// fewbit/diagnose/page/drawing.hpp           elements of SVG
// fewbit/diagnose/page/numbers.hpp           numbers and names as text
// fewbit/diagnose/page/script.hpp            sorts and filters
// fewbit/diagnose/page/style.hpp             colours, light and dark
// fewbit/diagnose/page/table.hpp             the table
//
// search: how a network is quantized within an allowed loss
// fewbit/search/quantize_within.hpp          quantize_within: the workflow as one call
// fewbit/search/as_planned.hpp               the diagnosis of what it found
// fewbit/search/ladder.hpp                   its steps
// fewbit/search/ladder/state.hpp             within_options, ladder_step, a network on its way
//
// formats: memory layouts of others
// fewbit/formats/awq.hpp                     weights of AWQ checkpoints <-> codes_in_groups
// fewbit/formats/code_words.hpp              codes in 32-bit words
// fewbit/formats/codes_in_groups.hpp         unpacked weights in groups <-> quantized_matrix
// fewbit/formats/compressed_tensors.hpp      weights of pack-quantized checkpoints
// fewbit/formats/ggml_blocks.hpp             q8_0, q5_0, q4_0, q4_1: blocks of 32 weights
// fewbit/formats/ggml_convert.hpp            blocks <-> quantized_matrix, without loss
// fewbit/formats/ggml_grouped_blocks.hpp     blocks with groups: decoding
// fewbit/formats/ggml_grouped_convert.hpp    blocks with groups -> quantized_matrix
// fewbit/formats/ggml_k_blocks.hpp           q2_k, q3_k, q4_k, q5_k, q6_k: the K-quants
// fewbit/formats/ggml_quantize.hpp           ggml_ref, ggml_x86, ggml_neon: floats -> blocks
// fewbit/formats/ggml_table_blocks.hpp       iq4_nl, iq4_xs, mxfp4, tq1_0, tq2_0, q5_1
// fewbit/formats/ggml_weighted.hpp           floats -> q4_0 by the importance of inputs
// fewbit/formats/gptq.hpp                    weights of GPTQ checkpoints, versions 1 and 2
// fewbit/formats/mxfp4_codebook.hpp          mxfp4 blocks <-> codebook_grouped<4, 32>, 4 bits
// fewbit/formats/onnx_blocks.hpp             weights of MatMulNBits <-> uint4_grouped<G>
//
// io: files, on POSIX; checkpoint*, quantized, report_file, safetensors need nlohmann-json
// fewbit/io/calibration_file.hpp             calibrations in files: save, load, merge
// fewbit/io/checkpoint.hpp                   layers of GPTQ, AWQ and compressed-tensors
// fewbit/io/checkpoint_config.hpp            what config.json says, and whether tensors agree
// fewbit/io/checkpoint_writer.hpp            save: the same, written
// fewbit/io/gguf.hpp                         gguf_file: tensors and metadata of a mapped GGUF file
// fewbit/io/gguf_quantized.hpp               load, visit: quantized matrices from GGUF files
// fewbit/io/gguf_writer.hpp                  gguf_writer: GGUF files, tensor by tensor
// fewbit/io/emit_header.hpp                  emit_header: a packed file as a C++ header
// fewbit/io/packed_file.hpp                  packed_file: whole layers, mapped
// fewbit/io/packed_writer.hpp                packed_writer: layer by layer
// fewbit/io/quantized.hpp                    save, load, visit: quantized matrices in safetensors
// fewbit/io/safetensors.hpp                  safetensors_file: tensors of a mapped file
// fewbit/io/safetensors_writer.hpp           safetensors_writer: tensor by tensor
// fewbit/io/tensor_view.hpp                  tensor_view: a tensor of a file as an Eigen::Map
// fewbit/io/dtype.hpp                        types of numbers in files
// fewbit/io/scheme_text.hpp                  schemes as words
// fewbit/io/atomic_file.hpp                  atomic_file: a new file replaces the old one at once
// fewbit/io/byte_reader.hpp                  numbers and texts, never outside of the file
// fewbit/io/checkpoint/config_parser.hpp     the JSON of a configuration
// fewbit/io/checkpoint/tensors.hpp           the tensors of a layer, checked
// fewbit/io/checkpoint/read_layer.hpp        which layout a layer has; its codes
// fewbit/io/checksum.hpp                     64 bits that find damage
// fewbit/io/file_error.hpp                   errors with file, tensor and byte
// fewbit/io/file_iterator.hpp                iteration over tensors, search for a name
// fewbit/io/gguf/cursor.hpp                  a GGUF file from front to back
// fewbit/io/gguf/table.hpp                   the index of a GGUF file, checked
// fewbit/io/gguf/tensor.hpp                  gguf_tensor: floats, numbers or blocks
// fewbit/io/gguf/types.hpp                   types of tensors and values, their names and sizes
// fewbit/io/gguf/value.hpp                   gguf_value: a value of the metadata
// fewbit/io/mapped_file.hpp                  mapped_file: a file in memory, not copied
// fewbit/io/packed_file/table.hpp            header and table of packed files
// fewbit/io/posix.hpp                        what io/ needs of the operating system
// fewbit/io/quantized/matrix_reader.hpp      find_stored; every number of a matrix is checked
// fewbit/io/quantized/parts.hpp              tensors and strings of quantized matrices
// fewbit/io/safetensors/header_parser.hpp    the JSON header of safetensors, event by event
// fewbit/io/safetensors/header_text.hpp      the same, written
// fewbit/io/safetensors/table.hpp            the tensors of a header, sorted and checked
// fewbit/io/report_file.hpp                  write_report, read_report: reports of diagnose/
// fewbit/io/tensor_file_writer.hpp           what both writers share: declare, write, append

#include "fewbit/end.hpp"
