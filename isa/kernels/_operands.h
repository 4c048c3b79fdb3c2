/* Operands of the vector unit: how their elements are read and written where they lie, and how one goes over them. */

#ifndef SNNC_OPERANDS
#define SNNC_OPERANDS

#include "_halves.h"
#include "_packed.h"

#define BLOCK 512
#define AXES 16

/* A way over the elements of an operand, row by row: axes have extents and then steps, the last one fastest, in bytes or,
   where elements share one, in bits. */
struct walk {
    int64_t at; /* the first element of a row */
    int64_t place, places[AXES];
    int64_t stays; /* whether element programs leave its elements where they lie */
};

INLINE void next_row(struct walk *walk, const int64_t *extents, const int64_t *steps, int64_t rank)
{
    walk->place = 0;
    for (int64_t axis = rank - 2; axis >= 0; axis--) {
        walk->at += steps[axis];
        if (++walk->places[axis] < extents[axis])
            return;
        walk->at -= extents[axis] * steps[axis];
        walk->places[axis] = 0;
    }
}

/* Goes on by a number of lanes, and does something with every run of a row among them: n lanes from *done* on are elements
   *step* apart from *at* on. */
#define EACH_RUN(WALK, AXES_OF, LANES, ...)                                                                            \
    {                                                                                                                  \
        struct walk *going = &(WALK);                                                                                  \
        const int64_t *extents = (AXES_OF), *steps = extents + rank;                                                   \
        const int64_t step = steps[rank - 1], row = extents[rank - 1];                                                 \
        for (int64_t done = 0; done < (LANES);) {                                                                      \
            int64_t n = row - going->place;                                                                            \
            n = n < (LANES) - done ? n : (LANES) - done;                                                               \
            const int64_t at = going->at + going->place * step;                                                        \
            __VA_ARGS__                                                                                                \
            done += n;                                                                                                 \
            going->place += n;                                                                                         \
            if (going->place == row)                                                                                   \
                next_row(going, extents, steps, rank);                                                                 \
        }                                                                                                              \
    }

#define LOADED(FORMAT, TYPE, OF)                                                                                       \
    case FORMAT:                                                                                                       \
        if (step == sizeof(TYPE))                                                                                      \
            EACH to[i] = OF(((const TYPE *)at)[i]);                                                                    \
        else if (step == 0) {                                                                                          \
            float same = OF(*(const TYPE *)at);                                                                        \
            EACH to[i] = same;                                                                                         \
        } else                                                                                                         \
            for (int64_t i = 0; i < n; i++)                                                                            \
                to[i] = OF(*(const TYPE *)(at + i * step));                                                            \
        break;

static __attribute__((noinline)) void load_run(float *to, int64_t at, int64_t step, int64_t n, int format)
{
    if (format == F16 && step == 2) {
        singles_of_halves(to, (const half_at *)at, n);
        return;
    }
    switch (format) {
        LOADED(F16, half_at, of_half)
        LOADED(BF16, half_at, of_bfloat)
        LOADED(F32, single_at, )
        LOADED(F64, double_at, (float))
        LOADED(U16, half_at, (float))
        LOADED(U32, word_at, (float))
        LOADED(TERNARY, byte_at, of_ternary)
        LOADED(INDEX, index_at, (float))
    case SHARED + SPIKE:
    case SHARED + U2:
    case SHARED + U4:
    case SHARED + TERNARY:
        load_packed(to, at, step, n, format - SHARED);
        break;
    case WALKED:
        if (step == 0) {
            const float same = (float)at;
            EACH to[i] = same;
        } else
            EACH to[i] = (float)(at + i * step);
        break;
    default:
        LOADED(U8, byte_at, (float))
    }
}

#define STORED(FORMAT, TYPE, OF)                                                                                       \
    case FORMAT:                                                                                                       \
        if (step == sizeof(TYPE))                                                                                      \
            EACH ((TYPE *)at)[i] = OF(from[i]);                                                                        \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                *(TYPE *)(at + i * step) = OF(from[i]);                                                                \
        return 0;

/* Integers of a format; returns whether some value is none of them. */
#define WHOLE(FORMAT, TYPE, LEAST, MOST, BITS)                                                                         \
    case FORMAT: {                                                                                                     \
        uint32_t wrong = 0;                                                                                            \
        if (step == sizeof(TYPE))                                                                                      \
            EACH AS_WHOLE(((TYPE *)at)[i], TYPE, LEAST, MOST, BITS)                                                    \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                AS_WHOLE(*(TYPE *)(at + i * step), TYPE, LEAST, MOST, BITS)                                            \
        return wrong != 0;                                                                                             \
    }

/* A number is added behind which floats have no fraction; without a branch, so that vectors are stored. */
#define AS_WHOLE(TO, TYPE, LEAST, MOST, BITS)                                                                          \
    {                                                                                                                  \
        const float value = from[i] + 0.0f, large = value + 0x1.8p23f;                                                 \
        const uint32_t whole = bits_of(large) - bits_of(0x1.8p23f);                                                    \
        wrong |= (bits_of(large - 0x1.8p23f) ^ bits_of(value)) | (whole - (LEAST) > (uint32_t)(MOST) - (LEAST));       \
        TO = (TYPE)(whole & (BITS));                                                                                   \
    }

INLINE int32_t store_elements(const float *from, int64_t at, int64_t step, int64_t n, int format)
{
    if (format == F16 && step == 2) {
        halves_of_singles((half_at *)at, from, n);
        return 0;
    }
    switch (format) {
        STORED(F16, half_at, half_of)
        STORED(BF16, half_at, bfloat_of)
        STORED(F32, single_at, canonical)
        STORED(F64, double_at, canonical_double)
        STORED(SPIKE, byte_at, spike_of)
        WHOLE(U2, byte_at, 0u, 3, 3u)
        WHOLE(U4, byte_at, 0u, 15, 15u)
        WHOLE(U8, byte_at, 0u, 255, 255u)
        WHOLE(U16, half_at, 0u, 65535, 65535u)
        WHOLE(TERNARY, byte_at, (uint32_t)-1, 1, 3u)
    }
    return 1;
}

/* Up to BLOCK values; returns whether the format does not hold some of them. */
static __attribute__((noinline)) int32_t store_run(const float *from, int64_t at, int64_t step, int64_t n, int format)
{
    uint8_t codes[BLOCK];
    const int shared = format >= SHARED;
    const int32_t wrong = store_elements(from, shared ? (int64_t)codes : at, shared ? 1 : step, n, format % SHARED);
    if (shared)
        store_packed(codes, at, step, n, format % SHARED);
    return wrong;
}

/* Doubles that are exact, or rounded to odd, as floats that f16, bf16 or f32 round as it would round these. */
static __attribute__((noinline)) void singles_of_doubles(float *to, const double *from, int64_t n, int format)
{
    switch (format) {
    case F16:
        EACH to[i] = (float)on_half_grid_of(from[i]);
        break;
    case BF16:
        EACH to[i] = odd_single_of(from[i]);
        break;
    default:
        EACH to[i] = (float)from[i];
    }
}

#endif
