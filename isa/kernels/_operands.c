/* Operands of contractions, read where they lie: gathered, measured, and decoded into the words of a kernel. */

#include "_kernels.h"

/* Rows of n elements, *columns* apart (none: side by side), one behind the other, each filled up with zeros. */
#define GATHER(NAME, WORD)                                                                                             \
    void NAME(WORD *to, const WORD *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns,       \
              int64_t filled)                                                                                          \
    {                                                                                                                  \
        for (int64_t row = 0; row < count; row++, to += filled) {                                                      \
            const WORD *source = from + rows[row];                                                                     \
            if (!columns)                                                                                              \
                memcpy(to, source, n * sizeof(WORD));                                                                  \
            else                                                                                                       \
                for (int64_t j = 0; j < n; j++)                                                                        \
                    to[j] = source[columns[j]];                                                                        \
            memset(to + n, 0, (filled - n) * sizeof(WORD));                                                            \
        }                                                                                                              \
    }

GATHER(snnc_gather_1, uint8_t)
static GATHER(gather_2, uint16_t)
GATHER(snnc_gather_4, uint32_t)

#if defined(__GNUC__) && !defined(__clang__)
#define TURNED 8
typedef uint16_t eight __attribute__((vector_size(16), aligned(2), may_alias));

/* Eight elements side by side from each of eight columns, as eight rows: three times, each of the first four is interleaved
   with one of the others. */
static inline void turn(uint16_t *to, const uint16_t *from, const int64_t *columns, int64_t filled)
{
    eight all[8], turned[8];
    for (int c = 0; c < 8; c++)
        all[c] = *(const eight *)(from + columns[c]);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            turned[2 * i] = __builtin_shuffle(all[i], all[i + 4], (eight){0, 8, 1, 9, 2, 10, 3, 11});
            turned[2 * i + 1] = __builtin_shuffle(all[i], all[i + 4], (eight){4, 12, 5, 13, 6, 14, 7, 15});
        }
        memcpy(all, turned, sizeof all);
    }
    for (int r = 0; r < 8; r++)
        *(eight *)(to + r * filled) = all[r];
}
#else
#define TURNED 1
static inline void turn(uint16_t *to, const uint16_t *from, const int64_t *columns, int64_t filled)
{
    (void)filled;
    *to = from[*columns];
}
#endif

/* Weights as BP takes them stand side by side along columns: so many rows at a time. */
void snnc_gather_2(uint16_t *to, const uint16_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns,
                   int64_t filled)
{
    while (count > 0) {
        int64_t here = 1;
        while (here < TURNED && here < count && rows[here] == rows[0] + here)
            here++;
        if (columns && here == TURNED) {
            int64_t j = 0;
            for (; j + TURNED <= n; j += TURNED)
                turn(to + j, from + rows[0], columns + j, filled);
            for (int64_t row = 0; row < here; row++) {
                for (int64_t left = j; left < n; left++)
                    to[row * filled + left] = from[rows[row] + columns[left]];
                memset(to + row * filled + n, 0, (filled - n) * sizeof *to);
            }
        } else
            gather_2(to, from, rows, here, n, columns, filled);
        rows += here;
        count -= here;
        to += here * filled;
    }
}

/* The largest magnitude among f16, as its bits: from 0x7c00 on one of them is not finite. */
VERSIONS uint32_t snnc_most(const uint16_t *halves, int64_t count)
{
    uint16_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint16_t size = halves[i] & 0x7fff;
        most = size > most ? size : most;
    }
    return most;
}

VERSIONS int snnc_finite(const float *values, int64_t count)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, 4);
        bits &= 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return most < 0x7f800000u;
}

#define SOME 4096 /* elements that are looked at together */

#define THERE(WORD, MASK)                                                                                              \
    {                                                                                                                  \
        const WORD *element_at = (const WORD *)from + first;                                                           \
        for (int64_t i = 0; i < here; i++)                                                                             \
            out[i] = (element_at[i] & (WORD)(MASK)) != 0;                                                              \
    }

/* Which elements are not zero, as 1 (if anybody wants to know); how many. */
VERSIONS int64_t snnc_there(uint8_t *there, const void *from, int64_t element, int64_t count)
{
    int64_t all = 0;
    for (int64_t first = 0; first < count; first += SOME) {
        int64_t here = count - first < SOME ? count - first : SOME;
        uint8_t unwanted[SOME], *out = there ? there + first : unwanted;
        switch (element) {
        case SINGLES: THERE(uint32_t, 0x7fffffff) break;
        case BFLOATS:
        case HALVES: THERE(uint16_t, 0x7fff) break;
        case SIGNS: THERE(uint8_t, 1) break;
        default: THERE(uint8_t, 0xff)
        }
        uint32_t some = 0;
        for (int64_t i = 0; i < here; i++)
            some += out[i];
        all += some;
    }
    return all;
}

static inline float of_sign(uint8_t code) { return code & 1 ? code & 2 ? -1.0f : 1.0f : 0.0f; }

#define EACH(WORD, VALUE)                                                                                              \
    {                                                                                                                  \
        const WORD *element_at = (const WORD *)from;                                                                   \
        for (int64_t i = 0; i < count; i++)                                                                            \
            to[i] = VALUE;                                                                                             \
    }

VERSIONS void snnc_singles(float *to, const void *from, int64_t element, int64_t count)
{
    switch (element) {
    case SINGLES: memcpy(to, from, count * 4); break;
    case BFLOATS: EACH(uint16_t, of_bfloat(element_at[i])) break;
    case HALVES: EACH(uint16_t, of_half(element_at[i])) break;
    case SIGNS: EACH(uint8_t, of_sign(element_at[i])) break;
    default: EACH(uint8_t, (float)element_at[i])
    }
}

/* f16 in units of 2^-24, integers as they are. */
VERSIONS void snnc_units_f64(double *to, const void *from, int64_t element, int64_t count)
{
    switch (element) {
    case HALVES: EACH(uint16_t, (double)(of_half(element_at[i]) * 0x1p24f)) break;
    case SIGNS: EACH(uint8_t, (double)of_sign(element_at[i])) break;
    default: EACH(uint8_t, (double)element_at[i])
    }
}

/* f16 below 128 in units of 2^-24. */
VERSIONS void snnc_units_i32(int32_t *to, const uint16_t *from, int64_t count)
{
    EACH(uint16_t, (int32_t)(of_half(element_at[i]) * 0x1p24f))
}

/* Finite f16 in units of 2^-24. */
VERSIONS void snnc_units_i64(int64_t *to, const uint16_t *from, int64_t count)
{
    EACH(uint16_t, (int64_t)(of_half(element_at[i]) * 0x1p24f))
}

/* How often elements are used whose bits are set: once each, or as *weights* says, as many *planes*, each with as many
   words as *bits*, of the bits of these numbers. */
VERSIONS int64_t snnc_uses(const uint8_t *bits, int64_t count, const uint8_t *weights, int64_t planes)
{
    const int64_t words = (count + 63) / 64;
    int64_t all = 0;
    for (int64_t plane = 0; plane < (planes ? planes : 1); plane++)
        for (int64_t i = 0; i < words; i++) {
            uint64_t word, counted = ~0ull;
            memcpy(&word, bits + 8 * i, 8);
            if (planes)
                memcpy(&counted, weights + 8 * (plane * words + i), 8);
            all += (int64_t)__builtin_popcountll(word & counted) << plane;
        }
    return all;
}

/* Eight bytes side by side, each 0 or 1, as eight bits. */
static inline uint8_t bits_of(const uint8_t *bytes)
{
    uint64_t eight = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&eight, bytes, 8);
#else
    for (int b = 0; b < 8; b++)
        eight |= (uint64_t)bytes[b] << 8 * b;
#endif
    return (uint8_t)((eight * 0x0102040810204080ull) >> 56);
}

/* Packs bytes that are 0 or 1; *bits* has room for SPARE bytes more, which are read and mean nothing. */
void snnc_bits(uint8_t *bits, const uint8_t *there, int64_t count)
{
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        bits[i / 8] = bits_of(there + i);
    uint8_t last[8] = {0};
    memcpy(last, there + i, count - i);
    bits[i / 8] = bits_of(last);
    memset(bits + i / 8 + 1, 0, SPARE - 1);
}

/* At most eight bits from a place on; no byte is read that has none of them. */
static inline uint32_t few_bits(const uint8_t *from, int64_t place, int64_t n)
{
    const int64_t first = place >> 3, last = (place + n - 1) >> 3;
    const uint32_t both = from[first] | (uint32_t)from[last] << 8 * (last - first);
    return both >> (place & 7) & ((1u << n) - 1);
}

/* Rows of n bits, *columns* apart (none: side by side), one behind the other; *rows* are bits from *bit* on.  As behind
   `snnc_bits`, there are SPARE bytes more, of zeros. */
void snnc_gather_bits(uint8_t *to, const uint8_t *from, int64_t bit, const int64_t *rows, int64_t count, int64_t n,
                      const int64_t *columns)
{
    const int64_t all = count * n;
    if (!columns && !(n & 7)) {
        for (int64_t row = 0; row < count; row++, to += n / 8) {
            const int64_t place = bit + rows[row];
            if (place & 7)
                for (int64_t j = 0; j < n; j += 8)
                    to[j / 8] = (uint8_t)few_bits(from, place + j, 8);
            else
                memcpy(to, from + (place >> 3), n / 8);
        }
        memset(to, 0, SPARE);
        return;
    }
    memset(to, 0, all / 8 + SPARE);
    for (int64_t row = 0, at = 0; row < count; row++) {
        const int64_t place = bit + rows[row];
        for (int64_t j = 0, here; j < n; j += here, at += here) {
            here = columns ? 1 : n - j < 8 - (at & 7) ? n - j : 8 - (at & 7);
            to[at / 8] |= (uint8_t)(few_bits(from, place + (columns ? columns[j] : j), here) << (at & 7));
        }
    }
}

/* Eight codes of two or four bits, as eight bytes. */
static inline uint64_t spread_codes(uint64_t codes, int64_t width)
{
    if (width == 2) {
        codes = (codes | codes << 24) & 0x000000ff000000ffull;
        codes = (codes | codes << 12) & 0x000f000f000f000full;
        return (codes | codes << 6) & 0x0303030303030303ull;
    }
    codes = (codes | codes << 16) & 0x0000ffff0000ffffull;
    codes = (codes | codes << 8) & 0x00ff00ff00ff00ffull;
    return (codes | codes << 4) & 0x0f0f0f0f0f0f0f0full;
}

/* n codes side by side from a bit on, a byte each; no byte is read that has none of them. */
static inline void unpack_codes(uint8_t *to, const uint8_t *from, int64_t place, int64_t n, int64_t width)
{
    const int64_t shift = place & 7;
    int64_t j = 0;
    for (const uint8_t *at = from + (place >> 3); j + 8 <= n; j += 8, at += width) {
        uint64_t codes = 0, bytes;
        for (int64_t b = 0; b < width; b++)
            codes |= (uint64_t)at[b] << 8 * b;
        if (shift)
            codes |= (uint64_t)at[width] << 8 * width;
        bytes = spread_codes(codes >> shift & ((1ull << 8 * width) - 1), width);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        memcpy(to + j, &bytes, 8);
#else
        for (int b = 0; b < 8; b++)
            to[j + b] = (uint8_t)(bytes >> 8 * b);
#endif
    }
    for (; j < n; j++)
        to[j] = (uint8_t)few_bits(from, place + j * width, width);
}

/* Rows of n codes of *width* bits each, two or four, as bytes: *columns* apart (none: side by side), one behind the other;
   *rows* and *columns* are codes, from *bit* on. */
void snnc_gather_codes(uint8_t *to, const uint8_t *from, int64_t bit, const int64_t *rows, int64_t count, int64_t n,
                       const int64_t *columns, int64_t width)
{
    for (int64_t row = 0; row < count; row++, to += n) {
        const int64_t place = bit + rows[row] * width;
        if (columns)
            for (int64_t j = 0; j < n; j++)
                to[j] = (uint8_t)few_bits(from, place + columns[j] * width, width);
        else if (width == 2)
            unpack_codes(to, from, place, n, 2);
        else
            unpack_codes(to, from, place, n, 4);
    }
}
