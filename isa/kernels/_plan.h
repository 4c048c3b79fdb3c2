/* The plan of a contraction (`_contract.c`), the rooms that it works in, and its parts. */

#ifndef SNNC_PLAN_H
#define SNNC_PLAN_H

#include "_kernels.h"

enum { F32, X64, X128 };

/* How it lies, which does not depend on what it holds; `driven.py` makes it.  All words have 64 bits. */
struct plan {
    int64_t stack, m, k, n, columns;                               /* columns: n, filled up to a multiple of LANES */
    int64_t acc, left, right, alone;                               /* alone: m = n = 1, the stack side by side */
    int64_t right_rows, right_columns;                             /* of [stack * k], [n]; alone: of [k], [stack] */
    int64_t box_rows, box_count, box_length, box_columns; /* as much of the left operand as is used */
    int64_t packed, codes, weights, planes; /* it is bits, or codes of so many; how often each is used, as bits of numbers */
    int64_t rows, places, run, rows_run, times;                    /* its matrix; each element is used `times` as often as it says */
    int64_t out_rows, out_columns, out_run, whole;                 /* of [stack * m], [n]; so many columns side by side, or all of all */
    int64_t taps, channels, lead, shifts, terms;                   /* of a window over pixels of channels; no taps: it is none */
    int64_t tiles, slots, tile_rows, tile_places, least, reach; /* as a matrix unit takes it (no tiles: it does not), */
    int64_t turned, pitch;                                         /* from a box that is turned, *pitch* elements a row, or not */
    int64_t serial, spans, span_count, span_length;                /* no other plan's; where the right operand lies, in bytes */
};

#define INDICES(FIELD) ((const int64_t *)(intptr_t)plan->FIELD)

struct kept;

struct rooms {
    struct kept *kept; /* of the right operand, if anything is */
    void *right, *right_words, *box, *there, *bits, *words, *sums, *part, *set, *before, *found, *factors, *turned, *planes, *turned_planes, *near;
};

/* The window that the left operand is. */
static inline struct taps taps_of(const struct plan *plan)
{
    const int64_t pixels = plan->box_count * plan->box_length / plan->channels;
    const struct taps taps = {plan->taps, plan->channels, pixels, (pixels + 7) / 8, plan->lead, INDICES(shifts)};
    return taps;
}

/* What is made of a right operand: the matrix as it is stored, as words, the same in blocks of columns, a row for each pixel,
   tiles of digits. */
enum { GATHERED, SINGLES_OF, UNITS_F64, UNITS_I32, UNITS_I64, IN_BLOCKS, SPREAD, TILES, FORMS };

/* Tiles of digits, of numbers none of which is larger than *most*, the bits of an f16. */
struct tiles {
    uint32_t most;
    int8_t digits[] __attribute__((aligned(64)));
};

/* _kept.c */
struct kept *snnc_keep(const struct plan *plan, const void *right);
void *snnc_made(struct kept *kept, int form, int64_t bytes, int *is);
int64_t snnc_kept_bytes(void);
int64_t snnc_kept_served(void);

/* _bring.c: operands as kernels take them. */
void snnc_gather(void *to, const void *from, int64_t element, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns, int64_t filled);
const void *snnc_gather_right(const struct plan *plan, struct rooms *at, const void *right);
const void *snnc_words_of_left(const struct plan *plan, const struct rooms *at, const uint8_t *box);
const float *snnc_singles_of_right(const struct plan *plan, struct rooms *at, const void *right);
const void *snnc_units_of_right(const struct plan *plan, struct rooms *at, const uint16_t *right, int form);
float *snnc_blocks_of_right(const struct plan *plan, struct rooms *at, int *there);
int snnc_digits(uint32_t bits);
int64_t snnc_tiles_bytes(const struct plan *plan);
int snnc_matrix_pays(const struct plan *plan, int64_t done);
const struct tiles *snnc_tiles_of_right(const struct plan *plan, struct rooms *at, const void *right);
const void *snnc_spread_right(const struct plan *plan, struct rooms *at, const void *right, const void *gathered);
int snnc_bits_serve(const struct plan *plan);
int snnc_dense_enough(const struct plan *plan, int64_t done);

/* Sums of f32 (`_contract_f32.c`), exact ones that bits gate, and of products of elements of two operands, or of those at the
   same place of the stack (`_contract_exact.c`): how many left elements of the matrices were not zero, or -1 where the NumPy
   form has to serve: then nothing was written. */
typedef int64_t contracted(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                           const uint8_t *box, const void *right, void *out, int fresh, int64_t done);
contracted snnc_contract_f32, snnc_contract_bits, snnc_contract_products;
int snnc_contract_matrix(const struct plan *plan, const struct results *results, struct rooms *at, const void *box, const void *lying, void *out, int fresh);
int64_t snnc_contract_alone(const struct plan *plan, struct rooms *at, const uint16_t *left, const uint16_t *right, void *out, int fresh);

#endif
