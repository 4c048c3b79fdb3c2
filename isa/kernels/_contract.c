/* A contraction of one tile: operands are read where they lie, a kernel is chosen by what they hold, results are
   written where they belong.  Which kernel it was, no bit tells.

   Nothing of Python is in here: ctypes calls it, without the interpreter's lock. */

#include "_kernels.h"

enum { F32, X64, X128 };

/* How it lies, which does not depend on what it holds; `driven.py` makes it.  All words have 64 bits. */
struct plan {
    int64_t stack, m, k, n, columns;                               /* columns: n, filled up to a multiple of LANES */
    int64_t acc, left, right, alone;                               /* alone: m = n = 1, the stack side by side */
    int64_t right_rows, right_columns;                             /* of [stack * k], [n]; alone: of [k], [stack] */
    int64_t box_rows, box_count, box_length, box_columns; /* as much of the left operand as is used */
    int64_t packed, weights, planes;                               /* its bits; how often each is used, as bits of numbers */
    int64_t rows, places, run, rows_run, times;                    /* its matrix; each element is used `times` as often as it says */
    int64_t out_rows, out_columns, out_run, whole;                 /* of [stack * m], [n]; so many columns side by side, or all of all */
    int64_t taps, channels, lead, shifts, terms;                   /* of a window over pixels of channels; no taps: it is none */
};

#define INDICES(FIELD) ((const int64_t *)(intptr_t)plan->FIELD)

/* Rooms, one behind the other; with no base it only measures. */
struct room {
    char *base;
    int64_t used;
};

static void *rooms(struct room *room, int64_t bytes)
{
    char *at = room->base + room->used;
    room->used += (bytes + 63) / 64 * 64;
    return at;
}

struct rooms {
    void *right, *right_words, *box, *there, *bits, *words, *sums, *part, *found, *factors, *turned;
};

/* The window that the left operand is. */
static struct taps taps_of(const struct plan *plan)
{
    const int64_t pixels = plan->box_count * plan->box_length / plan->channels;
    const struct taps taps = {plan->taps, plan->channels, pixels, (pixels + 7) / 8, plan->lead, INDICES(shifts)};
    return taps;
}

static struct rooms lay_out(const struct plan *plan, struct room *room)
{
    const int64_t word = plan->acc == F32 ? 4 : 8, right = plan->stack * plan->k * plan->columns;
    const int64_t spread = plan->taps ? (plan->lead + taps_of(plan).pixels) * plan->columns * 4 : 0;
    const int64_t box = plan->box_count * plan->box_length, sums = plan->stack * plan->m * plan->columns;
    struct rooms all;
    if (plan->alone) {
        all.right = rooms(room, plan->k * plan->columns * 2);
        all.box = rooms(room, plan->k * plan->columns * 2);
        all.words = rooms(room, 64 * plan->columns * 8);
        all.sums = rooms(room, plan->columns * 8);
        return all;
    }
    all.right = rooms(room, right * size_of(plan->right));
    all.right_words = rooms(room, (right + plan->columns) * word > spread ? (right + plan->columns) * word : spread);
    all.box = rooms(room, plan->packed ? 0 : box * size_of(plan->left));
    all.there = rooms(room, plan->packed ? 0 : box);
    all.bits = rooms(room, box / 8 + SPARE);
    all.words = rooms(room, plan->left != ONES ? (box + LANES) * word : 0);
    all.sums = rooms(room, sums * word);
    all.part = rooms(room, plan->left <= SPIKES && plan->acc != F32 ? plan->m * plan->columns * 4 : 0);
    const int64_t lists = plan->acc == F32 ? LISTS * LIST : 0, terms = (plan->taps ? box / plan->channels : plan->k) + FOUND_MORE;
    all.found = rooms(room, (lists > terms ? lists : terms) * 4);
    all.turned = rooms(room, plan->taps ? taps_of(plan).bytes * plan->channels + SPARE : 0);
    all.factors = rooms(room, (lists > plan->k + FOUND_MORE ? lists : plan->k + FOUND_MORE) * word);
    return all;
}

/* Products that belong to an element of the left matrix. */
int64_t snnc_contract_columns(const struct plan *plan) { return plan->n; }

/* Bytes that `snnc_contract` wants to work in, 64 of them to begin at a multiple of 64. */
int64_t snnc_contract_room(const struct plan *plan)
{
    struct room room = {0, 0};
    lay_out(plan, &room);
    return room.used + 64;
}

static void gather(void *to, const void *from, int64_t element, const int64_t *rows, int64_t count, int64_t n,
                   const int64_t *columns, int64_t filled)
{
    switch (size_of(element)) {
    case 1: snnc_gather_1(to, from, rows, count, n, columns, filled); break;
    case 2: snnc_gather_2(to, from, rows, count, n, columns, filled); break;
    default: snnc_gather_4(to, from, rows, count, n, columns, filled);
    }
}

/* The right operand as it is stored, a matrix. */
static const void *gather_right(const struct plan *plan, struct rooms *at, const void *right)
{
    gather(at->right, right, plan->right, INDICES(right_rows), plan->stack * plan->k, plan->n, INDICES(right_columns), plan->columns);
    return at->right;
}

/* Which elements of the box are not zero, as bits; how many left elements of the matrices are none. */
static int64_t find(const struct plan *plan, struct rooms *at, const void *box, const uint8_t *left, int64_t bit)
{
    const int64_t in_box = plan->box_count * plan->box_length;
    if (plan->packed)
        snnc_gather_bits(at->bits, left, bit, INDICES(box_rows), plan->box_count, plan->box_length, INDICES(box_columns));
    else if (plan->left == HALVES)
        snnc_kernels()->there_f16(at->bits, box, in_box);
    else {
        snnc_there(at->there, box, plan->left, in_box);
        snnc_bits(at->bits, at->there, in_box);
    }
    return plan->times * snnc_uses(at->bits, in_box, (const uint8_t *)(intptr_t)plan->weights, plan->planes);
}

/* Whether panels read bits as they are. */
static int bits_serve(const struct plan *plan)
{
    return plan->left == SPIKES && (plan->run >= 8 || rows_beside(plan->run, plan->rows_run));
}

/* Whether all elements cost less than those that are not zero, which have to be found: by measurements of both, 2 to 75 % of
   them, on layers of 10 to 208 columns.  A bit costs less than a number.  Integers that bits gate have half the width of the
   products that all elements take, and less where sums do not stay in registers. */
static int dense_enough(const struct plan *plan, int64_t done)
{
    const int64_t vectors = plan->columns * (plan->acc == F32 ? 4 : 8) / 64, all = plan->stack * plan->m * plan->k;
    if (plan->acc == X64 && plan->left == SPIKES)
        return 10 * done > all * (rows_beside(plan->run, plan->rows_run) ? 3 : 7);
    return 2 * done * (3 * vectors + 9) > all * vectors * (plan->acc != F32 ? 2 : plan->left != SPIKES ? 3 : 4);
}

/* What is not a bit, as the words that kernels take; bits, too, for those that want words. */
static const void *words_of_left(const struct plan *plan, const struct rooms *at, const uint8_t *box)
{
    const int64_t in_box = plan->box_count * plan->box_length, first = 0;
    if (plan->acc == F32 && plan->left == HALVES)
        snnc_kernels()->halves_f32(at->words, (const uint16_t *)box, &first, 1, in_box, 0, in_box);
    else if (plan->packed)
        plan->acc == F32 ? snnc_kernels()->bits_f32(at->words, at->bits, in_box) : snnc_kernels()->bits_f64(at->words, at->bits, in_box);
    else if (plan->acc == F32)
        snnc_singles(at->words, box, plan->left, in_box);
    else
        snnc_units_f64(at->words, box, plan->left, in_box);
    return at->words;
}

/* The right operand, all of it. */
static const float *singles_of_right(const struct plan *plan, struct rooms *at, const void *right)
{
    const int64_t rows = plan->stack * plan->k;
    if (plan->right == HALVES)
        snnc_kernels()->halves_f32(at->right_words, right, INDICES(right_rows), rows, plan->n, INDICES(right_columns), plan->columns);
    else
        snnc_singles(at->right_words, gather_right(plan, at, right), plan->right, rows * plan->columns);
    return at->right_words;
}

/* Rows of the right operand from `row` on as words of `_taps.h`; *gathered*: it has been. */
static void few_words(const struct plan *plan, void *to, const void *right, const void *gathered, int64_t row, int64_t count)
{
    const char *from = (const char *)gathered + row * plan->columns * size_of(plan->right);
    if (!gathered)
        snnc_kernels()->halves_f32(to, right, INDICES(right_rows) + row, count, plan->n, INDICES(right_columns), plan->columns);
    else if (plan->acc == F32)
        snnc_singles(to, from, plan->right, count * plan->columns);
    else
        snnc_units_i32(to, (const uint16_t *)from, count * plan->columns);
}

/* The right operand with a row for each pixel, zeros where no term stands. */
static const void *spread_right(const struct plan *plan, struct rooms *at, const void *right, const void *gathered)
{
    const int64_t *terms = INDICES(terms), bytes = plan->columns * 4;
    char *to = at->right_words, *const end = to + (plan->lead + taps_of(plan).pixels) * bytes;
    for (int64_t row = 0, count; row < plan->k; row += count) {
        char *begin = (char *)at->right_words + (plan->lead + terms[row]) * bytes;
        for (count = 1; row + count < plan->k && terms[row + count] == terms[row] + count;)
            count++;
        memset(to, 0, begin - to);
        few_words(plan, begin, right, gathered, row, count);
        to = begin + count * bytes;
    }
    memset(to, 0, end - to);
    return at->right_words;
}

/* The sums so far, of f32: where they belong, if they are *here*; whether one of them is -0.  All operands have been read. */
static float *begin_f32(const struct results *results, struct rooms *at, void *out, int fresh, int here,
                        int *minus_zero)
{
    float *sums = here ? out : at->sums;
    *minus_zero = 0;
    if (here && fresh)
        memset(sums, 0, results->count * results->columns * sizeof *sums);
    else
        *minus_zero = snnc_begin_f32(results, sums, fresh ? 0 : out);
    return sums;
}

/* Sums of all elements; whether they serve: zeros among them add something to -0, and to what is not finite.  Where the right
   operand is small, it is known before to be finite. */
static int all_f32(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                   const uint8_t *box, const void *right, void *out, int fresh)
{
    const int fused = plan->right == HALVES ? plan->left <= HALVES : plan->right == BFLOATS && plan->left <= SIGNS;
    const int64_t factors = plan->stack * plan->k * plan->columns;
    const int small = plan->whole && factors * 4 <= NEAR, lies = plan->right == HALVES && !small;
    const float *values = bits_serve(plan) ? 0 : words_of_left(plan, at, box);
    const float *decoded = lies ? 0 : singles_of_right(plan, at, right);
    const struct halves lying = {right, INDICES(right_rows), INDICES(right_columns), plan->n};
    int minus_zero;
    if (small && !snnc_finite(decoded, factors))
        return 0;
    float *sums = begin_f32(results, at, out, fresh, small, &minus_zero);
    if (minus_zero)
        return 0;
    if (!snnc_kernels()->panels_f32(sums, values, at->bits, decoded, lies ? &lying : 0, of, fused) && !small)
        return 0;
    if (!small)
        snnc_end_f32(results, sums, out);
    return 1;
}

/* Sums of a window's taps; whether they serve, as above. */
static int window_f32(const struct plan *plan, const struct results *results, struct rooms *at, const void *right, void *out,
                      int fresh)
{
    const float *words = spread_right(plan, at, right, plan->right == HALVES ? 0 : gather_right(plan, at, right));
    const struct taps window = taps_of(plan);
    int minus_zero;
    float *sums = begin_f32(results, at, out, fresh, (int)plan->whole, &minus_zero);
    if (minus_zero)
        return 0;
    snnc_kernels()->taps_f32(sums, at->bits, words, &window, plan->columns, at->turned, at->found);
    snnc_end_f32(results, sums, out);
    return 1;
}

/* Sums of what is not zero. */
static void few_f32(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                    const uint8_t *box, const void *right, void *out, int fresh)
{
    const int fused = plan->right == HALVES && plan->left <= HALVES, terms = rows_beside(of->run, of->rows_run);
    const int here = terms ? (int)plan->whole : !results->columns_at, lies = plan->right == HALVES && !terms;
    const float *values = plan->left > SPIKES ? words_of_left(plan, at, box) : 0;
    const struct halves lying = {right, INDICES(right_rows), INDICES(right_columns), plan->n};
    int minus_zero;
    if (!lies)
        singles_of_right(plan, at, right);
    if (terms) {
        float *sums = begin_f32(results, at, out, fresh, here, &minus_zero);
        snnc_kernels()->terms_f32(sums, at->bits, values, at->right_words, of);
        snnc_end_f32(results, sums, out);
        return;
    }
    const struct lines among = {at->sums, 0, plan->columns, 0}, lines = {out, results->rows_at, plan->n, fresh};
    if (!here)
        snnc_begin_f32(results, at->sums, fresh ? 0 : out);
    snnc_kernels()->events_f32(here ? &lines : &among, at->bits, values, at->right_words, lies ? &lying : 0, of, at->found, at->factors, fused);
    if (!here)
        snnc_end_f32(results, at->sums, out);
}

/* How many left elements of the matrices were not zero. */
static int64_t contract_f32(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                            const uint8_t *box, const void *right, void *out, int fresh, int64_t done)
{
    const int all = plan->left != ONES && !plan->taps && dense_enough(plan, done);
    if (!(plan->taps && window_f32(plan, results, at, right, out, fresh)) &&
        !(all && all_f32(plan, of, results, at, box, right, out, fresh)))
        few_f32(plan, of, results, at, box, right, out, fresh);
    return done;
}

#define HELD 0x1p53   /* integers that float64 holds */
#define WIDEST 0x1p62 /* sums that 64 bits hold */
#define FEWEST 4      /* terms in 32 bits that are worth widening */

/* Exact sums that have been formed go to where they belong; terms of spikes and integers are of units of 2^-24. */
static void end_exact(const struct plan *plan, const struct results *results, const int64_t *sums, void *out, int fresh)
{
    if (plan->acc == X64)
        snnc_end_x64(results, sums, out, fresh);
    else
        snnc_end_x128(results, sums, out, plan->left == HALVES ? 0 : 24, fresh);
}

/* Bits gate integers: 32 bits hold so many of them that they are worth widening afterwards, or 64 bits hold all. */
static int64_t contract_bits(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                             const uint8_t *box, const void *lying, void *out, int fresh, int64_t done)
{
    const int64_t factors = plan->stack * plan->k * plan->columns;
    const uint16_t *right = gather_right(plan, at, lying);
    const uint32_t bits = snnc_most(right, factors);
    const double most = of_half((uint16_t)bits) * 0x1p24;
    if (bits >= INFINITE || most * (double)plan->k >= WIDEST)
        return -1;
    const int64_t chunk = most > 0 ? (int64_t)(0x7fffffff / most) : plan->k;
    const int terms = rows_beside(of->run, of->rows_run);
    (void)box;
    if (chunk >= FEWEST) {
        if (plan->taps) {
            const struct taps taps = taps_of(plan);
            const int32_t *spread = spread_right(plan, at, 0, right);
            snnc_kernels()->taps_i32(at->sums, at->bits, spread, &taps, plan->columns, at->turned, at->found, chunk);
            end_exact(plan, results, at->sums, out, fresh);
            return done;
        }
        snnc_units_i32(at->right_words, right, factors);
        if (terms)
            snnc_kernels()->terms_i32(at->sums, at->bits, at->right_words, of, at->part, chunk);
        else
            snnc_kernels()->events_i32(at->sums, at->bits, at->right_words, of, at->found, chunk);
    } else {
        snnc_units_i64(at->right_words, right, factors);
        if (terms)
            snnc_kernels()->terms_i64(at->sums, at->bits, at->right_words, of);
        else
            snnc_kernels()->events_i64(at->sums, at->bits, at->right_words, of, at->found);
    }
    end_exact(plan, results, at->sums, out, fresh);
    return done;
}

/* How sums of k products, none of them larger than *product*, are formed: so many at a time in float64, so many in 64 bits. */
struct cuts {
    int64_t chunk, slab; /* no slab: not even one product fits */
};

static struct cuts cuts_of(double product, int64_t k)
{
    const double chunk = product > 0 ? HELD / product : (double)k, slab = product > 0 ? WIDEST / product : (double)k;
    struct cuts cuts = {chunk < 1 ? 1 : chunk < (double)k ? (int64_t)chunk : k, slab < (double)k ? (int64_t)slab : k};
    return cuts;
}

/* Products, in float64, which holds one of two f16 whatever they are. */
static int64_t contract_products(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                                 const uint8_t *box, const void *lying, void *out, int fresh, int64_t done)
{
    const int64_t factors = plan->stack * plan->k * plan->columns, in_box = plan->box_count * plan->box_length;
    const uint16_t *right = gather_right(plan, at, lying);
    const uint32_t bits = snnc_most(right, factors), l_bits = plan->left == HALVES ? snnc_most((const uint16_t *)box, in_box) : 0;
    if (bits >= INFINITE || l_bits >= INFINITE)
        return -1;
    const double l_most = plan->left == HALVES ? of_half((uint16_t)l_bits) * 0x1p24 : plan->left == COUNTS ? 255 : 1;
    const struct cuts cuts = cuts_of(l_most * (of_half((uint16_t)bits) * 0x1p24), plan->k);
    if (!cuts.slab)
        return -1;
    if (!dense_enough(plan, done) && of->run >= 8 && cuts.slab == plan->k) {
        snnc_units_f64(at->right_words, right, HALVES, factors);
        snnc_kernels()->events_f64(at->sums, at->bits, words_of_left(plan, at, box), at->right_words, of, at->found, at->factors, cuts.chunk);
        end_exact(plan, results, at->sums, out, fresh);
        return done;
    }
    const double *values = bits_serve(plan) && cuts.slab == plan->k ? 0 : words_of_left(plan, at, box);
    for (int64_t begin = 0; begin < plan->k; begin += cuts.slab) {
        struct shape some = *of;
        some.k = plan->k - begin < cuts.slab ? plan->k - begin : cuts.slab;
        some.places += begin;
        snnc_kernels()->panels_f64(at->sums, values, at->bits, right + begin * plan->columns, &some, cuts.chunk);
        end_exact(plan, results, at->sums, out, fresh && !begin);
    }
    return done;
}

/* Products of elements at the same place of the stack, which is what a row is elsewhere. */
static int64_t contract_alone(const struct plan *plan, struct rooms *at, const uint16_t *left, const uint16_t *right, void *out,
                              int fresh)
{
    const int64_t columns = plan->columns, all = plan->k * columns;
    gather(at->right, right, HALVES, INDICES(right_rows), plan->k, plan->stack, INDICES(right_columns), columns);
    gather(at->box, left, HALVES, INDICES(box_rows), plan->k, plan->stack, INDICES(box_columns), columns);
    const uint32_t l_bits = snnc_most(at->box, all), r_bits = snnc_most(at->right, all);
    if (l_bits >= INFINITE || r_bits >= INFINITE)
        return -1;
    const struct cuts cuts = cuts_of((of_half((uint16_t)l_bits) * 0x1p24) * (of_half((uint16_t)r_bits) * 0x1p24), plan->k);
    if (!cuts.slab)
        return -1;
    const int64_t row = 0;
    const struct results results = {1, plan->stack, columns, &row, INDICES(out_rows), 1};
    for (int64_t begin = 0; begin < plan->k; begin += cuts.slab) {
        const int64_t here = plan->k - begin < cuts.slab ? plan->k - begin : cuts.slab, first = begin * columns;
        snnc_kernels()->dots_f64(at->sums, (uint16_t *)at->box + first, (uint16_t *)at->right + first, here, columns, cuts.chunk, at->words);
        snnc_end_x128(&results, at->sums, out, 0, fresh && !begin);
    }
    return snnc_there(0, at->box, HALVES, all);
}

/* out += left * right, or out = left * right where it is *fresh*.  How many left elements of the matrices were not zero,
   or -1 where the NumPy form has to serve: then nothing was written.  Packed, *left* begins at one of the bits of a byte. */
int64_t snnc_contract(const struct plan *plan, const void *left, int64_t bit, const void *right, void *out, int32_t fresh, void *space)
{
    struct room room = {(char *)(((intptr_t)space + 63) / 64 * 64), 0};
    struct rooms at = lay_out(plan, &room);
    if (plan->alone)
        return contract_alone(plan, &at, left, right, out, fresh);
    const struct shape of = {plan->stack, plan->m, plan->k, plan->columns, INDICES(rows), INDICES(places),
                             plan->k, plan->run, plan->rows_run};
    const struct results results = {plan->stack * plan->m, plan->n, plan->columns, INDICES(out_rows), INDICES(out_columns), plan->out_run};
    const void *box = left;
    if (plan->packed)
        box = 0;
    else if (plan->left == ONES)
        box = memset(at.box, 1, plan->box_count * plan->box_length);
    else if (plan->box_count > 1 || plan->box_columns) {
        gather(at.box, left, plan->left, INDICES(box_rows), plan->box_count, plan->box_length, INDICES(box_columns), plan->box_length);
        box = at.box;
    } else
        box = (const char *)left + INDICES(box_rows)[0] * size_of(plan->left);
    const int64_t done = find(plan, &at, box, left, bit);
    const int bits = plan->left == ONES || (plan->left == SPIKES && (plan->taps || !dense_enough(plan, done)));
    return (plan->acc == F32 ? contract_f32 : bits ? contract_bits : contract_products)(
        plan, &of, &results, &at, box, right, out, fresh, done);
}
