/* Parts of both operands, as panels take them: PART terms of a few rows or of a few columns, brought near. */

#define PART (VECTOR_BYTES == 64 ? 128 : 256) /* terms: of the right operand there are 32 KiB at most */
#define TALL 16                               /* rows of a panel at most */
#define NEAR_LEFT (TALL * (PART + LANES))     /* words for a part of the left operand */

/* Terms `begin` to `until` of `here` rows from the `first` on, near[row][term], PART terms from row to row: of numbers of the
   box, or of its bits, which become numbers (no *values*). */
#define TERMS_BESIDE(NAME, WORD, NUMBERS)                                                                              \
    static void NAME(WORD *near, const WORD *values, const uint8_t *bits, const struct shape *of, int64_t first,       \
                     int64_t here, int64_t begin, int64_t until)                                                       \
    {                                                                                                                  \
        const int64_t run = of->run, *rows = of->rows + first, *places = of->places;                                   \
        const int64_t before = begin % run;                                                                            \
        for (int64_t row = 0; row < here; row++, near += PART)                                                         \
            for (int64_t i = begin, n = run - before; i < until; i += n, n = run) {                                    \
                const int64_t place = rows[row] + places[i];                                                           \
                n = n < until - i ? n : until - i;                                                                     \
                if (!values)                                                                                           \
                    NUMBERS(near + i - begin, bits, place, n);                                                         \
                else                                                                                                   \
                    for (int64_t j = 0; j < n; j++)                                                                    \
                        near[i - begin + j] = values[place + j];                                                       \
            }                                                                                                          \
    }

/* The same of rows that stand side by side, near[term][row], TALL of them from term to term; what is behind them is anything. */
#define ROWS_BESIDE(NAME, WORD, NUMBERS)                                                                               \
    static void NAME(WORD *near, const WORD *values, const uint8_t *bits, const struct shape *of, int64_t first,       \
                     int64_t here, int64_t begin, int64_t until)                                                       \
    {                                                                                                                  \
        const int64_t row = of->rows[first], *places = of->places;                                                     \
        for (int64_t i = begin; i < until; i++, near += TALL)                                                          \
            if (values)                                                                                                \
                memcpy(near, values + row + places[i], TALL * sizeof *near);                                           \
            else                                                                                                       \
                NUMBERS(near, bits, row + places[i], here);                                                            \
    }

TERMS_BESIDE(terms_beside_f32, float, numbers_f32)
TERMS_BESIDE(terms_beside_f64, double, numbers_f64)
ROWS_BESIDE(rows_beside_f32, float, numbers_f32)
ROWS_BESIDE(rows_beside_f64, double, numbers_f64)

/* Terms of `width` columns from `column` on as they lie, decoded. */
static void right_f32(float *part, const struct halves *of, int64_t first, int64_t terms, int64_t column, int64_t width)
{
    const int64_t left = of->n - column;
    const uint16_t *from = of->columns ? of->from : of->from + column;
    halves_f32(part, from, of->rows + first, terms, left < width ? left : width, of->columns ? of->columns + column : 0, width);
}

#define TWO (VECTOR_BYTES > 32 ? 8 : VECTOR_BYTES / 4) /* doubles that are decoded together: there are two vectors at least */

/* Rows of *width* finite halves, *pitch* apart, in units of 2^-24. */
static void right_f64(double *part, const uint16_t *from, int64_t terms, int64_t pitch, int64_t width)
{
    for (int64_t i = 0; i < terms; i++, from += pitch)
        for (int64_t j = 0; j < width; j += TWO, part += TWO) {
#if VECTOR_BYTES == 64
            const __m256 some = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + j)));
            _mm512_storeu_pd(part, _mm512_mul_pd(_mm512_cvtps_pd(some), _mm512_set1_pd(0x1p24)));
#else
            float some[TWO];
#if VECTOR_BYTES == 32
            _mm256_storeu_ps(some, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + j))));
#else
            decode(some, from + j, TWO);
#endif
            for (int lane = 0; lane < TWO; lane++)
                part[lane] = (double)some[lane] * 0x1p24;
#endif
        }
}
