/* Contractions with exact sums: what they are formed in depends on how large they may be. */

#include "_plan.h"

#define HELD 0x1p53   /* integers that float64 holds */
#define WIDEST 0x1p62 /* sums that 64 bits hold */
#define LEAST_ROWS 8 /* of which sums are formed together */
#define FEWEST 4      /* terms in 32 bits that are worth widening */

/* Exact sums that have been formed go to where they belong; terms of spikes and integers are of units of 2^-24. */
static void end_exact(const struct plan *plan, const struct results *results, const int64_t *sums, void *out, int fresh)
{
    if (plan->acc == X64)
        snnc_end_x64(results, sums, out, fresh);
    else
        snnc_kernels()->end_x128(results, sums, out, plan->left == HALVES ? 0 : 24, fresh);
}

/* Left elements that are all zero add nothing, whatever they meet. */
static int64_t nothing(const struct plan *plan, const struct results *results, struct rooms *at, void *out, int fresh)
{
    if (fresh)
        end_exact(plan, results, memset(at->sums, 0, results->count * results->columns * sizeof(int64_t)), out, 1);
    return 0;
}

/* Bits gate integers: 32 bits hold so many of them that they are worth widening afterwards, or 64 bits hold all. */
int64_t snnc_contract_bits(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                             const uint8_t *box, const void *lying, void *out, int fresh, int64_t done)
{
    if (!done)
        return nothing(plan, results, at, out, fresh);
    const int64_t factors = plan->stack * plan->k * plan->columns;
    const uint16_t *right = snnc_gather_right(plan, at, lying);
    const uint32_t bits = snnc_most(right, factors);
    const double most = of_half((uint16_t)bits) * 0x1p24;
    if (bits >= INFINITE || most * (double)plan->k >= WIDEST)
        return -1;
    const int64_t chunk = most > 0 ? (int64_t)(0x7fffffff / most) : plan->k;
    const int terms = rows_beside(of->run, of->rows_run);
    (void)box;
    const struct set_bits set = {at->bits, at->set, at->before};
    const int taps_serve = plan->taps && chunk >= FEWEST;
    if (!taps_serve && !terms)
        snnc_kernels()->list_set(&set, plan->box_count * plan->box_length);
    if (chunk >= FEWEST) {
        if (taps_serve) {
            const struct taps taps = taps_of(plan);
            const int32_t *spread = snnc_spread_right(plan, at, 0, right);
            snnc_kernels()->taps_i32(at->sums, at->bits, spread, &taps, plan->columns, at->turned, at->found, chunk);
            end_exact(plan, results, at->sums, out, fresh);
            return done;
        }
        const int32_t *units = snnc_units_of_right(plan, at, right, UNITS_I32);
        if (terms)
            snnc_kernels()->terms_i32(at->sums, at->bits, units, of, at->part, chunk);
        else
            snnc_kernels()->events_i32(at->sums, &set, units, of, at->found, chunk);
    } else {
        const int64_t *units = snnc_units_of_right(plan, at, right, UNITS_I64);
        if (terms)
            snnc_kernels()->terms_i64(at->sums, at->bits, units, of);
        else
            snnc_kernels()->events_i64(at->sums, &set, units, of, at->found);
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

/* How many rows from the `first` of one of the stack on have sums that stay near; where rows of the left operand are read side
   by side, all of them do stand so, or all are of as many runs. */
static int64_t near_rows(const struct shape *of, int64_t first)
{
    const int64_t most = NEAR / (8 * of->columns) < LEAST_ROWS ? LEAST_ROWS : NEAR / (8 * of->columns);
    const int64_t all = !rows_beside(of->run, of->rows_run) ? of->m : of->rows_run;
    if (all <= most / 2)
        return most / all * all < of->m - first ? most / all * all : of->m - first;
    const int64_t parts = (all + most - 1) / most, rows = ((all + parts - 1) / parts + 7) / 8 * 8, left = all - first % all;
    return rows < left ? rows : left;
}

/* Does something with so many rows at a time: *some* of the shape, whose sums belong *there*. */
#define EACH_NEAR_ROWS(...)                                                                                            \
    for (int64_t batch = 0; batch < of->stack; batch++)                                                                \
        for (int64_t first = 0, here; first < of->m; first += here) {                                                  \
            here = near_rows(of, first);                                                                               \
            const int64_t row = batch * of->m + first;                                                                 \
            struct shape some = *of;                                                                                   \
            struct results there = *results;                                                                           \
            some.stack = 1;                                                                                            \
            some.m = there.count = here;                                                                               \
            some.rows += row;                                                                                          \
            some.rows_run = here < of->rows_run ? here : of->rows_run;                                                 \
            there.rows_at += row;                                                                                      \
            __VA_ARGS__                                                                                                \
        }

/* Products, in float64, which holds one of two f16 whatever they are. */
int64_t snnc_contract_products(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                                 const uint8_t *box, const void *lying, void *out, int fresh, int64_t done)
{
    if (!done)
        return nothing(plan, results, at, out, fresh);
    const int64_t factors = plan->stack * plan->k * plan->columns, in_box = plan->box_count * plan->box_length;
    const uint16_t *right = snnc_gather_right(plan, at, lying);
    const uint32_t bits = snnc_most(right, factors), l_bits = plan->left == HALVES ? snnc_most((const uint16_t *)box, in_box) : 0;
    if (bits >= INFINITE || l_bits >= INFINITE)
        return -1;
    const double l_most = plan->left == HALVES ? of_half((uint16_t)l_bits) * 0x1p24 : plan->left == COUNTS ? 255 : 1;
    const struct cuts cuts = cuts_of(l_most * (of_half((uint16_t)bits) * 0x1p24), plan->k);
    if (!cuts.slab)
        return -1;
    const int few = !snnc_dense_enough(plan, done) && of->run >= 8 && cuts.slab == plan->k;
    const double *values = !few && snnc_bits_serve(plan) && cuts.slab == plan->k ? 0 : snnc_words_of_left(plan, at, box);
    const double *units = few ? snnc_units_of_right(plan, at, right, UNITS_F64) : 0;
    const struct set_bits set = {at->bits, at->set, at->before};
    if (few)
        snnc_kernels()->list_set(&set, in_box);
    EACH_NEAR_ROWS(const int64_t above = batch * plan->k * plan->columns;
        if (few) {
            snnc_kernels()->events_f64(at->sums, &set, values, units + above, &some, at->found, at->factors, cuts.chunk);
            end_exact(plan, &there, at->sums, out, fresh);
        } else
            for (int64_t begin = 0; begin < plan->k; begin += cuts.slab, some.places += cuts.slab) {
                some.k = plan->k - begin < cuts.slab ? plan->k - begin : cuts.slab;
                snnc_kernels()->panels_f64(at->sums, values, at->bits, right + above + begin * plan->columns, &some, cuts.chunk);
                end_exact(plan, &there, at->sums, out, fresh && !begin);
            })
    return done;
}

/* Sums by the matrix unit, of all elements; whether it serves: else numbers have too many digits, or sums too many bits. */
int snnc_contract_matrix(const struct plan *plan, const struct results *results, struct rooms *at,
                           const void *box, const void *lying, void *out, int fresh)
{
    const int64_t in_box = plan->box_count * plan->box_length, pitch = (in_box + 63) / 64 * 64 + 64;
    const uint32_t l_bits = plan->left == HALVES ? snnc_most(box, in_box) : 0;
    const int l_digits = plan->left == HALVES ? snnc_digits(l_bits) : 1;
    if (l_digits > MOST_DIGITS || (plan->left == COUNTS && !plan->codes))
        return 0;
    const struct tiles *right = snnc_tiles_of_right(plan, at, lying);
    const int r_digits = snnc_digits(right->most);
    const double l_most = plan->left == HALVES ? of_half((uint16_t)l_bits) * 0x1p24 : plan->left == COUNTS ? 127 : 1;
    if (r_digits > MOST_DIGITS || l_most * (of_half((uint16_t)right->most) * 0x1p24) * (double)plan->k >= WIDEST)
        return 0;
    const struct matrix_unit *unit = snnc_matrix();
    unit->left(at->planes, pitch, box, at->bits, plan->left, in_box, l_digits);
    struct planes left = {at->planes, pitch, l_digits};
    if (plan->turned) {
        left = (struct planes){at->turned_planes, plan->turned * plan->pitch + 64, l_digits};
        for (int digit = 0; digit < l_digits; digit++)
            unit->turned((int8_t *)at->turned_planes + digit * left.pitch, plan->pitch, (int8_t *)at->planes + digit * pitch,
                         in_box / plan->turned, plan->turned);
    }
    const struct tiling tiling = {plan->columns, plan->tiles, INDICES(tile_rows), INDICES(tile_places), plan->least, plan->reach};
    for (int64_t row = 0, here; row < plan->stack * plan->m; row += here) {
        const int64_t batch = row / plan->m;
        here = unit->sums_i64(at->sums, &left, right->digits + batch * plan->tiles * 64 * plan->columns * r_digits, r_digits, &tiling, row,
                              (batch + 1) * plan->m, at->near);
        struct results some = *results;
        some.count = here;
        some.rows_at += row;
        end_exact(plan, &some, at->sums, out, fresh);
    }
    return 1;
}

/* Products of elements at the same place of the stack, which is what a row is elsewhere. */
int64_t snnc_contract_alone(const struct plan *plan, struct rooms *at, const uint16_t *left, const uint16_t *right, void *out,
                              int fresh)
{
    const int64_t columns = plan->columns, all = plan->k * columns;
    snnc_gather(at->right, right, HALVES, INDICES(right_rows), plan->k, plan->stack, INDICES(right_columns), columns);
    snnc_gather(at->box, left, HALVES, INDICES(box_rows), plan->k, plan->stack, INDICES(box_columns), columns);
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
        snnc_kernels()->end_x128(&results, at->sums, out, 0, fresh && !begin);
    }
    return snnc_there(0, at->box, HALVES, all);
}
