/* Kernels of engines, compiled: the same sums, term by term, as the NumPy forms beside them in this folder.

   A sum of products is a stack of matrices, acc[b][m][n] += left[b][m][k] * right[b][k][n], k ascending.  acc and right
   are contiguous, n a multiple of LANES (the caller fills columns up).  left is a view: element [row][k] stands
   rows[row] + places[k] elements behind `left`, and `run` k side by side stand side by side there, too.  A left element
   that is zero adds nothing.

   Rows of few elements are driven by those (`EVENTS`, `TERMS`); rows of many, four at a time, by all of them (`ordered_*`), which
   is only right where a zero times right is a zero and no sum is a minus zero, so the caller must say so (`harmless`).
   Each returns how many left elements were not zero.
   No product is fused with a sum here but where products of two halves are exact, so that every host rounds alike: this
   file has to be compiled with -ffp-contract=off, as pyproject.toml says.

   Nothing of Python is in here: ctypes calls it, without the interpreter's lock. */

#include <stdint.h>
#include <string.h>

#include "_versions.h"

#define LANES 16
#define BLOCK (4 * LANES)

#if defined(__GNUC__) && !defined(__clang__)
#define EXACT_PRODUCTS __attribute__((optimize("fp-contract=fast")))
#else
#define EXACT_PRODUCTS
#endif

typedef float floats __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef double doubles __attribute__((vector_size(LANES * 8), aligned(8), may_alias));

/* Which version of a function the C library chooses here: 4 for AVX-512, 3 for AVX2, 0 for what every machine has. */
int snnc_vectors(void)
{
#if CHOOSES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return 3;
#endif
    return 0;
}

static inline float single_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* An f16: its exponent moves by 112, that of inf and NaN twice; subnormals are integers in units of 2^-24, since to
   multiply subnormal floats costs a hundred cycles. */
static inline float of_half(uint16_t half)
{
    uint32_t size = half & 0x7fffu, bits = (size << 13) + (112u << 23);
    bits += size >= 0x7c00u ? 112u << 23 : 0;
    float small = (float)(int32_t)size * 0x1p-24f;
    float value = size < 0x400u ? small : single_of_bits(bits);
    return half & 0x8000u ? -value : value;
}

static inline float of_bfloat(uint16_t half) { return single_of_bits((uint32_t)half << 16); }
static inline float of_single(float value) { return value; }

/* Of eight bytes side by side those that are not zero, as a bit each: bit 8 * b + 7 is that of byte b. */
static inline uint64_t filled_of(const uint8_t *bytes)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7full;
    uint64_t eight = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&eight, bytes, 8);
#else
    for (int b = 0; b < 8; b++)
        eight |= (uint64_t)bytes[b] << 8 * b;
#endif
    return (((eight & low) + low) | eight) & ~low;
}

/* The elements of a row of bytes that are not zero: where, and what they are.  Sets count, and ones: whether all are 1. */
#define FOUND(WORD)                                                                                                    \
    int64_t count = 0;                                                                                                 \
    int ones = 1;                                                                                                      \
    if (run < 8) {                                                                                                     \
        for (int64_t i = 0; i < k; i++) {                                                                              \
            uint8_t value = left[rows[row] + places[i]];                                                               \
            found[count] = (int32_t)i;                                                                                 \
            factors[count] = (WORD)value;                                                                              \
            ones &= value < 2;                                                                                         \
            count += value != 0;                                                                                       \
        }                                                                                                              \
    } else {                                                                                                           \
        for (int64_t first = 0; first < k; first += run) {                                                             \
            const uint8_t *l = left + rows[row] + places[first];                                                       \
            EACH_FILLED(found[count] = (int32_t)(first + j); factors[count] = (WORD)l[j]; ones &= l[j] == 1; count++;) \
        }                                                                                                              \
    }

/* Does something for every j < run whose byte l[j] is not zero. */
#define EACH_FILLED(...)                                                                                               \
    {                                                                                                                  \
        int64_t at = 0;                                                                                                \
        for (; at + 8 <= run; at += 8)                                                                                 \
            for (uint64_t there = filled_of(l + at); there; there &= there - 1) {                                      \
                int64_t j = at + (__builtin_ctzll(there) >> 3);                                                        \
                __VA_ARGS__                                                                                            \
            }                                                                                                          \
        for (; at < run; at++)                                                                                         \
            if (l[at]) {                                                                                               \
                int64_t j = at;                                                                                        \
                __VA_ARGS__                                                                                            \
            }                                                                                                          \
    }

#define SUM_OF(VECTOR, COLUMNS, TERM)                                                                                  \
    {                                                                                                                  \
        VECTOR *to = (VECTOR *)(out + column);                                                                         \
        VECTOR sum[COLUMNS];                                                                                           \
        for (int c = 0; c < COLUMNS; c++)                                                                              \
            sum[c] = to[c];                                                                                            \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            const VECTOR *from = (const VECTOR *)(r + found[i] * n + column);                                          \
            for (int c = 0; c < COLUMNS; c++)                                                                          \
                sum[c] += TERM;                                                                                        \
        }                                                                                                              \
        for (int c = 0; c < COLUMNS; c++)                                                                              \
            to[c] = sum[c];                                                                                            \
    }

/* One row of sums: those of its elements that are not zero, block of columns by block. */
#define ROW_OF_EVENTS(VECTOR)                                                                                          \
    for (int64_t column = 0; column < n;) {                                                                            \
        if (column + BLOCK <= n) {                                                                                     \
            if (ones)                                                                                                  \
                SUM_OF(VECTOR, 4, from[c])                                                                             \
            else                                                                                                       \
                SUM_OF(VECTOR, 4, factors[i] * from[c])                                                                \
            column += BLOCK;                                                                                           \
        } else {                                                                                                       \
            if (ones)                                                                                                  \
                SUM_OF(VECTOR, 1, from[c])                                                                             \
            else                                                                                                       \
                SUM_OF(VECTOR, 1, factors[i] * from[c])                                                                \
            column += LANES;                                                                                           \
        }                                                                                                              \
    }

/* Sums driven by bytes that are not zero.  found and factors have room for k. */
#define EVENTS(NAME, WORD, VECTOR)                                                                                     \
    VERSIONS int64_t NAME(WORD *acc, const uint8_t *left, const int64_t *rows, const int64_t *places, int64_t run,        \
                       const WORD *right, int64_t stack, int64_t m, int64_t k, int64_t n, int32_t *found,              \
                       WORD *factors)                                                                                  \
    {                                                                                                                  \
        int64_t all = 0;                                                                                               \
        for (int64_t row = 0; row < stack * m; row++) {                                                                \
            const WORD *r = right + row / m * k * n;                                                                   \
            WORD *out = acc + row * n;                                                                                 \
            FOUND(WORD)                                                                                                \
            ROW_OF_EVENTS(VECTOR)                                                                                      \
            all += count;                                                                                              \
        }                                                                                                              \
        return all;                                                                                                    \
    }

/* The same, one term of all sums after the other: for a left operand whose rows, *run* at a time, stand side by side. */
#define TERMS(NAME, WORD, VECTOR)                                                                                      \
    VERSIONS int64_t NAME(WORD *acc, const uint8_t *left, const int64_t *rows, const int64_t *places, int64_t run,     \
                          const WORD *right, int64_t stack, int64_t m, int64_t k, int64_t n)                           \
    {                                                                                                                  \
        int64_t all = 0;                                                                                               \
        for (int64_t term = 0; term < stack * k; term++) {                                                             \
            int64_t batch = term / k;                                                                                  \
            const VECTOR *from = (const VECTOR *)(right + term * n);                                                   \
            for (int64_t first = 0; first < m; first += run) {                                                         \
                const uint8_t *l = left + rows[batch * m + first] + places[term - batch * k];                          \
                WORD *out = acc + (batch * m + first) * n;                                                             \
                EACH_FILLED(                                                                                           \
                    VECTOR *to = (VECTOR *)(out + j * n); WORD factor = (WORD)l[j]; all++;                             \
                    if (factor == 1) for (int64_t c = 0; c < n / LANES; c++) to[c] += from[c];                         \
                    else for (int64_t c = 0; c < n / LANES; c++) to[c] += factor * from[c];)                           \
            }                                                                                                          \
        }                                                                                                              \
        return all;                                                                                                    \
    }

EVENTS(snnc_events_f32, float, floats)
EVENTS(snnc_events_f64, double, doubles)
TERMS(snnc_terms_f32, float, floats)
TERMS(snnc_terms_f64, double, doubles)

#define ROWS 4
#define WIDE 2

/* Sums of floats in f32.  values has room for ROWS * k, found and factors for k. */
#define ORDERED(NAME, ELEMENT, OF, PRODUCTS)                                                                           \
    VERSIONS PRODUCTS int64_t NAME(float *acc, const ELEMENT *left, const int64_t *rows, const int64_t *places,           \
                                int64_t run, const float *right, int64_t stack, int64_t m, int64_t k, int64_t n,       \
                                int32_t *found, float *factors, float *values, int32_t harmless)                       \
    {                                                                                                                  \
        int64_t all = 0;                                                                                               \
        (void)run;                                                                                                     \
        for (int64_t batch = 0; batch < stack; batch++) {                                                              \
            const float *r = right + batch * k * n;                                                                    \
            for (int64_t first = 0; first < m; first += ROWS) {                                                        \
                int64_t here = m - first < ROWS ? m - first : ROWS, filled = 0;                                        \
                for (int64_t at = 0; at < here; at++) {                                                                \
                    const ELEMENT *l = left + rows[batch * m + first + at];                                            \
                    for (int64_t i = 0; i < k; i++) {                                                                  \
                        float value = OF(l[places[i]]);                                                                \
                        values[at * k + i] = value;                                                                    \
                        filled += value != 0;                                                                          \
                    }                                                                                                  \
                }                                                                                                      \
                all += filled;                                                                                         \
                float *out = acc + (batch * m + first) * n;                                                            \
                if (harmless && here == ROWS && filled * 3 > ROWS * k) {                                               \
                    int64_t column = 0;                                                                                \
                    for (; column + WIDE * LANES <= n; column += WIDE * LANES)                                         \
                        PANEL(WIDE)                                                                                    \
                    for (; column < n; column += LANES)                                                                \
                        PANEL(1)                                                                                       \
                    continue;                                                                                          \
                }                                                                                                      \
                for (int64_t at = 0; at < here; at++, out += n) {                                                      \
                    const int ones = 0;                                                                                \
                    int64_t count = 0;                                                                                 \
                    for (int64_t i = 0; i < k; i++) {                                                                  \
                        found[count] = (int32_t)i;                                                                     \
                        factors[count] = values[at * k + i];                                                           \
                        count += values[at * k + i] != 0;                                                              \
                    }                                                                                                  \
                    ROW_OF_EVENTS(floats)                                                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return all;                                                                                                    \
    }

#define PANEL(COLUMNS)                                                                                                 \
    {                                                                                                                  \
        floats sum[ROWS][COLUMNS];                                                                                     \
        for (int at = 0; at < ROWS; at++)                                                                              \
            for (int c = 0; c < COLUMNS; c++)                                                                          \
                sum[at][c] = ((floats *)(out + at * n + column))[c];                                                   \
        for (int64_t i = 0; i < k; i++) {                                                                              \
            const floats *from = (const floats *)(r + i * n + column);                                                 \
            for (int at = 0; at < ROWS; at++)                                                                          \
                for (int c = 0; c < COLUMNS; c++)                                                                      \
                    sum[at][c] += values[at * k + i] * from[c];                                                        \
        }                                                                                                              \
        for (int at = 0; at < ROWS; at++)                                                                              \
            for (int c = 0; c < COLUMNS; c++)                                                                          \
                ((floats *)(out + at * n + column))[c] = sum[at][c];                                                   \
    }

ORDERED(snnc_ordered_f16, uint16_t, of_half, )
ORDERED(snnc_ordered_f16_f16, uint16_t, of_half, EXACT_PRODUCTS)
ORDERED(snnc_ordered_bf16, uint16_t, of_bfloat, )
ORDERED(snnc_ordered_f32, float, of_single, )
