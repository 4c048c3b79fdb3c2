/* Sums of f32 that are driven by the elements of the left operand that are not zero: one term after the other, k ascending.

   What is not zero is listed for all rows first, for a part of the terms.  Then a row adds the terms of its list to some
   vectors of columns, in registers, while what it adds is near.  Where columns are few, several rows do so together, since
   sums wait for each other: the shorter lists among them are filled up with a term of -0, which changes no sum. */

#define BESIDE 8 /* vectors of columns at a time, at most */

/* Columns that are summed together, of so many that are left: all about as many. */
INLINE int64_t columns_beside(int64_t left)
{
    const int64_t lanes = VECTOR_BYTES / 4, vectors = left / lanes, blocks = (vectors + BESIDE - 1) / BESIDE;
    return (vectors + blocks - 1) / blocks * lanes;
}

/* The terms of these columns, *pitch* apart: halves are decoded block by block, others stand as they are; then one of -0. */
#define TERMS_OF(COLUMN, WIDTH)                                                                                        \
    const int64_t pitch = lying ? (WIDTH) : n;                                                                         \
    float *const terms = words + (lying ? (COLUMN) * (all + 1) : (COLUMN));

/* `here` of a vector's elements: the last ones of a row may be fewer. */
INLINE floats some_of(const float *from, int64_t here)
{
    floats some = {0};
#if VECTOR_BYTES == 64
    if (here < LANES)
        return (floats)_mm512_maskz_loadu_ps((__mmask16)((1u << here) - 1), from);
#endif
    const int64_t lanes = VECTOR_BYTES / 4;
    if (here >= lanes)
        return *(const floats *)from;
    memcpy(&some, from, (here > 0 ? here : 0) * sizeof *from);
    return some;
}

INLINE void put_some(float *to, floats some, int64_t here)
{
#if VECTOR_BYTES == 64
    if (here < LANES) {
        _mm512_mask_storeu_ps(to, (__mmask16)((1u << here) - 1), (__m512)some);
        return;
    }
#endif
    const int64_t lanes = VECTOR_BYTES / 4;
    if (here >= lanes)
        *(floats *)to = some;
    else
        memcpy(to, &some, (here > 0 ? here : 0) * sizeof *to);
}

INLINE int64_t line_of(const struct lines *out, int64_t row, int64_t n) { return out->rows ? out->rows[row] : row * n; }

/* Every NaN is the canonical one. */
INLINE floats with_one_nan(floats sum)
{
    const ints number = (ints)(sum == sum), nan = (ints){0} + 0x7fc00000;
    return (floats)(((ints)sum & number) | (nan & ~number));
}

/* ROWS rows and COUNT vectors of columns: what their lists say.  Where fewer rows are left, others are not written. */
#define LISTED(ROWS, COUNT, TERM)                                                                                      \
    for (int64_t first = 0; first < here; first += ROWS) {                                                             \
        const int64_t few = here - first < ROWS ? here - first : ROWS, lanes = VECTOR_BYTES / 4;                       \
        float *at[ROWS];                                                                                               \
        const int32_t *list[ROWS];                                                                                     \
        const float *factor[ROWS];                                                                                     \
        floats sum[ROWS][COUNT];                                                                                       \
        int32_t most = 0;                                                                                              \
        for (int row = 0; row < ROWS; row++) {                                                                         \
            const int64_t which = first + (row < few ? row : 0);                                                       \
            at[row] = out->at + line_of(out, batch * of->m + block + which, n) + column;                                     \
            list[row] = found + which * LIST;                                                                          \
            factor[row] = factors + which * LIST;                                                                      \
            most = counts[which] > most ? counts[which] : most;                                                        \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[row][c] = out->fresh && !low ? (floats){0} : some_of(at[row] + c * lanes, out->n - column - c * lanes); \
        }                                                                                                              \
        for (int row = 0; row < ROWS; row++)                                                                           \
            for (int32_t e = counts[first + (row < few ? row : 0)]; e < most; e += LISTED_TOGETHER)                    \
                fill_up((int32_t *)list[row] + e, (float *)factor[row] + e, nothing, values != 0);                     \
        for (int32_t e = 0; e < most; e++)                                                                             \
            for (int row = 0; row < ROWS; row++) {                                                                     \
                const floats *from = (const floats *)(near + list[row][e] * pitch);                                    \
                for (int c = 0; c < COUNT; c++)                                                                        \
                    sum[row][c] += TERM;                                                                               \
            }                                                                                                          \
        for (int row = 0; row < ROWS; row++)                                                                           \
            if (row < few)                                                                                             \
                for (int c = 0; c < COUNT; c++)                                                                        \
                    put_some(at[row] + c * lanes, high == of->k ? with_one_nan(sum[row][c]) : sum[row][c],             \
                             out->n - column - c * lanes);                                                             \
    }

#define LISTED_TOGETHER 16 /* elements of a list that are written together */

INLINE void fill_up(int32_t *list, float *factors, int32_t nothing, int with_factors)
{
    for (int e = 0; e < LISTED_TOGETHER; e++)
        list[e] = nothing;
    if (with_factors)
        memset(factors, 0, LISTED_TOGETHER * sizeof *factors);
}

/* Lists of the terms from `low` to `high` of `here` rows from `block` on. */
INLINE void list_rows(int32_t *found, float *factors, int32_t *counts, const uint8_t *bits, const float *values,
                      const struct shape *of, int64_t block, int64_t here, int64_t low, int64_t high)
{
    const int64_t run = of->run, before = low % run;
    for (int64_t row = 0; row < here; row++, found += LIST, factors += LIST) {
        const int64_t place = of->rows[block + row];
        int64_t count = 0;
        for (int64_t i = low, n = run - before; i < high; i += n, n = run) {
            n = n < high - i ? n : high - i;
            const int64_t start = place + of->places[i];
            if (values)
                FIND_SET(bits, start, n, i - low, 1, put_numbers(factors + count, word, values + start + at);)
            else
                FIND_SET(bits, start, n, i - low, 1)
        }
        counts[row] = (int32_t)count;
    }
}

#define ORDERED(TERM)                                                                                                  \
    {                                                                                                                  \
        const int64_t n = of->columns, all = of->stack * of->height;                                                   \
        const int64_t fit = NEAR / (4 * columns_beside(n)), some = fit < LISTED_TERMS ? fit : LISTED_TERMS;            \
        int32_t counts[LISTS];                                                                                         \
        for (int64_t column = 0, width; column < n; column += width) {                                                 \
            width = columns_beside(n - column);                                                                        \
            TERMS_OF(column, width)                                                                                    \
            if (lying && !lying->decoded)                                                                              \
                right_f32(terms, lying, 0, all, column, width);                                                        \
            for (int64_t j = 0; j < width; j++)                                                                        \
                terms[all * pitch + j] = -0.0f;                                                                        \
        }                                                                                                              \
        for (int64_t batch = 0; batch < of->stack; batch++)                                                            \
            for (int64_t low = 0, high; high = of->k - low < some ? of->k : low + some, low < high; low = high)        \
                for (int64_t block = 0, here; here = of->m - block < LISTS ? of->m - block : LISTS, here > 0; block += here) { \
                    const int32_t nothing = (int32_t)(all - batch * of->height - low);                                 \
                    list_rows(found, factors, counts, bits, values, of, batch * of->m + block, here, low, high);       \
                    for (int64_t column = 0, width; column < n; column += width) {                                     \
                        width = columns_beside(n - column);                                                            \
                        TERMS_OF(column, width)                                                                        \
                        const float *near = terms + (batch * of->height + low) * pitch;                                \
                        switch (width * 4 / VECTOR_BYTES) {                                                            \
                        case 1: LISTED(8, 1, TERM) break;                                                              \
                        case 2: LISTED(4, 2, TERM) break;                                                              \
                        case 3: LISTED(1, 3, TERM) break;                                                              \
                        case 4: LISTED(1, 4, TERM) break;                                                              \
                        case 5: LISTED(1, 5, TERM) break;                                                              \
                        case 6: LISTED(1, 6, TERM) break;                                                              \
                        case 7: LISTED(1, 7, TERM) break;                                                              \
                        default: LISTED(1, 8, TERM)                                                                    \
                        }                                                                                              \
                    }                                                                                                  \
                }                                                                                                      \
    }

static void ordered_bits(const struct lines *out, const uint8_t *bits, const float *values, float *words,
                         const struct halves *lying, const struct shape *of, int32_t *found, float *factors)
ORDERED(from[c])

static EXACT_PRODUCTS void ordered_fused(const struct lines *out, const uint8_t *bits, const float *values, float *words,
                                         const struct halves *lying, const struct shape *of, int32_t *found, float *factors)
ORDERED(factor[row][e] * from[c])

static void ordered_rounded(const struct lines *out, const uint8_t *bits, const float *values, float *words,
                            const struct halves *lying, const struct shape *of, int32_t *found, float *factors)
ORDERED(factor[row][e] * from[c])

static void events_f32(const struct lines *out, const uint8_t *bits, const float *values, float *words,
                       const struct halves *lying, const struct shape *of, int32_t *found, float *factors, int fused)
{
    (!values ? ordered_bits : fused ? ordered_fused : ordered_rounded)(out, bits, values, words, lying, of, found, factors);
}
