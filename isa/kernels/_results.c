/* Sums as they lie among kernels, rows of columns, and where they belong. */

#include "_kernels.h"

#define EACH_COLUMN for (int64_t j = 0; j < of->n; j++)

/* Does something with every run of columns: *run* of them from `first` on, which belong to `place`. */
#define EACH_COLUMNS(...)                                                                                              \
    for (int64_t first = 0; first < of->n; first += run) {                                                             \
        const int64_t place = to ? to[first] : first;                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define FEW 4 /* columns that are no run */

/* Does something with every LANES of columns of all rows, which lie side by side where they belong, too. */
typedef uint32_t words __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float singles __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define EACH_LANES(...)                                                                                                \
    for (int64_t row = 0; row < of->count; row++, sums += of->columns)                                                 \
        for (int64_t j = 0; j < of->n; j += LANES) {                                                                   \
            const int64_t place = of->rows_at[row] + j;                                                                \
            __VA_ARGS__                                                                                                \
        }
static inline int in_lanes(const struct results *of) { return !of->columns_at && of->n == of->columns; }

/* The sums so far, which may be *before* itself; whether one of them is -0, to which even zeros add something. */
VERSIONS int snnc_begin_f32(const struct results *of, float *sums, const float *before)
{
    uint32_t minus_zero = 0;
    if (!before) {
        memset(sums, 0, of->count * of->columns * sizeof *sums);
        return 0;
    }
    if (in_lanes(of)) {
        words any = {0};
        if (sums == before)
            EACH_LANES(any |= (words)(*(const words *)(before + place) == 0x80000000u);)
        else
            EACH_LANES(const words some = *(const words *)(before + place); any |= (words)(some == 0x80000000u); *(words *)(sums + j) = some;)
        for (int lane = 0; lane < LANES; lane++)
            minus_zero |= any[lane];
        return minus_zero != 0;
    }
    const int64_t *to = of->columns_at, run = of->run;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        const float *from = before + of->rows_at[row];
        if (to && run < FEW)
            EACH_COLUMN sums[j] = from[to[j]];
        else
            EACH_COLUMNS(memcpy(sums + first, from + place, run * sizeof *sums);)
        memset(sums + of->n, 0, (of->columns - of->n) * sizeof *sums);
        EACH_COLUMN {
            uint32_t bits;
            memcpy(&bits, sums + j, 4);
            minus_zero |= bits == 0x80000000u;
        }
    }
    return (int)minus_zero;
}

INLINE float with_one_nan(float sum) { return sum == sum ? sum : single_of_bits(0x7fc00000u); }

/* Every NaN is the canonical one; *out* may be the sums themselves. */
VERSIONS void snnc_end_f32(const struct results *of, const float *sums, float *out)
{
    if (in_lanes(of)) {
        const words nan = (words){0} + 0x7fc00000u;
        EACH_LANES(const singles some = *(const singles *)(sums + j); const words is = (words)(some == some);
                   *(words *)(out + place) = ((words)some & is) | (nan & ~is);)
        return;
    }
    const int64_t *to = of->columns_at, run = of->run;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        float *restrict row_out = out + of->rows_at[row];
        if (to && run < FEW)
            EACH_COLUMN row_out[to[j]] = with_one_nan(sums[j]);
        else
            EACH_COLUMNS(for (int64_t j = 0; j < run; j++) row_out[place + j] = with_one_nan(sums[first + j]);)
    }
}

#define TOP 0x7fffffffffffffffull

INLINE uint64_t added_x64(uint64_t old, int64_t sum) { return old + (old - TOP < 3 ? 0 : (uint64_t)sum); }

/* Accumulators with one of the outermost codes, which are flags, stay what they are. */
VERSIONS void snnc_end_x64(const struct results *of, const int64_t *sums, uint64_t *out, int fresh)
{
    const int64_t *to = of->columns_at, run = of->run;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        uint64_t *restrict row_out = out + of->rows_at[row];
        if (to && run < FEW)
            EACH_COLUMN row_out[to[j]] = added_x64(fresh ? 0 : row_out[to[j]], sums[j]);
        else if (fresh)
            EACH_COLUMNS(memcpy(row_out + place, sums + first, run * sizeof *sums);)
        else
            EACH_COLUMNS(for (int64_t j = 0; j < run; j++) row_out[place + j] = added_x64(row_out[place + j], sums[first + j]);)
    }
}
