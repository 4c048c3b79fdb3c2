/* Contractions with sums of f32, in the order of the terms. */

#include "_plan.h"

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
    const int small = plan->whole && factors * 4 <= NEAR, lies = plan->right == HALVES && !small && !at->kept;
    const float *values = snnc_bits_serve(plan) ? 0 : snnc_words_of_left(plan, at, box);
    const float *decoded = lies ? 0 : snnc_singles_of_right(plan, at, right);
    const struct halves lying = {right, INDICES(right_rows), INDICES(right_columns), plan->n, 0};
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
    const float *words = snnc_spread_right(plan, at, right, plan->right == HALVES ? 0 : snnc_gather_right(plan, at, right));
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
    const float *values = plan->left > SPIKES ? snnc_words_of_left(plan, at, box) : 0;
    int minus_zero, there = 0;
    float *words = lies ? snnc_blocks_of_right(plan, at, &there) : (float *)snnc_singles_of_right(plan, at, right);
    const struct halves lying = {right, INDICES(right_rows), INDICES(right_columns), plan->n, there};
    if (terms) {
        float *sums = begin_f32(results, at, out, fresh, here, &minus_zero);
        snnc_kernels()->terms_f32(sums, at->bits, values, words, of);
        snnc_end_f32(results, sums, out);
        return;
    }
    const struct lines among = {at->sums, 0, plan->columns, 0}, lines = {out, results->rows_at, plan->n, fresh};
    if (!here)
        snnc_begin_f32(results, at->sums, fresh ? 0 : out);
    snnc_kernels()->events_f32(here ? &lines : &among, at->bits, values, words, lies ? &lying : 0, of, at->found, at->factors, fused);
    if (!here)
        snnc_end_f32(results, at->sums, out);
}

/* How many left elements of the matrices were not zero. */
int64_t snnc_contract_f32(const struct plan *plan, const struct shape *of, const struct results *results, struct rooms *at,
                            const uint8_t *box, const void *right, void *out, int fresh, int64_t done)
{
    if (!done) { /* left elements that are all zero add nothing, whatever they meet */
        snnc_begin_f32(results, at->sums, fresh ? 0 : out);
        snnc_end_f32(results, at->sums, out);
        return 0;
    }
    const int all = plan->left != ONES && !plan->taps && snnc_dense_enough(plan, done);
    if (!(plan->taps && window_f32(plan, results, at, right, out, fresh)) &&
        !(all && all_f32(plan, of, results, at, box, right, out, fresh)))
        few_f32(plan, of, results, at, box, right, out, fresh);
    return done;
}
