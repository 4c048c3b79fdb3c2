/* The kernels of the vector unit, and what they are told: all that is the same for many calls, but for addresses.

   *axes* of an operand are 2 * rank numbers, extents and then steps; an operand begins at *at*. */

#ifndef SNNC_VECTOR
#define SNNC_VECTOR

#include "_vectors.h"

/* An operation of an element program; see `_element.h`. */
struct lane {
    uint8_t code, dst, a, b, c, format, walk, unused;
    uint32_t value, unused_too;
};

/* An element program: *count* operations, of which the first *once* are the same for all blocks; in the first *single*
   slots all lanes are one; the operand of each of *walks* ways, and the *axes* of all operands; *total* lanes, *block* at a
   time.  Of so many *rows* that lie across blocks (0: none does), what is made goes on in slots from *kept* on. */
struct element {
    const struct lane *lanes;
    const int64_t *axes, *walked;
    int64_t once, single, count, walks, rank, total, block, rows, kept;
};

/* A drain of *total* values: accumulators are operand 0, the result 1, the bias 2 (none: its format is -1).  Products of
   accumulators that are smaller than *limit* are exact; *factor* is *scale* times the unit of accumulators. */
struct drain {
    const int64_t *axes;
    int64_t rank, total, format, out, bias, limit;
    double scale, factor;
};

/* Windows for *total* values, of *count* taps each: operands have the axes of the result, and *taps* say how far from its
   first element each operand lies at each tap, in the units of its steps; [tap][operand].  Operand 0 is the source. */
struct window {
    const int64_t *axes, *taps;
    int64_t rank, count, total, formats[4];
    double scale;
};

/* Moments of *total* groups of terms, which a call says how many they are: sums, and last the result, which is
   *factor* * 2^*exponent* times the quotient of integers. */
struct moments {
    const int64_t *axes;
    int64_t rank, total, formats[4], factor, exponent;
};

struct vector_kernels {
    int64_t (*element)(const struct element *plan, const int64_t *at, const uint32_t *arguments, char *room);
    int64_t (*drain)(const struct drain *plan, const int64_t *at);
    int64_t (*pool_sum)(const struct window *plan, const int64_t *at);
    int64_t (*pool_max)(const struct window *plan, const int64_t *at);
    int64_t (*unpool)(const struct window *plan, const int64_t *at);
    int64_t (*mean)(const struct moments *plan, const int64_t *at, int64_t count);
    int64_t (*comoment)(const struct moments *plan, const int64_t *at, int64_t count);
};

extern const struct vector_kernels snnc_vector_v4, snnc_vector_v3, snnc_vector_v0;

#endif
