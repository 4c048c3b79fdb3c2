/* Sums that are driven by the elements of the left operand that are not zero. */

#define WORD_BITS 56 /* so many can be had at any place by one read */

/* `length` bits from a place on. */
static inline uint64_t bits_at(const uint8_t *bits, int64_t place, int64_t length)
{
    uint64_t word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&word, bits + (place >> 3), 8);
#else
    for (int b = 0; b < 8; b++)
        word |= (uint64_t)bits[(place >> 3) + b] << 8 * b;
#endif
    return (word >> (place & 7)) & ((1ull << length) - 1);
}

/* Does something for every j < run whose bit, start + j, is set. */
#define EACH_SET(...)                                                                                                  \
    for (int64_t at = 0; at < run; at += WORD_BITS) {                                                                  \
        uint64_t word = bits_at(bits, start + at, run - at < WORD_BITS ? run - at : WORD_BITS);                        \
        for (; word; word &= word - 1) {                                                                               \
            int64_t j = at + __builtin_ctzll(word);                                                                    \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

/* The elements of a row that are not zero: `count` of them, found[] of k.  Four are written at a time, so that few branches
   depend on them: there is room for three more. */
#define FIND                                                                                                           \
    int64_t count = 0;                                                                                                 \
    for (int64_t first = 0, run = of->run; first < of->k; first += run) {                                              \
        const int64_t start = of->rows[row] + of->places[first];                                                       \
        for (int64_t at = 0; at < run; at += WORD_BITS) {                                                              \
            uint64_t word = bits_at(bits, start + at, run - at < WORD_BITS ? run - at : WORD_BITS);                    \
            const int64_t until = count + __builtin_popcountll(word);                                                  \
            for (; count < until; count += 4)                                                                          \
                for (int c = 0; c < 4; c++, word &= word - 1)                                                          \
                    found[count + c] = (int32_t)(first + at) + __builtin_ctzll(word | 1ull << 63);                     \
            count = until;                                                                                             \
        }                                                                                                              \
    }

/* The same, and what they are. */
#define FIND_FACTORS                                                                                                   \
    FIND                                                                                                               \
    for (int64_t e = 0; e < count; e++)                                                                                \
        factors[e] = values[of->rows[row] + of->places[found[e]]];

/* f32: one term after the other, k ascending. */
#define ORDERED(COLUMNS, TERM)                                                                                         \
    {                                                                                                                  \
        floats *to = (floats *)(out + column);                                                                         \
        floats sum[COLUMNS];                                                                                           \
        for (int c = 0; c < COLUMNS; c++)                                                                              \
            sum[c] = to[c];                                                                                            \
        for (int64_t e = 0; e < count; e++) {                                                                          \
            const floats *from = (const floats *)(r + found[e] * n + column);                                          \
            for (int c = 0; c < COLUMNS; c++)                                                                          \
                sum[c] += TERM;                                                                                        \
        }                                                                                                              \
        for (int c = 0; c < COLUMNS; c++)                                                                              \
            to[c] = sum[c];                                                                                            \
        column += (COLUMNS) * (VECTOR_BYTES / 4);                                                                                     \
    }

static void events_f32(float *sums, const uint8_t *bits, const float *values, const float *right, const struct shape *of,
                     int32_t *found, float *factors)
{
    const int64_t n = of->columns;
    for (int64_t row = 0; row < of->stack * of->m; row++) {
        const float *r = right + row / of->m * of->height * n;
        float *out = sums + row * n;
        if (values) {
            FIND_FACTORS
            for (int64_t column = 0; column < n;)
                if (column + WIDE * (int64_t)(VECTOR_BYTES / 4) <= n)
                    ORDERED(WIDE, factors[e] * from[c])
                else
                    ORDERED(LANES * 4 / VECTOR_BYTES, factors[e] * from[c])
        } else {
            FIND
            for (int64_t column = 0; column < n;)
                if (column + WIDE * (int64_t)(VECTOR_BYTES / 4) <= n)
                    ORDERED(WIDE, from[c])
                else
                    ORDERED(LANES * 4 / VECTOR_BYTES, from[c])
        }
    }
}

/* Exact sums of COUNT vectors of columns: `from` to `until` of the terms that were found, then widened. */
#define EXACT(WORD, VECTOR, COUNT, TERM)                                                                               \
    {                                                                                                                  \
        VECTOR sum[COUNT];                                                                                             \
        memset(sum, 0, sizeof sum);                                                                                    \
        for (int64_t e = begin; e < until; e++) {                                                                      \
            const VECTOR *from = (const VECTOR *)(r + found[e] * n + column);                                          \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[c] += TERM;                                                                                        \
        }                                                                                                              \
        enum { COLUMNS = (COUNT) * (int)(VECTOR_BYTES / sizeof(WORD)) };                                                            \
        WORD part[COLUMNS];                                                                                            \
        memcpy(part, sum, sizeof sum);                                                                                 \
        int64_t *to = out + column;                                                                                    \
        if (begin)                                                                                                     \
            for (int c = 0; c < COLUMNS; c++)                                                 \
                to[c] += (int64_t)part[c];                                                                             \
        else                                                                                                           \
            for (int c = 0; c < COLUMNS; c++)                                                 \
                to[c] = (int64_t)part[c];                                                                              \
        column += COLUMNS;                                                                \
    }

#define EXACT_ROWS(WORD, VECTOR, FOUND, TERM)                                                                           \
    {                                                                                                                  \
        const int64_t n = of->columns, wide = WIDE * (int64_t)(sizeof(VECTOR) / sizeof(WORD));                            \
        for (int64_t row = 0; row < of->stack * of->m; row++) {                                                        \
            const WORD *r = right + row / of->m * of->height * n;                                                           \
            int64_t *out = sums + row * n;                                                                             \
            FOUND                                                                                                \
            int64_t begin = 0;                                                                                         \
            do {                                                                                                       \
                int64_t until = count - begin < chunk ? count : begin + chunk;                                         \
                for (int64_t column = 0; column < n;)                                                                  \
                    if (column + wide <= n)                                                                            \
                        EXACT(WORD, VECTOR, WIDE, TERM)                                                                   \
                    else                                                                                               \
                        EXACT(WORD, VECTOR, (int)(LANES * sizeof(WORD) / sizeof(VECTOR)), TERM)                        \
                begin = until;                                                                                         \
            } while (begin < count);                                                                                   \
        }                                                                                                              \
    }

static void events_i32(int64_t *sums, const uint8_t *bits, const int32_t *right, const struct shape *of, int32_t *found,
                     int64_t chunk)
EXACT_ROWS(int32_t, ints, FIND, from[c])

static void events_i64(int64_t *sums, const uint8_t *bits, const int64_t *right, const struct shape *of, int32_t *found)
{
    const int64_t chunk = of->k;
    EXACT_ROWS(int64_t, longs, FIND, from[c])
}

static EXACT_PRODUCTS void events_f64(int64_t *sums, const uint8_t *bits, const double *values, const double *right,
                                    const struct shape *of, int32_t *found, double *factors, int64_t chunk)
EXACT_ROWS(double, doubles, FIND_FACTORS, factors[e] * from[c])

/* The same, one term of all sums after the other: for a left operand whose rows, *rows_run* at a time, stand side by side. */
#define TERM(WORD, VECTOR, SUMS, ADD)                                                                                  \
    {                                                                                                                  \
        const VECTOR *from = (const VECTOR *)(right + (batch * of->height + i) * n);                                        \
        const int64_t run = of->rows_run, vectors = n * (int64_t)sizeof(WORD) / (int64_t)sizeof(VECTOR);               \
        for (int64_t first = 0; first < of->m; first += run) {                                                         \
            int64_t start = of->rows[batch * of->m + first] + of->places[i];                                           \
            WORD *out = (SUMS) + first * n;                                                                            \
            EACH_SET(VECTOR *to = (VECTOR *)(out + j * n); for (int64_t c = 0; c < vectors; c++) to[c] += ADD;)     \
        }                                                                                                              \
    }

static void terms_f32(float *sums, const uint8_t *bits, const float *values, const float *right, const struct shape *of)
{
    const int64_t n = of->columns;
    for (int64_t batch = 0; batch < of->stack; batch++)
        for (int64_t i = 0; i < of->k; i++)
            if (values)
                TERM(float, floats, sums + batch * of->m * n, values[start + j] * from[c])
            else
                TERM(float, floats, sums + batch * of->m * n, from[c])
}

/* *part* has room for the sums of one of the stack. */
static void terms_i32(int64_t *sums, const uint8_t *bits, const int32_t *right, const struct shape *of, int32_t *part,
                    int64_t chunk)
{
    const int64_t n = of->columns, all = of->m * n;
    for (int64_t batch = 0; batch < of->stack; batch++, sums += all) {
        for (int64_t begin = 0; begin < of->k; begin += chunk) {
            memset(part, 0, all * sizeof *part);
            for (int64_t i = begin; i < of->k && i < begin + chunk; i++)
                TERM(int32_t, ints, part, from[c])
            if (begin)
                for (int64_t i = 0; i < all; i++)
                    sums[i] += part[i];
            else
                for (int64_t i = 0; i < all; i++)
                    sums[i] = part[i];
        }
    }
}

static void terms_i64(int64_t *sums, const uint8_t *bits, const int64_t *right, const struct shape *of)
{
    const int64_t n = of->columns;
    memset(sums, 0, of->stack * of->m * n * sizeof *sums);
    for (int64_t batch = 0; batch < of->stack; batch++)
        for (int64_t i = 0; i < of->k; i++)
            TERM(int64_t, longs, sums + batch * of->m * n, from[c])
}
