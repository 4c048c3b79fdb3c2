/* Sums that are driven by all elements of the left operand, a panel of rows and columns in registers at a time. */

/* ROWS rows from the `first` on; those beyond the last one are it once more, and are not written. */
#define ROW_PLACES(ROWS, WORD)                                                                                         \
    const WORD *l[ROWS];                                                                                               \
    const int64_t here = of->m - first < ROWS ? of->m - first : ROWS;                                                  \
    for (int at = 0; at < ROWS; at++)                                                                                  \
        l[at] = values + of->rows[batch * of->m + first + (at < here ? at : here - 1)];

#define TERMS(ROWS, COUNT, VECTOR)                                                                                     \
    for (int64_t i = begin; i < until; i++) {                                                                          \
        const VECTOR *from = (const VECTOR *)(r + i * n + column);                                                     \
        const int64_t place = of->places[i];                                                                           \
        for (int at = 0; at < ROWS; at++)                                                                              \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[at][c] += l[at][place] * from[c];                                                                  \
    }

#define PANEL_F32(ROWS, COUNT)                                                                                         \
    {                                                                                                                  \
        ROW_PLACES(ROWS, float)                                                                                        \
        float *out = sums + (batch * of->m + first) * n + column;                                                      \
        floats sum[ROWS][COUNT];                                                                                       \
        for (int at = 0; at < ROWS; at++)                                                                              \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[at][c] = ((floats *)(out + (at < here ? at : 0) * n))[c];                                          \
        const int64_t begin = 0, until = of->k;                                                                        \
        TERMS(ROWS, COUNT, floats)                                                                                     \
        for (int at = 0; at < ROWS; at++)                                                                              \
            if (at < here)                                                                                             \
                for (int c = 0; c < COUNT; c++)                                                                        \
                    ((floats *)(out + at * n))[c] = sum[at][c];                                                        \
    }

#define PANEL_F64(ROWS, COUNT)                                                                                         \
    {                                                                                                                  \
        ROW_PLACES(ROWS, double)                                                                                       \
        int64_t *out = sums + (batch * of->m + first) * n + column;                                                    \
        for (int64_t begin = 0; begin < of->k; begin += chunk) {                                                       \
            const int64_t until = of->k - begin < chunk ? of->k : begin + chunk;                                       \
            doubles sum[ROWS][COUNT];                                                                                  \
            memset(sum, 0, sizeof sum);                                                                                \
            TERMS(ROWS, COUNT, doubles)                                                                                \
            for (int at = 0; at < ROWS; at++)                                                                          \
                if (at < here)                                                                                         \
                    for (int c = 0; c < COUNT; c++) {                                                                  \
                        longs *to = (longs *)(out + at * n) + c;                                                       \
                        if (begin)                                                                                     \
                            *to += __builtin_convertvector(sum[at][c], longs);                                         \
                        else                                                                                           \
                            *to = __builtin_convertvector(sum[at][c], longs);                                          \
                    }                                                                                                  \
        }                                                                                                              \
    }

#define ALL_ROWS(ROWS, ...)                                                                                            \
    for (int64_t first = 0; first < of->m; first += ROWS)                                                              \
        __VA_ARGS__

/* 32 registers hold 24 sums, 16 hold 12; columns are a multiple of LANES, so of 4 vectors, or of as few as LEAST. */
#if VECTOR_BYTES == 64
#define PANELS(PANEL, WORD, LEAST)                                                                                     \
    EACH_PANEL(WORD, if (column + 4 * lanes <= n) {                                                                    \
        if (of->m < 6)                                                                                                 \
            ALL_ROWS(2, PANEL(2, 4))                                                                                   \
        else                                                                                                           \
            ALL_ROWS(6, PANEL(6, 4))                                                                                   \
        column += 4 * lanes;                                                                                           \
    } else {                                                                                                           \
        if (of->m < 8)                                                                                                 \
            ALL_ROWS(2, PANEL(2, LEAST))                                                                               \
        else                                                                                                           \
            ALL_ROWS(8, PANEL(8, LEAST))                                                                               \
        column += LEAST * lanes;                                                                                       \
    })
#else
#define PANELS(PANEL, WORD, LEAST)                                                                                     \
    EACH_PANEL(WORD, if (of->m < 6) ALL_ROWS(2, PANEL(2, 2)) else ALL_ROWS(6, PANEL(6, 2)) column += 2 * lanes;)
#endif
#define EACH_PANEL(WORD, ...)                                                                                          \
    const int64_t n = of->columns, lanes = VECTOR_BYTES / (int64_t)sizeof(WORD);                                       \
    for (int64_t batch = 0; batch < of->stack; batch++) {                                                              \
        const WORD *r = right + batch * of->height * n;                                                                \
        for (int64_t column = 0; column < n;) {                                                                        \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

static EXACT_PRODUCTS void fused_f32(float *sums, const float *values, const float *right, const struct shape *of)
{
    PANELS(PANEL_F32, float, 1)
}

static void rounded_f32(float *sums, const float *values, const float *right, const struct shape *of)
{
    PANELS(PANEL_F32, float, 1)
}

static void panels_f32(float *sums, const float *values, const float *right, const struct shape *of, int fused)
{
    (fused ? fused_f32 : rounded_f32)(sums, values, right, of);
}

static EXACT_PRODUCTS void panels_f64(int64_t *sums, const double *values, const double *right, const struct shape *of,
                                    int64_t chunk)
{
    PANELS(PANEL_F64, double, 2)
}

#define STEPS 32 /* terms that are decoded together */

/* Sums over k of left * right at each of *columns*, both f16; room for 2 * STEPS * columns doubles. */
static EXACT_PRODUCTS void dots_f64(int64_t *sums, const uint16_t *left, const uint16_t *right, int64_t k, int64_t columns,
                                  int64_t chunk, double *room)
{
    int64_t most = chunk < STEPS ? chunk : STEPS;
    memset(sums, 0, columns * sizeof *sums);
    for (int64_t begin = 0; begin < k; begin += most) {
        int64_t here = k - begin < most ? k - begin : most;
        double *l = room, *r = room + STEPS * columns;
        snnc_units_f64(l, left + begin * columns, HALVES, here * columns);
        snnc_units_f64(r, right + begin * columns, HALVES, here * columns);
        for (int64_t column = 0; column < columns; column += LANES) {
            doubles sum[LANES * 8 / VECTOR_BYTES];
            memset(sum, 0, sizeof sum);
            for (int64_t i = 0; i < here; i++) {
                const doubles *x = (const doubles *)(l + i * columns + column), *y = (const doubles *)(r + i * columns + column);
                for (int c = 0; c < LANES * 8 / VECTOR_BYTES; c++)
                    sum[c] += x[c] * y[c];
            }
            longs *to = (longs *)(sums + column);
            for (int c = 0; c < LANES * 8 / VECTOR_BYTES; c++)
                to[c] += __builtin_convertvector(sum[c], longs);
        }
    }
}
