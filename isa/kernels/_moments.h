/* Means and covariances of exact sums, compiled, as `moments.py` makes them: one division of integers, one rounding. */

#include "_operands.h"
#include "_vector.h"

typedef __int128 wide;
typedef unsigned __int128 unsigned_wide;

INLINE int bits_long(unsigned_wide value)
{
    const uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

INLINE int is_below(wide value, int bits) { return bits_long(value < 0 ? -(unsigned_wide)value : (unsigned_wide)value) <= bits; }

/* 2^exponent, of which there is a double. */
INLINE double power_of_two(int64_t exponent) { return double_of_bits((uint64_t)(exponent + 1023) << 52); }

/* top / bottom * 2^exponent with at least 40 bits, rounded to odd; *top* has up to 127 bits, *bottom* 62. */
INLINE double quotient(wide top, uint64_t bottom, int64_t exponent)
{
    unsigned_wide size = top < 0 ? -(unsigned_wide)top : (unsigned_wide)top;
    const int missing = 40 - bits_long(size) + bits_long(bottom), shift = missing > 0 ? missing : 0;
    size <<= shift;
    unsigned_wide whole = size / bottom;
    int rest = whole * bottom != size;
    const int longer = bits_long(whole) - 50, lost = longer > 0 ? longer : 0;
    const uint64_t kept = (uint64_t)(whole >> lost);
    rest |= (unsigned_wide)kept << lost != whole;
    const double found = (double)(int64_t)(kept | (uint64_t)rest) * power_of_two(lost - shift) * power_of_two(exponent);
    return top < 0 && kept ? -found : found;
}

/* The next accumulators of operand *number*; answers whether one of them is flagged. */
INLINE int sums_of(wide *sums, const struct moments *p, struct walk *walks, int number, int64_t block)
{
    const int64_t rank = p->rank, long_ones = p->formats[number] == X128, top = INT64_MAX;
    int flagged = 0;
    EACH_RUN(walks[number], p->axes + number * 2 * rank, block, for (int64_t i = 0; i < n; i++) {
        const index_at *pair = (const index_at *)(at + i * step);
        const int64_t low = pair[0], high = long_ones ? pair[1] : low >> 63;
        flagged |= long_ones ? (high == top) | (high == -top - 1) : (uint64_t)low - (uint64_t)top <= 2;
        sums[done + i] = (wide)((unsigned_wide)(uint64_t)high << 64 | (uint64_t)low);
    })
    return flagged;
}

INLINE int store_moments(const struct moments *p, struct walk *walk, int number, const double *found, int64_t block)
{
    const int64_t rank = p->rank;
    float values[BLOCK];
    int32_t wrong = 0;
    singles_of_doubles(values, found, block, (int)p->formats[number]);
    EACH_RUN(*walk, p->axes + number * 2 * rank, block, wrong |= store_run(values + done, at, step, n, (int)p->formats[number]);)
    return wrong;
}

/* Sums, and their mean times a scale. */
static int64_t mean(const struct moments *plan, const int64_t *at, int64_t count)
{
    const struct moments p = *plan;
    struct walk walks[2] = {{.at = at[0]}, {.at = at[1]}};
    wide sums[BLOCK];
    double found[BLOCK];
    for (int64_t start = 0; start < p.total; start += BLOCK) {
        const int64_t block = p.total - start < BLOCK ? p.total - start : BLOCK;
        if (sums_of(sums, &p, walks, 0, block))
            return REFUSED;
        for (int64_t i = 0; i < block; i++) {
            if (!is_below(sums[i], 100))
                return REFUSED;
            found[i] = quotient(sums[i] * p.factor, (uint64_t)count, p.exponent);
        }
        if (store_moments(&p, walks + 1, 1, found, block))
            return REFUSED;
    }
    return DONE;
}

/* Sums of products, of both factors, and the covariance times a scale. */
static int64_t comoment(const struct moments *plan, const int64_t *at, int64_t count)
{
    const struct moments p = *plan;
    struct walk walks[4] = {{.at = at[0]}, {.at = at[1]}, {.at = at[2]}, {.at = at[3]}};
    wide cross[BLOCK], left[BLOCK], right[BLOCK];
    double found[BLOCK];
    const int most = 125 - bits_long((unsigned_wide)count);
    for (int64_t start = 0; start < p.total; start += BLOCK) {
        const int64_t block = p.total - start < BLOCK ? p.total - start : BLOCK;
        if (sums_of(cross, &p, walks, 0, block) | sums_of(left, &p, walks, 1, block) | sums_of(right, &p, walks, 2, block))
            return REFUSED;
        for (int64_t i = 0; i < block; i++) {
            if (!is_below(cross[i], most) || !is_below(left[i], 62) || !is_below(right[i], 62))
                return REFUSED;
            const wide top = cross[i] * count - left[i] * right[i];
            if (!is_below(top, 100))
                return REFUSED;
            found[i] = quotient(top * p.factor, (uint64_t)(count * count), p.exponent);
        }
        if (store_moments(&p, walks + 3, 3, found, block))
            return REFUSED;
    }
    return DONE;
}
