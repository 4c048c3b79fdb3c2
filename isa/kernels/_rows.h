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
/* Eight by eight elements are turned: three times, each of the first four vectors is interleaved with one of the others. */
#define TURN(ALL, ROOM)                                                                                                \
    for (int round = 0; round < 3; round++) {                                                                          \
        for (int i = 0; i < TURNED / 2; i++) {                                                                         \
            ROOM[2 * i] = HALVES_OF(lo)(ALL[i], ALL[i + TURNED / 2]);                                                  \
            ROOM[2 * i + 1] = HALVES_OF(hi)(ALL[i], ALL[i + TURNED / 2]);                                              \
        }                                                                                                              \
        memcpy(ALL, ROOM, sizeof ALL);                                                                                 \
    }

/* Eight elements side by side of each of 8 * SQUARES columns become eight rows.  How many columns were read. */
INLINE int64_t decode_turned(float *to, const uint16_t *from, int64_t n, const int64_t *columns, int64_t filled)
{
    int64_t j = 0;
    for (; j + TURNED * SQUARES <= n; j += TURNED * SQUARES) {
        squares all[TURNED], turned[TURNED];
        for (int c = 0; c < TURNED; c++)
            all[c] = beside(from, columns + j + c);
        TURN(all, turned)
        for (int r = 0; r < TURNED; r++)
            for (int part = 0; part < TURNED * SQUARES; part += LANES)
                decode_lanes(to + r * filled + j + part, (const uint16_t *)&all[r] + part);
    }
    return j;
}
#endif

#if VECTOR_BYTES == 64
#define LINE 32 /* rows that are read together: a line of the cache holds as many side by side */

/* The same of LINE elements of each of LANES columns: a quarter of a vector has eight columns of each eighth row. */
INLINE int64_t decode_lines(float *to, const uint16_t *from, int64_t n, const int64_t *columns, int64_t filled)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        squares all[2][TURNED], turned[TURNED];
        for (int side = 0; side < 2; side++) {
            for (int c = 0; c < TURNED; c++)
                all[side][c] = _mm512_loadu_si512(from + columns[j + TURNED * side + c]);
            TURN(all[side], turned)
        }
        for (int r = 0; r < TURNED; r++)
            for (int half = 0; half < 2; half++) {
                const squares two = _mm512_permutex2var_epi64(all[0][r], half ? last : first, all[1][r]);
                float *const row = to + (r + 2 * TURNED * half) * filled + j;
                _mm512_storeu_ps(row, _mm512_cvtph_ps(_mm512_castsi512_si256(two)));
                _mm512_storeu_ps(row + TURNED * filled, _mm512_cvtph_ps(_mm512_extracti64x4_epi64(two, 1)));
            }
    }
    return j;
}
#else
#define LINE TURNED
#define decode_lines decode_turned
#endif

/* Rows of n halves, *columns* apart (none: side by side), each filled up with zeros. */
static void halves_f32(float *to, const uint16_t *from, const int64_t *rows, int64_t count, int64_t n, const int64_t *columns,
                       int64_t filled)
{
    for (int64_t row = 0, here; row < count; row += here, to += here * filled) {
        int64_t done = 0;
        for (here = 1; columns && here < LINE && row + here < count && rows[row + here] == rows[row] + here;)
            here++;
        if (here == LINE)
            done = decode_lines(to, from + rows[row], n, columns, filled);
        else if (here >= TURNED)
            done = decode_turned(to, from + rows[row], n, columns, filled), here = TURNED;
        for (int64_t some = 0; some < here && done < filled; some++) {
            const uint16_t *source = from + rows[row + some];
            float *const filling = to + some * filled;
            if (!columns)
                decode(filling, source, n);
            else
                for (int64_t j = done; j < n; j++)
                    filling[j] = of_half(source[columns[j]]);
            memset(filling + n, 0, (filled - n) * sizeof *to);
        }
    }
}

/* Bits from a place on as numbers; LANES and fewer behind them are written, too. */
#if VECTOR_BYTES == 64
#define NUMBERS_OF_BITS(NAME, TYPE, COUNT, MASK, KIND)                                                                 \
    INLINE void NAME(TYPE *to, const uint8_t *bits, int64_t start, int64_t count)                                      \
    {                                                                                                                  \
        for (int64_t i = 0; i < count; i += COUNT)                                                                     \
            _mm512_storeu_##KIND(to + i, _mm512_maskz_mov_##KIND((MASK)bits_at(bits, start + i, COUNT), _mm512_set1_##KIND(1))); \
    }
NUMBERS_OF_BITS(numbers_f32, float, 16, __mmask16, ps)
NUMBERS_OF_BITS(numbers_f64, double, 8, __mmask8, pd)
#else
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
#endif

static void bits_f32(float *to, const uint8_t *bits, int64_t count) { numbers_f32(to, bits, 0, count); }
static void bits_f64(double *to, const uint8_t *bits, int64_t count) { numbers_f64(to, bits, 0, count); }

/* Which of so many halves are not zero, as bits, and SPARE bytes of zeros behind them. */
static void there_f16(uint8_t *bits, const uint16_t *from, int64_t count)
{
    int64_t i = 0;
#if VECTOR_BYTES == 64
    for (; i + 32 <= count; i += 32) {
        const uint32_t some = _mm512_test_epi16_mask(_mm512_loadu_si512(from + i), _mm512_set1_epi16(0x7fff));
        memcpy(bits + i / 8, &some, sizeof some);
    }
#elif VECTOR_BYTES == 32
    for (; i + 16 <= count; i += 16) {
        const __m256i size = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(from + i)), _mm256_set1_epi16(0x7fff));
        const __m256i zero = _mm256_cmpeq_epi16(size, _mm256_setzero_si256());
        const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(zero), _mm256_extracti128_si256(zero, 1));
        const uint16_t some = (uint16_t)~_mm_movemask_epi8(bytes);
        memcpy(bits + i / 8, &some, sizeof some);
    }
#endif
    memset(bits + i / 8, 0, (count - i) / 8 + SPARE);
    for (; i < count; i++)
        bits[i / 8] |= (uint8_t)(((from[i] & 0x7fff) != 0) << (i % 8));
}
