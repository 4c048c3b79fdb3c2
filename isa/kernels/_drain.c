/* Draining, compiled: an accumulator times a scale and plus a bias, rounded once into a value, as `numerics/exact.py` does it.

   Exact accumulators are split into three products of 53 bits, which error-free sums join; what is left is rounded to odd,
   so that the last rounding is the only one.  Where a product has 53 bits anyhow, it is not split.  Of f32 and f16 both
   operations are those of f32, each rounded.  This file has to be compiled with -ffp-contract=off, as pyproject.toml says. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic")
#endif

#include "_operands.h"

/* What is the same for many calls: 2 * rank *axes* of the accumulators and then of the bias, *total* values of *out*.
   Products of accumulators that are smaller than *limit* are exact; *factor* is *scale* times the unit of accumulators. */
struct drain {
    const int64_t *axes;
    int64_t rank, total, format, bias, out, limit;
    double scale, factor;
};

/* a + b, and what rounding it lost. */
INLINE double sum_of(double a, double b, double *lost)
{
    double total = a + b, other = total - a;
    *lost = (a - (total - other)) + (b - other);
    return total;
}

/* Of the two neighbours of total + rest the odd one, where total is not exact. */
INLINE double odd_of(double total, double rest)
{
    uint64_t bits = long_bits_of(total);
    uint64_t step = (rest > 0) == (total > 0) ? 1 : -(uint64_t)1;
    return double_of_bits(bits + (rest != 0 && !(bits & 1) ? step : 0));
}

/* high + low + bias, rounded to odd; an exact zero is +0. */
INLINE double joined(double high, double low, double bias)
{
    double error, rest;
    high = sum_of(high, bias, &error);
    error = sum_of(error, low, &rest);
    high = sum_of(high, odd_of(error, rest), &rest);
    return odd_of(high, rest) + 0.0;
}

/* One block of exact accumulators; answers whether some are flagged, or too large, or the bias is not finite. */
INLINE int64_t drain_exact(const struct drain *p, char *acc, const float *bias, char *out, int64_t start, int64_t block)
{
    const int64_t n = block, rank = p->rank, wide = p->format == X128;
    int64_t low[BLOCK], high[BLOCK], beyond = 0, long_ones = 0;
    double made[BLOCK];
    EACH_RUN(acc, p->axes, start, block, for (int64_t i = 0; i < n; i++) {
        low[done + i] = *(const index_at *)(at + i * step);
        high[done + i] = wide ? *(const index_at *)(at + i * step + 8) : low[done + i] >> 63;
    })
    EACH {
        beyond |= ((uint64_t)low[i] - INT64_MAX <= 2) & !wide;
        beyond |= (high[i] >= 1 << 18) | (high[i] < -(1 << 18));
        beyond |= !(bias[i] - bias[i] == 0);
        long_ones |= (low[i] >= p->limit) | (low[i] <= -p->limit) | (high[i] != low[i] >> 63);
    }
    if (beyond)
        return 1;
    if (!long_ones)
        EACH made[i] = joined((double)low[i] * p->factor, 0.0, bias[i]);
    else
        EACH {
            const int64_t piece = (1 << 29) - 1;
            int64_t top = (low[i] >> 58 & 63) | (int64_t)((uint64_t)high[i] << 6);
            double error, below;
            double product = sum_of((double)(int32_t)top * (p->factor * 0x1p58),
                                    (double)(int32_t)(low[i] >> 29 & piece) * (p->factor * 0x1p29), &error);
            product = sum_of(product, (double)(int32_t)(low[i] & piece) * p->factor, &below);
            product = sum_of(product, error + below, &below);
            made[i] = joined(product, below, bias[i]);
        }
    store_doubles(made, out, n, p->out);
    return 0;
}

/* One block of rounding accumulators. */
INLINE int64_t drain_rounded(const struct drain *p, char *acc, const float *bias, char *out, int64_t start, int64_t block,
                             int64_t size)
{
    const int64_t n = block, rank = p->rank;
    const float scale = (float)p->scale;
    float made[BLOCK];
    EACH_RUN(acc, p->axes, start, block, load_run(made + done, at, step, n, (int)p->format);)
    if (scale != 1.0f)
        EACH made[i] *= scale;
    if (p->bias >= 0)
        EACH made[i] += bias[i];
    return store_run(made, out, size, n, (int)p->out);
}

/* Answers DONE, or that the NumPy form has to do it. */
VERSIONS int64_t snnc_drain(const struct drain *plan, char *acc, char *bias, char *out)
{
    const struct drain p = *plan;
    const int64_t rank = p.rank, size = p.out == F32 ? 4 : 2;
    float added[BLOCK];
    memset(added, 0, sizeof added);
    for (int64_t start = 0; start < p.total; start += BLOCK) {
        int64_t block = p.total - start < BLOCK ? p.total - start : BLOCK;
        if (p.bias >= 0)
            EACH_RUN(bias, p.axes + 2 * rank, start, block, load_run(added + done, at, step, n, (int)p.bias);)
        if (p.format == X64 || p.format == X128 ? drain_exact(&p, acc, added, out + start * size, start, block)
                                                : drain_rounded(&p, acc, added, out + start * size, start, block, size))
            return REFUSED;
    }
    return DONE;
}
