/* Sums of a window's taps, as gradients of weights have them: what a channel of the left operand fired is found once, and
   added to the sums of all taps, which stay in registers.

   A left operand of bits is a box [pixel][channel]; its rows are taps of channels.  Of right there is a row for each pixel
   where a term stands, and *lead* ones before the first: the others are zeros.  So a tap adds what stands its shift before
   the pixel.  Terms are added in the order of pixels, and zeros, which change no sum but -0. */

/* Eight rows of eight bits, turned: bits are swapped that are 7, 14 and 28 places away. */
INLINE uint64_t turned_bits(uint64_t x)
{
    uint64_t swap = (x ^ (x >> 7)) & 0x00aa00aa00aa00aaull;
    x ^= swap ^ swap << 7;
    swap = (x ^ (x >> 14)) & 0x0000cccc0000ccccull;
    x ^= swap ^ swap << 14;
    swap = (x ^ (x >> 28)) & 0x00000000f0f0f0f0ull;
    return x ^ swap ^ swap << 28;
}

#define SIDE_BY_SIDE 16 /* squares of eight that are turned together */

/* Bits [pixel][channel] as *to* [channel][pixel], *bytes* of them for a channel. */
static void turn_bits(uint8_t *to, const uint8_t *bits, const struct taps *of)
{
    for (int64_t pixel = 0; pixel < of->pixels; pixel += 8) {
        const int64_t rows = of->pixels - pixel < 8 ? of->pixels - pixel : 8;
        for (int64_t first = 0; first < of->channels; first += 8 * SIDE_BY_SIDE) {
            const int64_t left = of->channels - first, width = left < 8 * SIDE_BY_SIDE ? left : 8 * SIDE_BY_SIDE;
            uint64_t squares[SIDE_BY_SIDE] = {0};
            for (int64_t row = 0; row < rows; row++) {
                const int64_t place = (pixel + row) * of->channels + first;
                for (int64_t s = 0; s < (width + 7) / 8; s++)
                    squares[s] |= bits_at(bits, place + 8 * s, 8) << 8 * row;
            }
            for (int s = 0; s < SIDE_BY_SIDE; s++)
                squares[s] = turned_bits(squares[s]);
            for (int64_t channel = 0; channel < width; channel++)
                to[(first + channel) * of->bytes + pixel / 8] = (uint8_t)(squares[channel / 8] >> 8 * (channel % 8));
        }
    }
}

/* So many pixels that what is added stays near. */
INLINE int64_t near_pixels(int64_t n)
{
    const int64_t pixels = NEAR / (4 * n) / WORD_BITS * WORD_BITS;
    return pixels ? pixels : WORD_BITS;
}

/* Where the rows of the pixels from `pixel` to `end` begin that are set: `count` of them, found[]. */
#define FIND_PIXELS                                                                                                    \
    int64_t count = 0;                                                                                                 \
    FIND_SET(turned + channel * of->bytes, pixel, end - pixel, pixel, n)

/* COUNT vectors of columns of TAPS taps: those found from `begin` to `until`. */
#define EACH_TAP(VECTOR, TAPS, COUNT, BEGIN, END)                                                                      \
    {                                                                                                                  \
        VECTOR sum[TAPS][COUNT];                                                                                       \
        const VECTOR *from[TAPS];                                                                                      \
        for (int t = 0; t < TAPS; t++)                                                                                 \
            from[t] = (const VECTOR *)(right + (of->lead - of->shifts[tap + t]) * n + column);                         \
        for (int t = 0; t < TAPS; t++)                                                                                 \
            for (int c = 0; c < COUNT; c++)                                                                            \
                BEGIN                                                                                                  \
        for (int64_t e = begin; e < until; e++) {                                                                      \
            const int64_t row = (int64_t)found[e] * 4;                                                                 \
            for (int t = 0; t < TAPS; t++)                                                                             \
                for (int c = 0; c < COUNT; c++)                                                                        \
                    sum[t][c] += ((const VECTOR *)((const char *)from[t] + row))[c];                                   \
        }                                                                                                              \
        for (int t = 0; t < TAPS; t++)                                                                                 \
            for (int c = 0; c < COUNT; c++)                                                                            \
                END                                                                                                    \
    }

/* As many taps and vectors as registers hold. */
#if VECTOR_BYTES == 64
#define TOGETHER 9
#else
#define TOGETHER 3
#endif
#define FEW (LANES * 4 / VECTOR_BYTES)

#define ALL_TAPS(VECTOR, BEGIN, END)                                                                                   \
    for (int64_t column = 0; column < n;) {                                                                            \
        const int wide = VECTOR_BYTES == 64 && column + 2 * LANES <= n;                                                \
        for (int64_t tap = 0; tap < of->taps;)                                                                         \
            if (tap + TOGETHER > of->taps) {                                                                           \
                EACH_TAP(VECTOR, 1, FEW, BEGIN, END)                                                                   \
                if (wide) {                                                                                            \
                    column += LANES;                                                                                   \
                    EACH_TAP(VECTOR, 1, FEW, BEGIN, END)                                                               \
                    column -= LANES;                                                                                   \
                }                                                                                                      \
                tap++;                                                                                                 \
            } else {                                                                                                   \
                if (wide)                                                                                              \
                    EACH_TAP(VECTOR, TOGETHER, 2 * FEW, BEGIN, END)                                                    \
                else                                                                                                   \
                    EACH_TAP(VECTOR, TOGETHER, FEW, BEGIN, END)                                                        \
                tap += TOGETHER;                                                                                       \
            }                                                                                                          \
        column += wide ? 2 * LANES : LANES;                                                                            \
    }

/* Channel after channel, a part of the pixels at a time. */
#define EACH_PART                                                                                                      \
    for (int64_t pixel = 0, end; end = of->pixels - pixel < near ? of->pixels : pixel + near, pixel < end; pixel = end) \
        for (int64_t channel = 0; channel < of->channels; channel++)

/* The vector of sums at a tap of this channel. */
#define TAP_SUMS(VECTOR) ((VECTOR *)(sums + ((tap + t) * of->channels + channel) * n + column))[c]

static void taps_f32(float *sums, const uint8_t *bits, const float *right, const struct taps *of, int64_t n, uint8_t *turned,
                     int32_t *found)
{
    const int64_t near = near_pixels(n);
    turn_bits(turned, bits, of);
    EACH_PART {
        FIND_PIXELS
        const int64_t begin = 0, until = count;
        ALL_TAPS(floats, sum[t][c] = TAP_SUMS(floats);, TAP_SUMS(floats) = sum[t][c];)
    }
}

typedef int64_t widened __attribute__((vector_size(2 * VECTOR_BYTES), aligned(8), may_alias));
#define WIDENED __builtin_convertvector(sum[t][c], widened)

static void taps_i32(int64_t *sums, const uint8_t *bits, const int32_t *right, const struct taps *of, int64_t n, uint8_t *turned,
                     int32_t *found, int64_t chunk)
{
    const int64_t near = near_pixels(n);
    turn_bits(turned, bits, of);
    EACH_PART {
        FIND_PIXELS
        int64_t begin = 0;
        do {
            const int64_t until = count - begin < chunk ? count : begin + chunk;
            if (pixel + begin)
                ALL_TAPS(ints, sum[t][c] = (ints){0};, TAP_SUMS(widened) += WIDENED;)
            else
                ALL_TAPS(ints, sum[t][c] = (ints){0};, TAP_SUMS(widened) = WIDENED;)
            begin = until;
        } while (begin < count);
    }
}
