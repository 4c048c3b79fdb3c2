/* Operands of contractions as kernels take them: the words of the left one's box, and the matrix that the right one is. */

#include "_plan.h"

#include <math.h>

static enum { NEVER, WHERE_IT_PAYS, WHEREVER_IT_SERVES } matrix_use = WHERE_IT_PAYS;

/* When the matrix unit is used from now on; whether there is one. */
int64_t snnc_use_matrix(int64_t when)
{
    matrix_use = when;
    return snnc_matrix() != 0;
}

void snnc_gather(void *to, const void *from, int64_t element, const int64_t *rows, int64_t count, int64_t n,
                   const int64_t *columns, int64_t filled)
{
    switch (size_of(element)) {
    case 1: snnc_gather_1(to, from, rows, count, n, columns, filled); break;
    case 2: snnc_gather_2(to, from, rows, count, n, columns, filled); break;
    default: snnc_gather_4(to, from, rows, count, n, columns, filled);
    }
}

/* Where a form of the right operand belongs, beside what is kept of it or in a *room*; whether it is there already. */
static void *form_of(struct rooms *at, int form, int64_t bytes, void *room, int *there)
{
    *there = 0;
    void *made = at->kept ? snnc_made(at->kept, form, bytes, there) : 0;
    return made ? made : room;
}

/* The right operand as it is stored, a matrix. */
const void *snnc_gather_right(const struct plan *plan, struct rooms *at, const void *right)
{
    const int64_t rows = plan->stack * plan->k;
    int there;
    void *to = form_of(at, GATHERED, rows * plan->columns * size_of(plan->right), at->right, &there);
    if (!there)
        snnc_gather(to, right, plan->right, INDICES(right_rows), rows, plan->n, INDICES(right_columns), plan->columns);
    return to;
}

/* The same of f16 as units of 2^-24, in words of the *form*. */
const void *snnc_units_of_right(const struct plan *plan, struct rooms *at, const uint16_t *right, int form)
{
    const int64_t all = plan->stack * plan->k * plan->columns;
    int there;
    void *to = form_of(at, form, all * (form == UNITS_I32 ? 4 : 8), at->right_words, &there);
    if (there)
        return to;
    if (form == UNITS_I32)
        snnc_units_i32(to, right, all);
    else if (form == UNITS_I64)
        snnc_units_i64(to, right, all);
    else
        snnc_units_f64(to, right, HALVES, all);
    return to;
}

/* How many digits an f16 in units of 2^-24 may have, and all that are no larger: more than MOST_DIGITS where that is none. */
int snnc_digits(uint32_t bits)
{
    const double units = bits < INFINITE ? of_half((uint16_t)bits) * 0x1p24 : INFINITY;
    double most = 127;
    int digits = 1;
    for (; digits <= MOST_DIGITS && units > most; digits++)
        most = most * 256 + 127;
    return digits;
}

int64_t snnc_tiles_bytes(const struct plan *plan)
{
    return (int64_t)sizeof(struct tiles) + plan->stack * plan->tiles * 64 * plan->columns * MOST_DIGITS;
}

/* The same as tiles of digits, if these are not too many. */
const struct tiles *snnc_tiles_of_right(const struct plan *plan, struct rooms *at, const void *right)
{
    const int64_t tiled = plan->tiles * 64 * plan->columns, rows = plan->k * plan->columns;
    int there;
    struct tiles *to = form_of(at, TILES, snnc_tiles_bytes(plan), at->right_words, &there);
    if (there)
        return to;
    const uint16_t *halves = snnc_gather_right(plan, at, right);
    to->most = snnc_most(halves, plan->stack * rows);
    const int digits = snnc_digits(to->most);
    for (int64_t batch = 0; batch < plan->stack && digits <= MOST_DIGITS; batch++)
        snnc_matrix()->right(to->digits + batch * digits * tiled, halves + batch * rows, INDICES(slots), plan->tiles, plan->columns, digits);
    return to;
}

/* Where kernels decode it block by block of columns, with a row more; whether they have. */
float *snnc_blocks_of_right(const struct plan *plan, struct rooms *at, int *there)
{
    return form_of(at, IN_BLOCKS, (plan->stack * plan->k + 1) * plan->columns * 4, at->right_words, there);
}

/* Whether panels read bits as they are. */
int snnc_bits_serve(const struct plan *plan)
{
    return plan->left == SPIKES && (plan->run >= 8 || rows_beside(plan->run, plan->rows_run));
}

/* Whether all elements cost less than those that are not zero, which have to be found: by measurements of both, 2 to 75 % of
   them, on layers of 10 to 208 columns.  A bit costs less than a number.  Integers that bits gate have half the width of the
   products that all elements take, and less where sums do not stay in registers. */
int snnc_dense_enough(const struct plan *plan, int64_t done)
{
    const int64_t vectors = plan->columns * (plan->acc == F32 ? 4 : 8) / 64, all = plan->stack * plan->m * plan->k;
    if (plan->acc == X64 && plan->left == SPIKES)
        return 10 * done > all * (rows_beside(plan->run, plan->rows_run) ? 3 : 7);
    return 2 * done * (3 * vectors + 9) > all * vectors * (plan->acc != F32 ? 2 : plan->left != SPIKES ? 3 : 4);
}

/* Whether the matrix unit costs less than other kernels, in ns as they were measured on all contractions of a step of four
   networks: tiles of digits (f16 of usual size have three) against all products, or against those of left elements that
   are not zero, where kernels find these. */
int snnc_matrix_pays(const struct plan *plan, int64_t done)
{
    if (!plan->tiles || !snnc_matrix() || matrix_use != WHERE_IT_PAYS)
        return plan->tiles && snnc_matrix() && matrix_use == WHEREVER_IT_SERVES;
    const int bits = plan->left == SPIKES, digits = plan->left == HALVES ? 3 : 1;
    const double rows = (double)(plan->stack * plan->m), box = (double)(plan->box_count * plan->box_length);
    const double blocks = (double)(plan->stack * ((plan->m + LANES - 1) / LANES)), across = (double)plan->columns / LANES;
    const double right = (double)(plan->stack * plan->tiles) * across * 100, planes = box * digits * (plan->turned ? 0.3 : 0.1);
    const double tiles = 2000 + blocks * across * (double)(plan->tiles * digits) * 21 + right + planes;
    const double all = rows * (double)(plan->k * plan->columns) / 33;
    const double bit = plan->taps ? 1.2 : rows_beside(plan->run, plan->rows_run) ? 2.5 : 1.3;
    const double found = bits ? rows * 8 + (double)done * across * bit : plan->run >= 8 ? rows * 20 + (double)done * across * 1.3 : all;
    return 1.2 * tiles < (found < all ? found : all) + (bits ? 0 : box * 0.1);
}

/* What is not a bit, as the words that kernels take; bits, too, for those that want words. */
const void *snnc_words_of_left(const struct plan *plan, const struct rooms *at, const uint8_t *box)
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
const float *snnc_singles_of_right(const struct plan *plan, struct rooms *at, const void *right)
{
    const int64_t rows = plan->stack * plan->k;
    int there;
    float *to = form_of(at, SINGLES_OF, (rows + 1) * plan->columns * 4, at->right_words, &there);
    if (there)
        return to;
    if (plan->right == HALVES)
        snnc_kernels()->halves_f32(to, right, INDICES(right_rows), rows, plan->n, INDICES(right_columns), plan->columns);
    else
        snnc_singles(to, snnc_gather_right(plan, at, right), plan->right, rows * plan->columns);
    return to;
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
const void *snnc_spread_right(const struct plan *plan, struct rooms *at, const void *right, const void *gathered)
{
    const int64_t *terms = INDICES(terms), bytes = plan->columns * 4, all = (plan->lead + taps_of(plan).pixels) * bytes;
    int there;
    char *const words = form_of(at, SPREAD, all, at->right_words, &there), *const end = words + all;
    char *to = words;
    for (int64_t row = 0, count; row < plan->k && !there; row += count) {
        char *begin = words + (plan->lead + terms[row]) * bytes;
        for (count = 1; row + count < plan->k && terms[row + count] == terms[row] + count;)
            count++;
        memset(to, 0, begin - to);
        few_words(plan, begin, right, gathered, row, count);
        to = begin + count * bytes;
    }
    if (!there)
        memset(to, 0, end - to);
    return words;
}
