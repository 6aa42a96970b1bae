#pragma once
/// Every threshold of the products that a measurement chose.
///
/// Shapes are (m, n, k). SPR is a Sapphire Rapids. "-" in the last column: the value follows from
/// the size of a cache or from a count of instructions, and its neighbours were not measured.
///
/// | name                    | value        | measured with         | cost of other values                              |
/// |-------------------------|--------------|-----------------------|---------------------------------------------------|
/// | row_tiles_per_block     | 16           | -                     | -                                                 |
/// | row_tiles_in_place      | 32           | -                     | -                                                 |
/// | copied_bytes            | 16 KiB       | L1 of 32 KiB          | -                                                 |
/// | copied_ahead_depth      | 256          | SPR, AVX512-VNNI      | never: (3136,64,576) 0.91 instead of 0.97         |
/// | copied_ahead_cols       | 64           | SPR, AVX-VNNI         | 16 columns: (3136,64,576) loses 0.09              |
/// | near_weights            | 512 KiB      | -                     | -                                                 |
/// | resident_bytes          | 24 KiB       | L1 of 32 KiB          | -                                                 |
/// | prefetched_bytes        | 1 MiB        | -                     | -                                                 |
/// | stream_distance         | 8 KiB        | from memory           | 4 KiB: 4 % slower                                 |
/// | streamed_bytes, _depth  | 2 MiB, 512   | SPR, AVX512-VNNI      | all of k at once: (8,4096,4096) 6 % slower,       |
/// |                         |              |                       | (16,4096,4096) 12 %                               |
/// | streamed_ahead, _tiles  | 32 KiB, 4    | the same              | -                                                 |
/// | buffered_tiles          | 8            | -                     | -                                                 |
/// | fetched_depth           | 512          | -                     | -                                                 |
/// | shallow_depth           | 24           | SPR, AVX512-VNNI      | (3136,64,24) gains 11 %, k = 32 nothing, k = 64   |
/// |                         |              |                       | loses 2 %                                         |
/// | packed_ahead            | 512          | AVX512-VNNI           | none: packing 16384 x 16384 128 ms instead of 63  |
/// | few_rows                | 12           | SPR, AVX2             | rate of halves as a multiple of the rate of       |
/// |                         |              |                       | widened weights, (m,512,512): m = 3 1.46, 5 1.28, |
/// |                         |              |                       | 8 1.14, 12 1.08, 24 1.01, 48 0.95; (m,128,1152):  |
/// |                         |              |                       | 12 1.04, 16 0.98                                  |
/// | small_products          | 1024         | Zen 5, AVX512-VNNI    | 8^3 by rows: 1.3 times the rate of the walk       |
/// | small_products_by_proof | 16 Ki        | Zen 5, AVX2           | by rows, rate relative to the walk: 16^3 1.34,    |
/// |                         |              |                       | 32^3 0.97, 64^3 0.8; 1 x 8 x 8 3.8, 1 x 64 x 64   |
/// |                         |              |                       | 1.7                                               |
/// | small_products_in_place | 8 Ki         | Zen 5, AVX512-VNNI    | 16^3 in place: 2.0 times the rate of the walk     |
/// | hidden_bounds           | 3            | Zen 5, AVX512-VNNI    | 4: a cell of three gates at n = 128, weights of   |
/// |                         |              |                       | 54 KB: 407 ns instead of 339; n = 8: the same     |
/// | row_tiles_by_proof      | 48           | L2 of 2 MiB           | -                                                 |
/// | proof_depth             | 64           | shares of the work,   | 32: int16 takes 2 % instead of 3 % of ResNet-20   |
/// |                         |              | no times              | and 46 % instead of 60 % of stories260K           |
/// | searched_depth          | 33           | Zen 5, AVX2           | rate with a search relative to int16: (12544,32,  |
/// |                         |              |                       | 27), (12544,16,32) and (12544,96,16) 0.75,        |
/// |                         |              |                       | (3136,144,24) 1.00, (784,192,32) 1.01,            |
/// |                         |              |                       | (125,64,40) 1.06                                  |
/// | useful_part             | 2            | Zen 5, AVX2           | codes 0 to 255 at random, ResNet-32, relative to  |
/// |                         |              |                       | int16: 0.97, with 3 0.96; real codes: no change   |
/// | searched_in_vain        | 2            | -                     | -                                                 |
/// | proof_chunk_bytes       | 24 KiB       | L1 of 32 KiB          | -                                                 |
/// | proof_far_bytes         | 1 MiB        | -                     | -                                                 |
/// | proof_ahead_bytes       | 4 KiB        | -                     | -                                                 |
/// | row_streams, _ahead     | 4, 2304      | SPR, AVX2             | (1,4096,4096), share of reading from memory: one  |
/// |                         |              |                       | panel 0.72, 2 0.89, 4 0.95, 8 0.97; from L3, rate |
/// |                         |              |                       | relative to 4: one panel 0.84, 2 0.95, 8 0.99     |
/// | halves_depth            | 32           | instructions of a     | n = k = 16: halves 542, int16 486; 32: 772, 793   |
/// |                         |              | layer, AVX2           |                                                   |
/// | expanded_bytes          | 512 KiB      | L2                    | -                                                 |
/// | expanded_chunk_bytes    | 32 KiB       | SPR, AVX512-VNNI      | 16, 24 KiB: the same; 40 KiB: (49,512,4608) 6 %   |
/// |                         |              |                       | slower                                            |
/// | row_tiles_per_chunk     | 32           | -                     | -                                                 |
/// | chunked_rows            | 512          | SPR, AVX512-VNNI      | share of the rate of int8, windows and chunks:    |
/// |                         |              |                       | (128,1024,4096) 0.88, 0.94; (512,512,4608) 0.94,  |
/// |                         |              |                       | 0.94; (1024,1024,1024) 1.00, 0.92                 |
/// | few_rows_ahead          | 4608         | -                     | -                                                 |
/// | few_rows_streams        | 4            | -                     | -                                                 |
/// | most_rows_apart         | 2            | SPR, AVX512-VNNI      | neighbouring panels: time of one row of 2 bits    |
/// |                         |              |                       | 1 / 0.87, of 4 bits 1 / 0.98; apart with 32 rows  |
/// |                         |              |                       | of 4 bits 1.06                                    |
/// | grouped_ahead, _lhs_    | 2304, 1024   | SPR, AVX2, W4         | one row, share of reading from memory: 1152 0.81, |
/// |                         |              |                       | 2304 0.86, 4608 0.79                              |
/// | grouped_block_bytes     | 256 KiB      | L2                    | -                                                 |
/// | grouped_streams         | 4            | SPR, W4, groups of 32 | share of reading from memory and L3: 2 panels     |
/// |                         |              |                       | 0.90, 0.95; 4 0.91, 0.95; 8 0.88, 0.90            |
/// | bit_block_bytes, rows   | 256 KiB, 192 | L2                    | -                                                 |
/// | least_piece             | 2^18         | VPOPCNTDQ             | about 15 us of a core                             |
/// | bit_buffered_cols       | 1024         | L1                    | -                                                 |
/// | bit_strip_bytes         | 16 KiB       | Zen 5, VPOPCNTDQ      | one panel: layers of (128,1024,1024), binary 9 %, |
/// |                         |              |                       | ternary 13 %, 2 bits 5 % slower                   |
/// | lookup_ahead            | 1024         | SPR, AVX2             | none: (1,4096,4096) 20 % slower; to 4096 the same |
/// | table_block             | 256          | L1, 16-bit sums       | -                                                 |
/// | most_bits_by_table      | by arch      | SPR                   | see there                                         |
/// | table_beats_planes      | by arch      | SPR                   | see there                                         |
/// | epilogue_piece          | 2^16         | -                     | -                                                 |
///
/// Thresholds that belong to one instruction set are members of its unit in arch/ (chains, streams,
/// dots_in_flight, least_parities).

#include "fewbit/begin.hpp"

#include "fewbit/arch/arch.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

// ---- int8/: inputs

/// Row tiles whose inputs are copied together. One panel of weights is multiplied by all of them
/// while it is in the cache: 16 tiles of 4 to 6 rows are 64 to 96 rows.
inline constexpr index row_tiles_per_block = 16;
/// The same for inputs that are read in place. With more rows, weights that do not fit L2 are read
/// less often.
inline constexpr index row_tiles_in_place = 32;
/// Bytes of copied inputs that stay in L1 between the copy and the product.
inline constexpr index copied_bytes = 16 * 1024;
/// The smallest k for which a block of inputs is copied while the block before is multiplied. For
/// smaller k, copies take too much of the time of a tile. Rate of s8 as a share of the rate of u8:
/// (784,128,1152) 0.97 with these copies, 0.95 without.
inline constexpr index copied_ahead_depth = 256;
/// The smallest number of columns of a tile whose iterations leave time for these copies.
inline constexpr index copied_ahead_cols = 64;

// ---- int8/: weights

/// Packed weights above this many bytes are read once for many rows. Smaller weights are read from
/// L2 for a few rows at a time.
inline constexpr index near_weights = 512 * 1024;
/// Packed weights of up to this many bytes stay in L1 beside a tile of inputs. C is then written
/// row by row, which the prefetchers of the processor follow; otherwise panel by panel.
inline constexpr index resident_bytes = 24 * 1024;
/// Packed weights above this many bytes come from the last-level cache or from memory and are
/// prefetched.
inline constexpr index prefetched_bytes = 1024 * 1024;
/// Bytes by which the prefetch is ahead if a single row tile streams all weights.
inline constexpr index stream_distance = 8192;
/// A few row tiles that stream at least streamed_bytes of weights are multiplied by chunks of
/// streamed_depth codes of k: each chunk is loaded from memory once, prefetched streamed_ahead
/// bytes early, and reused from L1 by up to streamed_tiles row tiles.
inline constexpr index streamed_bytes = 2 * prefetched_bytes;
inline constexpr index streamed_depth = 512;
inline constexpr index streamed_ahead = 32 * 1024;
inline constexpr index streamed_tiles = 4;
/// Bytes by which the prefetch is ahead while weights are packed. The processor does not prefetch
/// so many rows by itself.
inline constexpr index packed_ahead = 512;

// ---- int8/: outputs

/// Tiles that are summed into the buffer before the epilogue reads it.
inline constexpr index buffered_tiles = 8;
/// Lines of C are prefetched if k is at least fetched_depth, because prefetches then cost nothing,
/// and if k is at most shallow_depth, because stores would otherwise wait for one another.
inline constexpr index fetched_depth = 512;
inline constexpr index shallow_depth = 24;

// ---- int8/: small products

/// Products with at most this many codes of k and weights are multiplied row by row, without
/// preparing a walk: of one row always, of several rows up to small_products products of codes.
inline constexpr index small_depth = 512;
inline constexpr index small_weights = 16 * 1024;
inline constexpr index small_products = 1024;
/// The same for units whose walk chooses among proofs.
inline constexpr index small_products_by_proof = 16 * 1024;
/// The same for units that read the activations of narrow weights where they are.
inline constexpr index small_products_in_place = 8 * 1024;

/// Registers of a panel up to which the loop over the panels of one row hides its bounds
/// (arch::forget_value). Narrow panels save instructions by it; wide ones wait longer for L2.
inline constexpr int hidden_bounds = 3;

// ---- int8/ with proofs (AVX2)

/// The largest number of rows whose activations are cut in halves, or, for blocks of k, for which
/// weights are widened in registers. For more rows, weights are widened before they are multiplied.
inline constexpr index few_rows = 12;
/// Row tiles of a block. Each block widens its panels again, so there are many; inputs of 4096
/// codes must stay in L2.
inline constexpr index row_tiles_by_proof = 48;
/// Number of codes of k whose activations and weights are proven together: a multiple of two steps.
inline constexpr index proof_depth = 64;
/// The smallest k for which proofs are searched. For smaller k, a search takes longer than int16.
inline constexpr index searched_depth = 33;
/// A search for proofs saves time if at least 1 / useful_part of the products of a row tile have
/// one.
inline constexpr index useful_part = 2;
/// Neighbouring row tiles without so many proofs before the search ends in a block of rows.
inline constexpr index searched_in_vain = 2;
/// Bytes of a chunk of weights as its instructions read them.
inline constexpr index proof_chunk_bytes = 24 * 1024;
/// Packed weights above this many bytes are prefetched: a chunk ahead, or proof_ahead_bytes where a
/// single row tile streams them.
inline constexpr index proof_far_bytes = 1024 * 1024;
inline constexpr index proof_ahead_bytes = 4096;
/// Panels that one row reads side by side if they are far away, and the bytes by which the prefetch
/// of each is ahead.
inline constexpr index row_streams = 4;
inline constexpr index row_stream_ahead = 2304;
/// One row of fewer codes is multiplied in int16, because a turn of halves is 32 codes.
inline constexpr index halves_depth = 32;
/// Number of sums of a slice of rows that wait for the epilogue.
inline constexpr index proof_buffered_sums = 4096;
/// Panels whose sums go to the epilogue together: four registers of sums become one of codes.
inline constexpr int proof_finished_panels = 4;

// ---- few_bits/

/// Columns that are expanded together fill this many bytes of L2, or one panel. Inputs that a
/// kernel copies are copied again for each of these windows.
inline constexpr index expanded_bytes = 512 * 1024;
/// Bytes of an expanded chunk, which stays in L1.
inline constexpr index expanded_chunk_bytes = 32 * 1024;
/// Row tiles of a block; each is multiplied by every chunk.
inline constexpr index row_tiles_per_chunk = 32;
/// Rows up to which weights that do not fit one window are expanded by chunks; each block of rows
/// expands them again. AVX-VNNI gains a tenth at 36 rows and nothing above.
inline constexpr index chunked_rows = 512;
/// Bytes by which the prefetch is ahead with a few rows.
inline constexpr index few_rows_ahead = 4608;
/// Panels that are read side by side: memory serves several streams faster than one, and the sums
/// of few rows have too few independent chains.
inline constexpr int few_rows_streams = 4;
/// Rows up to which these panels are far apart in W instead of neighbours.
inline constexpr index most_rows_apart = 2;
/// Bytes by which the prefetch is ahead: of weights in groups, which come from memory, and of
/// inputs, which do not all fit L1.
inline constexpr index grouped_ahead = 2304;
inline constexpr index grouped_lhs_ahead = 1024;
/// Bytes of copied inputs that are multiplied by all weights in groups of a part; they stay in L2.
inline constexpr index grouped_block_bytes = 256 * 1024;
/// Panels of weights in groups that one row reads side by side.
inline constexpr int grouped_streams = 4;

// ---- bit_planes/

/// Bytes of planes of the rows that are multiplied by all columns of a piece; they stay in L2.
inline constexpr index bit_block_bytes = 256 * 1024;
inline constexpr index most_rows_per_bit_block = 192;
/// The least number of pairs of words (weights and inputs) of a piece of work. Smaller pieces are
/// not worth starting another thread.
inline constexpr index least_piece = index{1} << 18;
/// Columns that one row sums before an epilogue reads them from L1.
inline constexpr index bit_buffered_cols = 1024;
/// Bytes of the panels that several rows are multiplied by before an epilogue reads their sums.
inline constexpr index bit_strip_bytes = 16 * 1024;

// ---- lookup/

/// Bytes by which the prefetch of weights is ahead with a single row.
inline constexpr index lookup_ahead = 1024;
/// Bytes of k of a block: the tables of a row, 8 or 16 KiB, stay in L1, and 16-bit sums do not
/// overflow.
inline constexpr index table_block = 256;

// ---- epilogues

/// Number of elements of a piece of work.
inline constexpr index epilogue_piece = index{1} << 16;

}  // namespace detail

/// For weights of at most this many bits and one row of int8, table lookup is faster than dot
/// products of expanded codes. One row by 4096 and 11008 columns of k = 4096 on a Sapphire Rapids,
/// 10^9 operations per second by tables and by dot products:
///
/// |               | 1 bit                | 2 bits               |
/// |---------------|----------------------|----------------------|
/// | avx2          | 390, 366 to 173, 169 | 183, 184 to 168, 164 |
/// | avx_vnni      | 430, 413 to 210, 200 | 203, 200 to 209, 199 |
/// | avx512_bitalg | 521, 444 to 278, 283 | 224, 220 to 226, 225 |
///
/// Two bits are limited by the rate at which the last-level cache can be read. For NEON the number
/// of instructions decided: 6 for 64 weights of one bit, instead of four dot products and their
/// expansion.
template <class Arch>
inline constexpr int most_bits_by_table = most_bits_by_table<typename Arch::base>;
template <>
inline constexpr int most_bits_by_table<arch::scalar> = 0;
template <>
inline constexpr int most_bits_by_table<arch::avx2> = 2;
template <>
inline constexpr int most_bits_by_table<arch::avx_vnni> = 1;
template <>
inline constexpr int most_bits_by_table<arch::avx512_vnni> = 1;
template <>
inline constexpr int most_bits_by_table<arch::neon> = 1;

/// Whether table lookup is faster than planes for two bits by two bits. This is so if no
/// instruction counts the ones of words. (1024,1024,1024) on a Sapphire Rapids, 10^9 operations per
/// second by tables and by planes (int8 by AVX2: 160): avx2 372 to 162, avx512_bitalg 472 to 610.
/// NEON counts the ones of bytes.
template <class Arch>
inline constexpr bool table_beats_planes = table_beats_planes<typename Arch::base>;
template <>
inline constexpr bool table_beats_planes<arch::scalar> = false;
template <>
inline constexpr bool table_beats_planes<arch::avx2> = true;
template <>
inline constexpr bool table_beats_planes<arch::avx512_bitalg> = false;

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
