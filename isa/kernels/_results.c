/* Sums as they lie among kernels, rows of columns, and where they belong. */

#include "_kernels.h"

#define AT(OUT, J) (OUT)[to ? to[J] : (J)]

/* The sums so far; whether one of them is -0, to which even zeros add something. */
int snnc_begin_f32(const struct results *of, float *sums, const float *before)
{
    int minus_zero = 0;
    if (!before) {
        memset(sums, 0, of->count * of->columns * sizeof *sums);
        return 0;
    }
    const int64_t *to = of->columns_at;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        const float *from = before + of->rows_at[row];
        for (int64_t j = 0; j < of->n; j++)
            sums[j] = AT(from, j);
        memset(sums + of->n, 0, (of->columns - of->n) * sizeof *sums);
        for (int64_t j = 0; j < of->n; j++) {
            uint32_t bits;
            memcpy(&bits, sums + j, 4);
            minus_zero |= bits == 0x80000000u;
        }
    }
    return minus_zero;
}

/* Every NaN is the canonical one. */
void snnc_end_f32(const struct results *of, const float *sums, float *out)
{
    const float nan = single_of_bits(0x7fc00000u);
    const int64_t *to = of->columns_at;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        float *row_out = out + of->rows_at[row];
        for (int64_t j = 0; j < of->n; j++)
            AT(row_out, j) = sums[j] == sums[j] ? sums[j] : nan;
    }
}

/* Accumulators with one of the outermost codes, which are flags, stay what they are. */
VERSIONS void snnc_end_x64(const struct results *of, const int64_t *sums, uint64_t *out, int fresh)
{
    const int64_t *to = of->columns_at;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        uint64_t *row_out = out + of->rows_at[row];
        if (fresh)
            for (int64_t j = 0; j < of->n; j++)
                AT(row_out, j) = (uint64_t)sums[j];
        else
            for (int64_t j = 0; j < of->n; j++) {
                const uint64_t old = AT(row_out, j);
                AT(row_out, j) = old + (old - 0x7fffffffffffffffull < 3 ? 0 : (uint64_t)sums[j]);
            }
    }
}

/* Pairs [low, high] of units of 2^-48; sums are of 2^-48 << shift. */
void snnc_end_x128(const struct results *of, const int64_t *sums, uint64_t *out, int shift, int fresh)
{
    const uint64_t top = 0x7fffffffffffffffull;
    const int64_t *to = of->columns_at;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns)
        for (int64_t j = 0; j < of->n; j++) {
            uint64_t *pair = out + 2 * (of->rows_at[row] + (to ? to[j] : j));
            const uint64_t low = (uint64_t)sums[j] << shift, high = (uint64_t)(sums[j] >> (63 - shift) >> 1);
            if (fresh) {
                pair[0] = low;
                pair[1] = high;
            } else if (!((pair[1] == top && pair[0] == ~0ull) || (pair[1] == top + 1 && pair[0] < 2))) {
                pair[0] += low;
                pair[1] += high + (pair[0] < low);
            }
        }
}
