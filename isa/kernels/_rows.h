/* Rows of f16, read where they lie and decoded as they are read; bits as numbers.

   Where the machine converts halves, a signalling NaN becomes a quiet one: kernels keep no payload. */

#if VECTOR_BYTES > 16
#include <immintrin.h>
#endif

/* LANES of them. */
INLINE void decode_lanes(float *to, const uint16_t *from)
{
#if VECTOR_BYTES == 64
    _mm512_storeu_ps(to, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from)));
#elif VECTOR_BYTES == 32
    for (int half = 0; half < LANES; half += 8)
        _mm256_storeu_ps(to + half, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + half))));
#else
    for (int lane = 0; lane < LANES; lane++)
        to[lane] = of_half(from[lane]);
#endif
}

static void decode(float *to, const uint16_t *from, int64_t n)
{
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        decode_lanes(to + j, from + j);
    for (; j < n; j++)
        to[j] = of_half(from[j]);
}

#define TURNED 8 /* rows that are read together, where columns hold them side by side */

#if VECTOR_BYTES == 64
#define SQUARES 4
typedef __m512i squares;
#define HALVES_OF(INTERLEAVED) _mm512_unpack##INTERLEAVED##_epi16
INLINE squares beside(const uint16_t *from, const int64_t *columns)
{
    __m512i all = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(from + columns[0])));
    all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(from + columns[8])), 1);
    all = _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(from + columns[16])), 2);
    return _mm512_inserti32x4(all, _mm_loadu_si128((const __m128i *)(from + columns[24])), 3);
}
#elif VECTOR_BYTES == 32
#define SQUARES 2
typedef __m256i squares;
#define HALVES_OF(INTERLEAVED) _mm256_unpack##INTERLEAVED##_epi16
INLINE squares beside(const uint16_t *from, const int64_t *columns)
{
    const __m256i all = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(from + columns[0])));
    return _mm256_inserti128_si256(all, _mm_loadu_si128((const __m128i *)(from + columns[8])), 1);
}
#else
#define decode_turned(...) 0
#endif

#ifdef SQUARES
/* Eight elements side by side of each of 8 * SQUARES columns become eight rows: three times, each of the first four
   vectors is interleaved with one of the others.  How many columns were read. */
INLINE int64_t decode_turned(float *to, const uint16_t *from, int64_t n, const int64_t *columns, int64_t filled)
{
    int64_t j = 0;
    for (; j + TURNED * SQUARES <= n; j += TURNED * SQUARES) {
        squares all[TURNED], turned[TURNED];
        for (int c = 0; c < TURNED; c++)
            all[c] = beside(from, columns + j + c);
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < TURNED / 2; i++) {
                turned[2 * i] = HALVES_OF(lo)(all[i], all[i + TURNED / 2]);
                turned[2 * i + 1] = HALVES_OF(hi)(all[i], all[i + TURNED / 2]);
            }
            memcpy(all, turned, sizeof all);
        }
        for (int r = 0; r < TURNED; r++)
            for (int part = 0; part < TURNED * SQUARES; part += LANES)
                decode_lanes(to + r * filled + j + part, (const uint16_t *)&all[r] + part);
    }
    return j;
}
#endif

/* Rows of n halves, *columns* apart (none: side by side), each filled up with zeros. */
static void halves_f32(float *to, const uint16_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns,
                       int64_t filled)
{
    for (int64_t row = 0; row < count;) {
        int64_t here = 1, done = 0;
        while (columns && here < TURNED && row + here < count && rows[row + here] == rows[row] + here)
            here++;
        if (columns && here == TURNED)
            done = decode_turned(to, from + rows[row], n, columns, filled);
        for (int64_t end = row + here; row < end; row++, to += filled) {
            const uint16_t *source = from + rows[row];
            if (!columns)
                decode(to, source, n);
            else
                for (int64_t j = done; j < n; j++)
                    to[j] = of_half(source[columns[j]]);
            memset(to + n, 0, (filled - n) * sizeof *to);
        }
    }
}

/* Bits from a place on as numbers; LANES and fewer behind them are written, too. */
#define NUMBERS_OF_BITS(NAME, TYPE, VECTOR, WHOLE)                                                                     \
    INLINE void NAME(TYPE *to, const uint8_t *bits, int64_t start, int64_t count)                                      \
    {                                                                                                                  \
        enum { COUNT = VECTOR_BYTES / sizeof(TYPE) };                                                                  \
        WHOLE one_at, ones;                                                                                            \
        for (int lane = 0; lane < COUNT; lane++)                                                                       \
            one_at[lane] = 1 << lane;                                                                                  \
        const VECTOR one = (VECTOR){0} + 1;                                                                            \
        memcpy(&ones, &one, sizeof ones);                                                                              \
        for (int64_t i = 0; i < count; i += COUNT) {                                                                   \
            const int32_t some = (int32_t)bits_at(bits, start + i, COUNT);                                             \
            *(WHOLE *)(to + i) = ((((WHOLE){0} + some) & one_at) == one_at) & ones;                                    \
        }                                                                                                              \
    }
NUMBERS_OF_BITS(numbers_f32, float, floats, ints)
NUMBERS_OF_BITS(numbers_f64, double, doubles, longs)

static void bits_f32(float *to, const uint8_t *bits, int64_t count) { numbers_f32(to, bits, 0, count); }
static void bits_f64(double *to, const uint8_t *bits, int64_t count) { numbers_f64(to, bits, 0, count); }
