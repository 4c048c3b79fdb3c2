/* Sums that are driven by all elements of the left operand: a panel of rows and columns in registers at a time, and a part of
   the terms (`_parts.h`) that all rows go over while it is near. */

/* ROWS rows from the `first` on, of which there are `here`; others are anything, and are not written. */
#define TERMS(ROWS, COUNT, VECTOR, AT)                                                                                 \
    for (int64_t i = 0; i < until - begin; i++) {                                                                      \
        const VECTOR *from = (const VECTOR *)(r + i * pitch);                                                          \
        for (int row = 0; row < ROWS; row++)                                                                           \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[row][c] += near[AT] * from[c];                                                                     \
    }
#define BY_TERMS row *PART + i
#define BY_ROWS i *TALL + row

#define PANEL_F32(ROWS, COUNT, BRING, AT)                                                                              \
    {                                                                                                                  \
        BRING##_f32(near, values, bits, of, batch * of->m + first, here, begin, until);                                \
        float *out = sums + (batch * of->m + first) * n + column;                                                      \
        floats sum[ROWS][COUNT];                                                                                       \
        for (int row = 0; row < ROWS; row++)                                                                           \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[row][c] = ((floats *)(out + (row < here ? row : 0) * n))[c];                                       \
        TERMS(ROWS, COUNT, floats, AT)                                                                                 \
        for (int row = 0; row < ROWS; row++)                                                                           \
            if (row < here)                                                                                            \
                for (int c = 0; c < COUNT; c++) {                                                                      \
                    const ints number = (ints)(sum[row][c] == sum[row][c]);                                            \
                    numbers &= number;                                                                                 \
                    ((ints *)(out + row * n))[c] = ((ints)sum[row][c] & number) | (nan & ~number);                     \
                }                                                                                                      \
    }

#define PANEL_F64(ROWS, COUNT, BRING, AT)                                                                              \
    {                                                                                                                  \
        BRING##_f64(near, values, bits, of, batch * of->m + first, here, begin, until);                                \
        int64_t *out = sums + (batch * of->m + first) * n + column;                                                    \
        doubles sum[ROWS][COUNT];                                                                                      \
        for (int row = 0; row < ROWS; row++)                                                                           \
            for (int c = 0; c < COUNT; c++)                                                                            \
                sum[row][c] = (doubles){0};                                                                            \
        TERMS(ROWS, COUNT, doubles, AT)                                                                                \
        for (int row = 0; row < ROWS; row++)                                                                           \
            if (row < here)                                                                                            \
                for (int c = 0; c < COUNT; c++) {                                                                      \
                    longs *to = (longs *)(out + row * n) + c;                                                          \
                    if (begin)                                                                                         \
                        *to += __builtin_convertvector(sum[row][c], longs);                                            \
                    else                                                                                               \
                        *to = __builtin_convertvector(sum[row][c], longs);                                             \
                }                                                                                                      \
    }

/* Of RUN rows together, ROWS or what is left of them at a time. */
#define EACH_ROW(PANEL, ROWS, COUNT, BRING, AT, RUN)                                                                   \
    for (int64_t first = 0, here, left = RUN; first < of->m; first += here, left = left > here ? left - here : RUN) {  \
        here = left < ROWS ? left : ROWS;                                                                              \
        if (here > 4)                                                                                                  \
            PANEL(ROWS, COUNT, BRING, AT)                                                                              \
        else if (here > 2)                                                                                             \
            PANEL(4, COUNT, BRING, AT)                                                                                 \
        else                                                                                                           \
            PANEL(2, COUNT, BRING, AT)                                                                                 \
    }

/* All rows for one part after the other of COUNT vectors of columns, where READ says where it stands: r, rows *pitch* apart. */
#define EACH_PART_OF(PANEL, READ, ROWS, COUNT)                                                                         \
    {                                                                                                                  \
        const int64_t width = (COUNT) * lanes;                                                                         \
        for (int64_t begin = 0, until; until = of->k - begin < most ? of->k : begin + most, begin < until; begin = until) { \
            READ                                                                                                       \
            if (rows_beside(of->run, of->rows_run))                                                                    \
                EACH_ROW(PANEL, ((COUNT) > 1 ? (ROWS) : TALL), COUNT, rows_beside, BY_ROWS, of->rows_run)                          \
            else                                                                                                       \
                EACH_ROW(PANEL, ROWS, COUNT, terms_beside, BY_TERMS, of->m)                                            \
        }                                                                                                              \
        column += width;                                                                                               \
    }

/* 32 registers hold 24 sums, 16 hold 12; columns are a multiple of LANES. */
#if VECTOR_BYTES == 64
#define EACH_WIDTH_F32(PANEL, READ)                                                                                    \
    switch ((n - column) / lanes) {                                                                                    \
    case 1: EACH_PART_OF(PANEL, READ, 8, 1) break;                                                                     \
    case 2: EACH_PART_OF(PANEL, READ, 8, 2) break;                                                                     \
    case 3:                                                                                                            \
    case 5: EACH_PART_OF(PANEL, READ, 8, 3) break;                                                                     \
    default: EACH_PART_OF(PANEL, READ, 6, 4)                                                                           \
    }
#define EACH_WIDTH_F64(PANEL, READ)                                                                                    \
    if (n - column < 4 * lanes)                                                                                        \
        EACH_PART_OF(PANEL, READ, 8, 2)                                                                                \
    else                                                                                                               \
        EACH_PART_OF(PANEL, READ, 6, 4)
#define WIDEST (4 * VECTOR_BYTES)
#else
#define EACH_WIDTH_F32(PANEL, READ) EACH_PART_OF(PANEL, READ, 6, 2)
#define EACH_WIDTH_F64(PANEL, READ) EACH_PART_OF(PANEL, READ, 6, 2)
#define WIDEST (2 * VECTOR_BYTES)
#endif

#define PANELS(WORD, EACH_WIDTH, PANEL, MOST, READ)                                                                    \
    const int64_t n = of->columns, lanes = VECTOR_BYTES / (int64_t)sizeof(WORD), most = MOST;                          \
    WORD near[NEAR_LEFT], part[PART * WIDEST / sizeof(WORD)];                                                          \
    for (int64_t batch = 0; batch < of->stack; batch++)                                                                \
        for (int64_t column = 0; column < n;) {                                                                        \
            EACH_WIDTH(PANEL, READ)                                                                                    \
        }

/* Halves are decoded part by part; others have been. */
#define PANELS_F32                                                                                                     \
    {                                                                                                                  \
        const ints nan = (ints){0} + 0x7fc00000;                                                                       \
        ints numbers = (ints){0} - 1;                                                                                  \
        PANELS(float, EACH_WIDTH_F32, PANEL_F32, PART, const int64_t at_term = batch * of->height + begin;             \
               const int64_t pitch = lying ? width : n; const float *r = lying ? part : right + at_term * n + column;  \
               if (lying) right_f32(part, lying, at_term, until - begin, column, width);)                              \
        for (int64_t lane = 0; lane < lanes; lane++)                                                                   \
            if (!numbers[lane])                                                                                        \
                return 0;                                                                                              \
        return 1;                                                                                                      \
    }

static EXACT_PRODUCTS int fused_f32(float *sums, const float *values, const uint8_t *bits, const float *right,
                                    const struct halves *lying, const struct shape *of)
PANELS_F32

static int rounded_f32(float *sums, const float *values, const uint8_t *bits, const float *right, const struct halves *lying,
                       const struct shape *of)
PANELS_F32

static int panels_f32(float *sums, const float *values, const uint8_t *bits, const float *right, const struct halves *lying,
                      const struct shape *of, int fused)
{
    return (fused ? fused_f32 : rounded_f32)(sums, values, bits, right, lying, of);
}

static EXACT_PRODUCTS void panels_f64(int64_t *sums, const double *values, const uint8_t *bits, const uint16_t *right,
                                      const struct shape *of, int64_t chunk)
{
    PANELS(double, EACH_WIDTH_F64, PANEL_F64, chunk < PART ? chunk : PART, const double *r = part; const int64_t pitch = width;
           right_f64(part, right + (batch * of->height + begin) * n + column, until - begin, n, width);)
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
