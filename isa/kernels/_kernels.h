/* The parts of a contraction (`_contract.c`): operands as they are read, and the kernels that sum their products.

   A left operand is a *box* of elements and, for element [row][k] of the matrix that it stands for, its place
   rows[row] + places[k] in the box: windows that overlap share their elements.  The right one is a matrix [k][columns]
   for each of the stack, columns filled up to a multiple of LANES.  A left element that is zero adds nothing. */

#ifndef SNNC_KERNELS_H
#define SNNC_KERNELS_H

#include "_vectors.h"

/* The matrices of a contraction. */
struct shape {
    int64_t stack, m, k, columns;
    const int64_t *rows, *places; /* [stack * m], [k] */
    int64_t height;               /* rows of right for one of the stack: k, or more where these are some of the terms */
    int64_t run, rows_run;        /* so many elements of a row, of a column, stand side by side in the box */
};

/* A left operand of bits that is a window over pixels of channels: see `_taps.h`. */
struct taps {
    int64_t taps, channels, pixels, bytes; /* bytes: of a channel's bits */
    int64_t lead;                          /* the largest of the shifts */
    const int64_t *shifts;                 /* [taps], in pixels */
};

/* A right operand of halves where it lies: n of each of its rows, *columns* apart (none: side by side).  *decoded*: what a
   kernel makes of it is there already. */
struct halves {
    const uint16_t *from;
    const int64_t *rows, *columns;
    int64_t n;
    int decoded;
};

/* Which bits of a box are set: their *places*, ascending, and how many of them stand before each 64 bits. */
struct set_bits {
    const uint8_t *bits;
    int32_t *places, *before;
};

#define MOST_DIGITS 4

/* A box as digits of eight bits: so many planes of bytes, *pitch* apart. */
struct planes {
    const int8_t *at;
    int64_t pitch;
    int digits;
};

/* Whether rows of a left operand stand side by side in its box, and terms do not. */
static inline int rows_beside(int64_t run, int64_t rows_run) { return run < 8 && rows_run >= 8; }

/* Where results belong: n of each of `count` rows, columns_at[] behind rows_at[row], *run* of them side by side; no
   columns_at: all are. */
struct results {
    int64_t count, n, columns;
    const int64_t *rows_at, *columns_at;
    int64_t run;
};

/* Sums of f32 where they belong: n side by side from rows[] of *at* on, none before where they are *fresh*. */
struct lines {
    float *at;
    const int64_t *rows;
    int64_t n;
    int fresh;
};

#define INFINITE 0x7c00u /* magnitudes of f16 from here on are not finite */

/* _operands.c */
void snnc_gather_1(uint8_t *to, const uint8_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns, int64_t filled);
void snnc_gather_2(uint16_t *to, const uint16_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns, int64_t filled);
void snnc_gather_4(uint32_t *to, const uint32_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns, int64_t filled);
uint32_t snnc_most(const uint16_t *halves, int64_t count);
int snnc_finite(const float *values, int64_t count);
int64_t snnc_there(uint8_t *there, const void *from, int64_t element, int64_t count);
void snnc_singles(float *to, const void *from, int64_t element, int64_t count);
void snnc_units_f64(double *to, const void *from, int64_t element, int64_t count);
void snnc_units_i32(int32_t *to, const uint16_t *halves, int64_t count);
void snnc_units_i64(int64_t *to, const uint16_t *halves, int64_t count);

#define SPARE 16      /* bytes behind bits that are read, too */
#define FOUND_MORE 16 /* of what was found, so many behind it are written, too */
void snnc_bits(uint8_t *bits, const uint8_t *there, int64_t count);
void snnc_gather_bits(uint8_t *to, const uint8_t *from, int64_t bit, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns);
void snnc_gather_codes(uint8_t *to, const uint8_t *from, int64_t bit, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns, int64_t width);
int64_t snnc_uses(const uint8_t *bits, int64_t count, const uint8_t *weights, int64_t planes);

#define NEAR 32768       /* bytes that stay near while all rows go over them */
#define LISTS 128        /* rows that `_ordered.h` lists together, */
#define LISTED_TERMS 256 /* and terms, */
#define LIST (LISTED_TERMS + FOUND_MORE)

/* Kernels for one vector unit.

   `_events.h`: exact sums driven by the bits of the box that are *set*, which have been listed; *values* of the box, none for
   ones.  *found* and *factors* have room for k and FOUND_MORE.  They are formed in words and widened after *chunk* terms, which
   the words hold.
   `_ordered.h`: the same of f32, in the order of terms, where they belong.  The right operand is f16, *lying* somewhere, which
   is decoded into *words*, or these are it; there is room for a row more.  *found* and *factors* have room for LISTS lists.
   `_panels.h`: sums driven by all elements, a panel of rows and columns at a time; *fused*: no product is rounded.  No
   *values*: they are the bits.  The right operand is f16: *lying* somewhere (else *right* is it, decoded), or gathered.
   `panels_f32` answers whether no sum is NaN; else zeros may have met what is not finite, and the sums are spoiled.
   `_taps.h`: sums driven by the bits of each channel, for all taps of a window, where a row of right stands at each pixel;
   *turned* has room for *bytes* of all channels and SPARE.
   `_ends.h`: exact sums where they belong, or added to what is there.
   `_rows.h`: rows of f16, and bits, decoded, where there is room for LANES more; which of f16 are not zero, as bits. */
struct kernels {
    void (*events_f32)(const struct lines *out, const uint8_t *bits, const float *values, float *words, const struct halves *lying, const struct shape *of, int32_t *found, float *factors, int fused);
    void (*list_set)(const struct set_bits *of, int64_t length);
    void (*events_f64)(int64_t *sums, const struct set_bits *set, const double *values, const double *right, const struct shape *of, int32_t *found, double *factors, int64_t chunk);
    void (*events_i32)(int64_t *sums, const struct set_bits *set, const int32_t *right, const struct shape *of, int32_t *found, int64_t chunk);
    void (*events_i64)(int64_t *sums, const struct set_bits *set, const int64_t *right, const struct shape *of, int32_t *found);
    void (*terms_f32)(float *sums, const uint8_t *bits, const float *values, const float *right, const struct shape *of);
    void (*terms_i32)(int64_t *sums, const uint8_t *bits, const int32_t *right, const struct shape *of, int32_t *part, int64_t chunk);
    void (*terms_i64)(int64_t *sums, const uint8_t *bits, const int64_t *right, const struct shape *of);
    int (*panels_f32)(float *sums, const float *values, const uint8_t *bits, const float *right, const struct halves *lying, const struct shape *of, int fused);
    void (*panels_f64)(int64_t *sums, const double *values, const uint8_t *bits, const uint16_t *right, const struct shape *of, int64_t chunk);
    void (*dots_f64)(int64_t *sums, const uint16_t *left, const uint16_t *right, int64_t k, int64_t columns, int64_t chunk, double *room);
    void (*taps_f32)(float *sums, const uint8_t *bits, const float *right, const struct taps *of, int64_t n, uint8_t *turned, int32_t *found);
    void (*taps_i32)(int64_t *sums, const uint8_t *bits, const int32_t *right, const struct taps *of, int64_t n, uint8_t *turned, int32_t *found, int64_t chunk);
    void (*end_x128)(const struct results *of, const int64_t *sums, uint64_t *out, int shift, int fresh);
    void (*bits_f32)(float *to, const uint8_t *bits, int64_t count);
    void (*bits_f64)(double *to, const uint8_t *bits, int64_t count);
    void (*halves_f32)(float *to, const uint16_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns, int64_t filled);
    void (*there_f16)(uint8_t *bits, const uint16_t *from, int64_t count);
};

extern const struct kernels snnc_kernels_v4, snnc_kernels_v3, snnc_kernels_v0;
const struct kernels *snnc_kernels(void); /* those of this machine's vector unit */

/* _matrix.c: exact sums by a unit that multiplies matrices of bytes, of numbers that have MOST_DIGITS at most.

   A tile has 64 terms that stand side by side in the box of the left operand, or in the box turned; some of its slots may be
   of none.  The left operand is planes of digits, the right one tiles of them.  `sums_i64` makes the sums of some rows from
   the *first* on, whose number it answers, and has *near* to work in. */
#define NEAR_TILES 32
struct tiling {
    int64_t columns, tiles;
    const int64_t *rows, *places; /* where a row begins in the box, and a tile behind that */
    int64_t least, reach;         /* the least of places, and what is behind the last of a tile */
};
struct matrix_unit {
    void (*left)(int8_t *to, int64_t pitch, const void *from, const uint8_t *bits, int64_t element, int64_t count, int digits);
    void (*turned)(int8_t *to, int64_t pitch, const int8_t *from, int64_t rows, int64_t length);
    void (*right)(int8_t *to, const uint16_t *from, const int64_t *slots, int64_t tiles, int64_t columns, int digits);
    int64_t (*sums_i64)(int64_t *sums, const struct planes *left, const int8_t *right, int right_digits, const struct tiling *of, int64_t first, int64_t until, int8_t *near);
};
const struct matrix_unit *snnc_matrix(void); /* none where the machine has none */

/* _results.c */
int snnc_begin_f32(const struct results *of, float *sums, const float *before);
void snnc_end_f32(const struct results *of, const float *sums, float *out);
void snnc_end_x64(const struct results *of, const int64_t *sums, uint64_t *out, int fresh);

/* Elements of operands, as `driven.py` numbers them. */
enum { ONES, SPIKES, COUNTS, SIGNS, HALVES, BFLOATS, SINGLES };
static inline int64_t size_of(int64_t element) { return element == SINGLES ? 4 : element >= HALVES ? 2 : 1; }

#endif
