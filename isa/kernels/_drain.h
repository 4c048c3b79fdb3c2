/* Draining, compiled: an accumulator times a scale and plus a bias, rounded once into a value, as `numerics/exact.py` does it.

   Exact accumulators are split into three products of 53 bits, which error-free sums join; what is left is rounded to odd,
   so that the last rounding is the only one.  Where a product has 53 bits anyhow, it is not split.  Of f32 and f16 both
   operations are those of f32, each rounded.  What includes this has to be compiled with -ffp-contract=off, as
   pyproject.toml says. */

#include "_operands.h"
#include "_vector.h"

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

/* The halves of exact accumulators, where they lie: *high* ones of 64 bits are their sign. */
INLINE void halves_of(int64_t *low, int64_t *high, int64_t at, int64_t step, int64_t n, int wide)
{
    const index_at *pairs = (const index_at *)at;
    if (wide && step == 16)
        EACH low[i] = pairs[2 * i], high[i] = pairs[2 * i + 1];
    else if (wide)
        for (int64_t i = 0; i < n; i++) {
            low[i] = *(const index_at *)(at + i * step);
            high[i] = *(const index_at *)(at + i * step + 8);
        }
    else if (step == 8)
        EACH low[i] = pairs[i], high[i] = pairs[i] >> 63;
    else
        for (int64_t i = 0; i < n; i++) {
            low[i] = *(const index_at *)(at + i * step);
            high[i] = low[i] >> 63;
        }
}

/* Accumulators of any length times the scale and plus the bias, rounded to odd; answers whether some are flagged, or too
   large, or the bias is not finite. */
INLINE int64_t drain_long(const struct drain *p, const int64_t *low, const int64_t *high, const float *bias, double *made,
                          int64_t n, int biased)
{
    int64_t beyond = 0;
    const int wide = p->format == X128;
    EACH {
        beyond |= ((uint64_t)low[i] - INT64_MAX <= 2) & !wide;
        beyond |= (high[i] >= 1 << 18) | (high[i] < -(1 << 18));
        beyond |= !(bias[i] - bias[i] == 0);
    }
    if (beyond)
        return 1;
    EACH {
        const int64_t piece = (1 << 29) - 1;
        int64_t top = (low[i] >> 58 & 63) | (int64_t)((uint64_t)high[i] << 6);
        double error, below;
        double product = sum_of((double)(int32_t)top * (p->factor * 0x1p58),
                                (double)(int32_t)(low[i] >> 29 & piece) * (p->factor * 0x1p29), &error);
        product = sum_of(product, (double)(int32_t)(low[i] & piece) * p->factor, &below);
        product = sum_of(product, error + below, &below);
        made[i] = biased ? joined(product, below, bias[i]) : odd_of(product, below) + 0.0;
    }
    return 0;
}

/* The next block of exact accumulators; answers what `drain_long` does.  Where each product is exact, one sum is left, or
   none without a bias; a flag is no short accumulator. */
INLINE int64_t drain_exact(const struct drain *p, struct walk *walks, const float *bias, float *values, int64_t block)
{
    const int64_t n = block, rank = p->rank, limit = p->limit;
    const double factor = p->factor;
    int64_t low[BLOCK], high[BLOCK], long_ones = 0;
    double made[BLOCK];
    EACH_RUN(walks[0], p->axes, block, halves_of(low + done, high + done, at, step, n, p->format == X128);)
    if (p->bias < 0)
        EACH {
            long_ones |= (low[i] >= limit) | (low[i] <= -limit) | (high[i] != low[i] >> 63);
            made[i] = (double)low[i] * factor + 0.0;
        }
    else
        EACH {
            double rest, total = sum_of((double)low[i] * factor, bias[i], &rest);
            long_ones |= (low[i] >= limit) | (low[i] <= -limit) | (high[i] != low[i] >> 63) | !(bias[i] - bias[i] == 0);
            made[i] = odd_of(total, rest) + 0.0;
        }
    if (long_ones && (p->bias < 0 ? drain_long(p, low, high, bias, made, n, 0) : drain_long(p, low, high, bias, made, n, 1)))
        return 1;
    singles_of_doubles(values, made, n, (int)p->out);
    return 0;
}

/* The next block of rounding accumulators. */
INLINE void drain_rounded(const struct drain *p, struct walk *walks, const float *bias, float *values, int64_t block)
{
    const int64_t n = block, rank = p->rank;
    const float scale = (float)p->scale;
    EACH_RUN(walks[0], p->axes, block, load_run(values + done, at, step, n, (int)p->format);)
    if (scale != 1.0f)
        EACH values[i] *= scale;
    if (p->bias >= 0)
        EACH values[i] += bias[i];
}

/* Answers DONE, or that the NumPy form has to do it; then what has been drained may be drained again. */
static int64_t drain(const struct drain *plan, const int64_t *at)
{
    const struct drain p = *plan;
    const int64_t rank = p.rank;
    struct walk walks[3] = {{.at = at[0]}, {.at = at[1]}, {.at = p.bias >= 0 ? at[2] : 0}};
    float added[BLOCK], values[BLOCK];
    memset(added, 0, sizeof added);
    for (int64_t start = 0; start < p.total; start += BLOCK) {
        const int64_t block = p.total - start < BLOCK ? p.total - start : BLOCK;
        if (p.bias >= 0)
            EACH_RUN(walks[2], p.axes + 4 * rank, block, load_run(added + done, at, step, n, (int)p.bias);)
        if (p.format != X64 && p.format != X128)
            drain_rounded(&p, walks, added, values, block);
        else if (drain_exact(&p, walks, added, values, block))
            return REFUSED;
        EACH_RUN(walks[1], p.axes + 2 * rank, block, store_run(values + done, at, step, n, (int)p.out);)
    }
    return DONE;
}
