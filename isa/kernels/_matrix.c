/* Exact sums by a unit that multiplies matrices of bytes (AMX), where the machine has one.

   A number is digits of eight bits, each from -128 to 127: planes of bytes, the lowest one first.  A product of two numbers is
   the products of all their digits, which the unit sums in 32 bits; those of digits that count alike are summed together, and
   the sums of all these levels are one of 64 bits.  Tiles have 16 rows of 64 bytes: of the left operand 64 terms of each row,
   of the right one four terms of each of 16 columns. */

#include "_kernels.h"

#if CHOOSES && !defined(SNNC_UNIT)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#pragma GCC target("arch=x86-64-v4,avx512vbmi,amx-tile,amx-int8")
#include <immintrin.h>

#define ROWS 16
#define TERMS 64
#define TILE (ROWS * TERMS)
#define MOST_OF_ROWS 12 /* so many of a block that are as far from each other are worth a block */
#define LEVELS (2 * MOST_DIGITS - 1)
#define PART NEAR_TILES /* tiles of terms that are taken together: 32 bits hold the products of all their digits */

#include "_digits.h"

/* A block of ROWS rows of the left operand: a tile of a digit stands at *digit* bytes for each before it and places[tile]. */
struct block {
    const int8_t *at;
    int64_t digit, pitch; /* pitch: bytes from row to row */
    const int64_t *places;
};

/* Tiles of a block brought near; what is behind the last row is anything. */
static struct block brought(int8_t *near, const struct planes *from, const struct tiling *of, int64_t first, int64_t rows,
                            int64_t begin, int64_t tiles)
{
    static const int64_t beside[PART] = {
#define EIGHT(N) (N) * TILE, (N + 1) * TILE, (N + 2) * TILE, (N + 3) * TILE, (N + 4) * TILE, (N + 5) * TILE, (N + 6) * TILE, (N + 7) * TILE
        EIGHT(0), EIGHT(8), EIGHT(16), EIGHT(24)
    };
    const struct block block = {near, tiles * TILE, TERMS, beside};
    const int64_t *places = of->places + begin;
    for (int64_t row = 0; row < rows; row++)
        for (int digit = 0; digit < from->digits; digit++) {
            const int8_t *box = from->at + of->rows[first + row] + digit * from->pitch;
            int8_t *to = near + digit * block.digit + row * TERMS;
            for (int64_t tile = 0; tile < tiles; tile++)
                _mm512_store_si512(to + tile * TILE, _mm512_loadu_si512(box + places[tile]));
        }
    return block;
}

/* How many rows from the *first* on are as far from each other, *pitch* bytes; ROWS at most. */
INLINE int64_t equal_steps(const int64_t *rows, int64_t count, int64_t *pitch)
{
    int64_t some = 1;
    *pitch = count > 1 ? rows[1] - rows[0] : TERMS;
    while (some < count && some < ROWS && rows[some] - rows[some - 1] == *pitch)
        some++;
    return some;
}

/* Sums of all levels, of each of up to four tiles. */
struct levels {
    int32_t of[LEVELS][4][ROWS * LANES] __attribute__((aligned(64)));
};

struct operands {
    struct block left[2];
    const int8_t *right;               /* tiles of the first columns that are meant */
    int64_t right_digit, right_column; /* bytes */
    int left_digits, right_digits;
    int64_t tiles;
};

/* Does something for every tile of terms of digits that count alike, whose sums are those of a level. */
#define EACH_LEVEL(BEGIN, ADD, END)                                                                                    \
    for (int level = 0; level < of->left_digits + of->right_digits - 1; level++) {                                     \
        const int least = level < of->right_digits ? 0 : level - of->right_digits + 1;                                 \
        const int most = level < of->left_digits ? level : of->left_digits - 1;                                        \
        BEGIN                                                                                                          \
        for (int digit = least; digit <= most; digit++) {                                                              \
            const int8_t *first = of->left[0].at + digit * of->left[0].digit;                                          \
            const int8_t *second = of->left[1].at + digit * of->left[1].digit;                                         \
            const int8_t *right = of->right + (level - digit) * of->right_digit;                                       \
            (void)second;                                                                                              \
            for (int64_t tile = 0; tile < of->tiles; tile++, right += TILE) {                                          \
                ADD                                                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        END                                                                                                            \
    }
#define FIRST _tile_loadd(4, first + of->left[0].places[tile], of->left[0].pitch);
#define SECOND _tile_loadd(5, second + of->left[1].places[tile], of->left[1].pitch);
#define RIGHT(NUMBER, COLUMN) _tile_loadd(NUMBER, right + (COLUMN) * of->right_column, TERMS);
#define ZERO(NUMBER) _tile_zero(NUMBER);
#define STORE(NUMBER) _tile_stored(NUMBER, to->of[level][NUMBER], 4 * LANES);
#define PRODUCT(SUM, LEFT_TILE, RIGHT_TILE) _tile_dpbssd(SUM, LEFT_TILE, RIGHT_TILE);

/* Two blocks of rows, of two or one of columns: tiles 0 and 1 are sums of the first, 2 and 3 of the second. */
static void two_by_two(struct levels *to, const struct operands *of)
{
    EACH_LEVEL(ZERO(0) ZERO(1) ZERO(2) ZERO(3),
               FIRST RIGHT(6, 0) PRODUCT(0, 4, 6) SECOND PRODUCT(2, 5, 6) RIGHT(7, 1) PRODUCT(1, 4, 7) PRODUCT(3, 5, 7),
               STORE(0) STORE(1) STORE(2) STORE(3))
}

static void two_by_one(struct levels *to, const struct operands *of)
{
    EACH_LEVEL(ZERO(0) ZERO(2), FIRST RIGHT(6, 0) PRODUCT(0, 4, 6) SECOND PRODUCT(2, 5, 6), STORE(0) STORE(2))
}

/* One block of rows. */
static void one_by_two(struct levels *to, const struct operands *of)
{
    EACH_LEVEL(ZERO(0) ZERO(1), FIRST RIGHT(6, 0) PRODUCT(0, 4, 6) RIGHT(7, 1) PRODUCT(1, 4, 7), STORE(0) STORE(1))
}

static void one_by_one(struct levels *to, const struct operands *of)
{
    EACH_LEVEL(ZERO(0), FIRST RIGHT(6, 0) PRODUCT(0, 4, 6), STORE(0))
}

/* The same of one block of columns, where numbers of the left operand have one digit: each of the right one's is a level, and
   two of them stand for two blocks. */
#define EACH_TWO_DIGITS(TWO, ONE, STORE_TWO, STORE_ONE)                                                                \
    const int8_t *const first = of->left[0].at, *const second = of->left[1].at;                                        \
    (void)second;                                                                                                      \
    for (int level = 0; level < of->right_digits; level += 2) {                                                        \
        const int8_t *right = of->right + level * of->right_digit;                                                     \
        ZERO(0) ZERO(1) ZERO(2) ZERO(3)                                                                                \
        if (level + 1 < of->right_digits) {                                                                            \
            for (int64_t tile = 0; tile < of->tiles; tile++, right += TILE) {                                          \
                TWO                                                                                                    \
            }                                                                                                          \
            STORE_TWO                                                                                                  \
        } else                                                                                                         \
            for (int64_t tile = 0; tile < of->tiles; tile++, right += TILE) {                                          \
                ONE                                                                                                    \
            }                                                                                                          \
        STORE_ONE                                                                                                      \
    }
#define OTHER_DIGIT _tile_loadd(7, right + of->right_digit, TERMS);
#define STORE_AT(NUMBER, LEVEL, TILE_AT) _tile_stored(NUMBER, to->of[LEVEL][TILE_AT], 4 * LANES);

static void two_by_digits(struct levels *to, const struct operands *of)
{
    EACH_TWO_DIGITS(FIRST RIGHT(6, 0) PRODUCT(0, 4, 6) SECOND PRODUCT(2, 5, 6) OTHER_DIGIT PRODUCT(1, 4, 7) PRODUCT(3, 5, 7),
                    FIRST RIGHT(6, 0) PRODUCT(0, 4, 6) SECOND PRODUCT(2, 5, 6), STORE_AT(1, level + 1, 0) STORE_AT(3, level + 1, 2),
                    STORE_AT(0, level, 0) STORE_AT(2, level, 2))
}

static void one_by_digits(struct levels *to, const struct operands *of)
{
    EACH_TWO_DIGITS(FIRST RIGHT(6, 0) PRODUCT(0, 4, 6) OTHER_DIGIT PRODUCT(1, 4, 7), FIRST RIGHT(6, 0) PRODUCT(0, 4, 6),
                    STORE_AT(1, level + 1, 0), STORE_AT(0, level, 0))
}

/* What so many levels of a tile amount to, row by row, added to what is there or instead of it. */
INLINE void add_some(int64_t *to, int64_t pitch, const int32_t *of, const int levels, int64_t rows, int fresh)
{
    for (int64_t row = 0; row < rows; row++, to += pitch, of += LANES)
        for (int side = 0; side < LANES; side += 8) {
            __m512i sum = _mm512_cvtepi32_epi64(_mm256_load_si256((const __m256i *)(of + (levels - 1) * 4 * ROWS * LANES + side)));
            for (int level = levels - 2; level >= 0; level--) {
                const __m256i some = _mm256_load_si256((const __m256i *)(of + level * 4 * ROWS * LANES + side));
                sum = _mm512_add_epi64(_mm512_slli_epi64(sum, 8), _mm512_cvtepi32_epi64(some));
            }
            _mm512_storeu_si512(to + side, fresh ? sum : _mm512_add_epi64(sum, _mm512_loadu_si512(to + side)));
        }
}

static void add_levels(int64_t *to, int64_t pitch, const struct levels *of, int64_t tile, int levels, int64_t rows, int fresh)
{
    switch (levels) {
    case 1: add_some(to, pitch, of->of[0][tile], 1, rows, fresh); break;
    case 2: add_some(to, pitch, of->of[0][tile], 2, rows, fresh); break;
    case 3: add_some(to, pitch, of->of[0][tile], 3, rows, fresh); break;
    case 4: add_some(to, pitch, of->of[0][tile], 4, rows, fresh); break;
    case 5: add_some(to, pitch, of->of[0][tile], 5, rows, fresh); break;
    case 6: add_some(to, pitch, of->of[0][tile], 6, rows, fresh); break;
    default: add_some(to, pitch, of->of[0][tile], LEVELS, rows, fresh);
    }
}

/* Eight tiles of ROWS rows of TERMS bytes.  Constant, and WRITTEN: intrinsics do not tell the compiler all that they read. */
static const struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} configuration = {.palette = 1,
                   .bytes = {TERMS, TERMS, TERMS, TERMS, TERMS, TERMS, TERMS, TERMS},
                   .rows = {ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS}};
#define WRITTEN __asm__ volatile("" ::: "memory");

/* All columns of up to two blocks of rows, of some tiles of terms. */
static void add_columns(int64_t *sums, struct operands *of, const int64_t *rows, int64_t n, int fresh)
{
    struct levels all;
    const int levels = of->left_digits + of->right_digits - 1;
    WRITTEN
    for (int64_t column = 0, width; column < n; column += width * LANES, of->right += width * of->right_column) {
        width = n - column > LANES && of->left_digits > 1 ? 2 : 1;
        if (of->left_digits == 1)
            (rows[1] ? two_by_digits : one_by_digits)(&all, of);
        else if (rows[1])
            (width > 1 ? two_by_two : two_by_one)(&all, of);
        else
            (width > 1 ? one_by_two : one_by_one)(&all, of);
        for (int64_t side = 0; side < width; side++) {
            add_levels(sums + column + side * LANES, n, &all, side, levels, rows[0], fresh);
            add_levels(sums + rows[0] * n + column + side * LANES, n, &all, 2 + side, levels, rows[1], fresh);
        }
    }
}

static int64_t sums_i64(int64_t *sums, const struct planes *left, const int8_t *right, int right_digits,
                        const struct tiling *of, int64_t first, int64_t until, int8_t *near)
{
    int64_t rows[2] = {0}, pitch[2];
    int64_t from = first;
    for (int block = 0; block < 2 && from < until; from += rows[block++]) {
        const int64_t left_over = until - from < ROWS ? until - from : ROWS;
        rows[block] = equal_steps(of->rows + from, left_over, pitch + block);
        if (rows[block] < MOST_OF_ROWS && rows[block] < left_over)
            pitch[block] = 0;
        else if (of->rows[from] + (ROWS - 1) * pitch[block] + of->reach > left->pitch || of->rows[from] + (ROWS - 1) * pitch[block] + of->least < 0)
            pitch[block] = 0;
        if (!pitch[block])
            rows[block] = left_over;
    }
    _tile_loadconfig(&configuration);
    for (int64_t begin = 0, tiles; begin < of->tiles; begin += tiles) {
        tiles = of->tiles - begin < PART ? of->tiles - begin : PART;
        struct operands operands = {{{0}}, right + begin * TILE, of->columns / LANES * of->tiles * TILE, of->tiles * TILE,
                                    left->digits, right_digits, tiles};
        from = first;
        for (int block = 0; block < 2; from += rows[block++])
            operands.left[block] = !rows[block]  ? operands.left[0]
                                   : pitch[block] ? (struct block){left->at + of->rows[from], left->pitch, pitch[block], of->places + begin}
                                                  : brought(near + block * PART * TILE * left->digits, left, of, from, rows[block], begin, tiles);
        add_columns(sums, &operands, rows, of->columns, !begin);
    }
    _tile_release();
    return rows[0] + rows[1];
}

static const struct matrix_unit unit = {.left = left_planes, .turned = turn_plane, .right = right_tiles, .sums_i64 = sums_i64};

/* Where the processor has the unit, and the system lets this process use it. */
const struct matrix_unit *snnc_matrix(void)
{
    static int known; /* threads that ask at once find the same */
    if (!known) {
        enum { VBMI = 1 << 1, TILES = 1 << 24, BYTES = 1 << 25, REQUEST = 0x1023, TILE_DATA = 18 };
        unsigned a, b, c, d;
        const int has = snnc_vectors() == 4 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & VBMI) && (d & TILES) && (d & BYTES);
        known = has && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA) ? 1 : -1;
    }
    return known > 0 ? &unit : 0;
}

#else
const struct matrix_unit *snnc_matrix(void) { return 0; }
#endif
