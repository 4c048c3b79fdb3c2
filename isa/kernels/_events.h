/* Sums that are driven by the elements of the left operand that are not zero: exact ones, and what finds elements for others. */

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

#define LEAST_TERMS 192 /* that a row goes over together: to begin and to end costs as much as some of them */

/* All rows of one of the stack for some of the terms, `low` to `high`, of which the right operand stays near. */
#define EACH_NEAR_ROW(WORD)                                                                                            \
    const int64_t fit = NEAR / (n * (int64_t)sizeof(WORD)), least = fit < LEAST_TERMS ? LEAST_TERMS : fit;             \
    const int64_t parts = (of->run + least - 1) / least;                                                               \
    const int64_t some = parts > 1 ? (of->run + parts - 1) / parts : fit / of->run > 1 ? fit / of->run * of->run : of->run; \
    for (int64_t batch = 0; batch < of->stack; batch++)                                                                \
        for (int64_t low = 0, high; high = of->k - low < some ? of->k : low + some, low < high; low = high)            \
            for (int64_t row = batch * of->m; row < (batch + 1) * of->m; row++)

#if VECTOR_BYTES == 64
#include <immintrin.h>
#define FOUND_TOGETHER 16
#define LISTED_BITS 16

/* The bits of a word that are set, in units of *step* from the `first` on; behind them is written, too. */
INLINE void put_found(int32_t *found, uint64_t word, int32_t first, int32_t step)
{
    const __m512i ascending = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i apart = _mm512_mullo_epi32(ascending, _mm512_set1_epi32(step)); /* the same for all words */
    const __m512i numbers = _mm512_add_epi32(apart, _mm512_set1_epi32(first * step));
    _mm512_storeu_si512(found, _mm512_maskz_compress_epi32((__mmask16)word, numbers));
}

/* The numbers whose bits are set. */
INLINE void put_numbers(float *found, uint64_t word, const float *from)
{
    _mm512_storeu_ps(found, _mm512_maskz_compress_ps((__mmask16)word, _mm512_loadu_ps(from)));
}
#else
#define FOUND_TOGETHER WORD_BITS
#define LISTED_BITS 32

/* Four at a time, so that few branches depend on them. */
INLINE void put_found(int32_t *found, uint64_t word, int32_t first, int32_t step)
{
    for (int count = __builtin_popcountll(word); count > 0; count -= 4)
        for (int c = 0; c < 4; c++, word &= word - 1)
            *found++ = (first + __builtin_ctzll(word | 1ull << 63)) * step;
}

INLINE void put_numbers(float *found, uint64_t word, const float *from)
{
    for (; word; word &= word - 1)
        *found++ = from[__builtin_ctzll(word)];
}
#endif

/* Those of *run* bits from `start` on that are set, in units of STEP from FIRST on: found[] from `count` on.  What else is
   wanted of each word may stand behind. */
#define FIND_SET(BITS, START, RUN, FIRST, STEP, ...)                                                                   \
    for (int64_t at = 0; at < (RUN); at += FOUND_TOGETHER) {                                                           \
        const int64_t left = (RUN) - at;                                                                               \
        const uint64_t word = bits_at(BITS, (START) + at, left < FOUND_TOGETHER ? left : FOUND_TOGETHER);              \
        put_found(found + count, word, (int32_t)((FIRST) + at), (int32_t)(STEP));                                      \
        __VA_ARGS__                                                                                                    \
        count += __builtin_popcountll(word);                                                                           \
    }

/* Lists the bits of a box that are set: of windows that overlap, each is found once.  Where the parts of 64 bits go is known
   at once, so that none waits for the one before. */
static void list_set(const struct set_bits *of, int64_t length)
{
    int64_t count = 0;
    for (int64_t at = 0; at <= length; at += 64) {
        const int64_t left = length - at, low = left < 32 ? left : 32, high = left < 64 ? left - low : 32;
        const uint64_t word = bits_at(of->bits, at, low) | bits_at(of->bits, at + 32, high) << 32;
        of->before[at / 64] = (int32_t)count;
        for (int part = 0; part < 64; part += LISTED_BITS) {
            const int64_t before = __builtin_popcountll(word & ((1ull << part) - 1));
            put_found(of->places + count + before, word >> part & ((1ull << LISTED_BITS) - 1), (int32_t)at + part, 1);
        }
        count += __builtin_popcountll(word);
    }
}

/* How many bits are set before a place. */
INLINE int64_t set_before(const struct set_bits *of, int64_t place)
{
    const int64_t word = place / 64, low = place % 64 / 32 * 32;
    uint64_t some = bits_at(of->bits, 64 * word + low, place % 32);
    if (low)
        some |= bits_at(of->bits, 64 * word, 32) << 32;
    return of->before[word] + __builtin_popcountll(some);
}

/* The elements of a row that are not zero: `count` of them, list[], which are terms when *moved* is added.  Those of one run
   are listed already, others are brought together.  What else is wanted of `some` of them from the `first` of all on may stand
   behind. */
#define FIND_LISTED(...)                                                                                               \
    const int32_t *list = found;                                                                                       \
    int64_t count = 0, moved = 0;                                                                                      \
    for (int64_t i = low, here, in_run = of->run - low % of->run; i < high; i += here, in_run = of->run) {             \
        here = in_run < high - i ? in_run : high - i;                                                                  \
        const int64_t start = of->rows[row] + of->places[i];                                                           \
        const int64_t first = set_before(set, start), some = set_before(set, start + here) - first;                    \
        if (here == high - low) {                                                                                      \
            list = set->places + first;                                                                                \
            moved = i - start;                                                                                         \
        } else {                                                                                                       \
            const ints step = (ints){0} + (int32_t)(i - start);                                                        \
            for (int64_t e = 0; e < some; e += VECTOR_BYTES / 4)                                                       \
                *(ints *)(found + count + e) = *(const ints *)(set->places + first + e) + step;                        \
        }                                                                                                              \
        __VA_ARGS__                                                                                                    \
        count += some;                                                                                                 \
    }

#define FIND FIND_LISTED()

/* The same, and what they are. */
#define FIND_FACTORS                                                                                                   \
    FIND_LISTED(for (int64_t e = 0; e < some; e++) factors[count + e] = values[set->places[first + e]];)

/* So many vectors of columns at a time that all are about as many: sums wait for each other where they are few. */
#define ALL_COLUMNS(WORD, SUM, ...)                                                                                    \
    for (int64_t column = 0; column < n;) {                                                                            \
        const int64_t left = (n - column) * (int64_t)sizeof(WORD) / VECTOR_BYTES, parts = (left + 7) / 8;              \
        switch ((left + parts - 1) / parts) {                                                                          \
        case 1: SUM(1, __VA_ARGS__) break;                                                                             \
        case 2: SUM(2, __VA_ARGS__) break;                                                                             \
        case 3: SUM(3, __VA_ARGS__) break;                                                                             \
        case 4: SUM(4, __VA_ARGS__) break;                                                                             \
        case 5: SUM(5, __VA_ARGS__) break;                                                                             \
        case 6: SUM(6, __VA_ARGS__) break;                                                                             \
        case 7: SUM(7, __VA_ARGS__) break;                                                                             \
        default: SUM(8, __VA_ARGS__)                                                                                   \
        }                                                                                                              \
    }

/* One of the terms that were found. */
#define ADD_FOUND(COUNT, VECTOR, SUM, NUMBER, TERM)                                                                    \
    {                                                                                                                  \
        const int64_t e = NUMBER;                                                                                      \
        const VECTOR *from = (const VECTOR *)(r + list[e] * n + column);                                               \
        for (int c = 0; c < COUNT; c++)                                                                                \
            SUM[c] += TERM;                                                                                            \
    }

/* Exact sums of COUNT vectors of columns: `begin` to `until` of the terms that were found, then widened.  In any order, so
   there are several sums of each column where columns are few, which do not wait for each other. */
#define EXACT(COUNT, WORD, VECTOR, TERM)                                                                               \
    {                                                                                                                  \
        enum { APART = (COUNT) > 4 ? 1 : (COUNT) > 2 ? 2 : 4 };                                                        \
        VECTOR sums_of[APART][COUNT], *sum = sums_of[0];                                                               \
        memset(sums_of, 0, sizeof sums_of);                                                                            \
        int64_t first = begin;                                                                                         \
        for (; first + APART <= until; first += APART)                                                                 \
            for (int apart = 0; apart < APART; apart++)                                                                \
                ADD_FOUND(COUNT, VECTOR, sums_of[apart], first + apart, TERM)                                          \
        for (; first < until; first++)                                                                                 \
            ADD_FOUND(COUNT, VECTOR, sum, first, TERM)                                                                 \
        for (int apart = 1; apart < APART; apart++)                                                                    \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[c] += sums_of[apart][c];                                                                           \
        enum { COLUMNS = (COUNT) * (int)(VECTOR_BYTES / sizeof(WORD)) };                                               \
        WORD part[COLUMNS];                                                                                            \
        memcpy(part, sum, sizeof part);                                                                                \
        int64_t *to = out + column;                                                                                    \
        if (low + begin)                                                                                               \
            for (int c = 0; c < COLUMNS; c++)                                                                          \
                to[c] += (int64_t)part[c];                                                                             \
        else                                                                                                           \
            for (int c = 0; c < COLUMNS; c++)                                                                          \
                to[c] = (int64_t)part[c];                                                                              \
        column += COLUMNS;                                                                                             \
    }

#define EXACT_ROWS(WORD, VECTOR, FOUND, TERM)                                                                          \
    {                                                                                                                  \
        const int64_t n = of->columns;                                                                                 \
        EACH_NEAR_ROW(WORD) {                                                                                          \
            int64_t *out = sums + row * n;                                                                             \
            FOUND                                                                                                      \
            const WORD *r = right + (batch * of->height + moved) * n;                                                  \
            int64_t begin = 0;                                                                                         \
            do {                                                                                                       \
                int64_t until = count - begin < chunk ? count : begin + chunk;                                         \
                ALL_COLUMNS(WORD, EXACT, WORD, VECTOR, TERM)                                                           \
                begin = until;                                                                                         \
            } while (begin < count);                                                                                   \
        }                                                                                                              \
    }

static void events_i32(int64_t *sums, const struct set_bits *set, const int32_t *right, const struct shape *of, int32_t *found,
                     int64_t chunk)
EXACT_ROWS(int32_t, ints, FIND, from[c])

static void events_i64(int64_t *sums, const struct set_bits *set, const int64_t *right, const struct shape *of, int32_t *found)
{
    const int64_t chunk = of->k;
    EXACT_ROWS(int64_t, longs, FIND, from[c])
}

static EXACT_PRODUCTS void events_f64(int64_t *sums, const struct set_bits *set, const double *values, const double *right,
                                    const struct shape *of, int32_t *found, double *factors, int64_t chunk)
EXACT_ROWS(double, doubles, FIND_FACTORS, factors[e] * from[c])

/* The same, one term of all sums after the other: for a left operand whose rows, *rows_run* at a time, stand side by side. */
#define TERM(WORD, VECTOR, SUMS, ADD)                                                                                  \
    {                                                                                                                  \
        const VECTOR *from = (const VECTOR *)(right + (batch * of->height + i) * n);                                   \
        const int64_t run = of->rows_run, vectors = n * (int64_t)sizeof(WORD) / (int64_t)sizeof(VECTOR);               \
        for (int64_t first = 0; first < of->m; first += run) {                                                         \
            int64_t start = of->rows[batch * of->m + first] + of->places[i];                                           \
            WORD *out = (SUMS) + first * n;                                                                            \
            EACH_SET(VECTOR *to = (VECTOR *)(out + j * n); for (int64_t c = 0; c < vectors; c++) to[c] += ADD;)        \
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
