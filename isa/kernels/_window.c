/* Sums of windows, compiled, as `pool_sum` in `window.py` makes them: in f32 from +0, tap by tap, times a scale, rounded once.
   The caller sees to it that sums of integers stay below 2^24, so that they are exact.  This file has to be compiled with
   -ffp-contract=off, as pyproject.toml says. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic")
#endif

#include "_operands.h"

/* What is the same for many calls: 2 * rank *axes* of the source as far as they are those of the result, and how far each
   of *count* taps lies behind the first; *total* values. */
struct window {
    const int64_t *axes, *taps;
    int64_t rank, count, total, format, out;
    double scale;
};

VERSIONS int64_t snnc_pool_sum(const struct window *plan, char *source, char *out)
{
    const struct window p = *plan;
    const int64_t rank = p.rank, size = p.out == F32 ? 4 : 2;
    float sums[BLOCK], values[BLOCK];
    double made[BLOCK];
    for (int64_t start = 0; start < p.total; start += BLOCK) {
        const int64_t block = p.total - start < BLOCK ? p.total - start : BLOCK, n = block;
        memset(sums, 0, sizeof sums);
        for (int64_t tap = 0; tap < p.count; tap++) {
            EACH_RUN(source + p.taps[tap], p.axes, start, block, load_run(values + done, at, step, n, (int)p.format);)
            EACH sums[i] += values[i];
        }
        EACH made[i] = (double)sums[i] * p.scale;
        store_doubles(made, out + start * size, n, p.out);
    }
    return DONE;
}
