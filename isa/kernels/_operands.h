/* Operands of the vector unit: how their elements are read and written, and how one goes over them.

   Only for files that are compiled with -ffp-contract=off.  A NaN is a NaN here, whatever its payload: what is written is
   the canonical one. */

#ifndef SNNC_OPERANDS
#define SNNC_OPERANDS

#include "_vectors.h"

#define BLOCK 512
#define AXES 16
#define EACH _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)

/* Numbers of formats, as in `formats.py`; an index is no format. */
enum { SPIKE, U2, U4, U8, U16, U32, F16, BF16, F32, F64, X64, X128, TERNARY, INDEX = 255 };

enum { DONE, REFUSED, TOO_LARGE };

/* Elements of memories may lie anywhere. */
typedef uint8_t byte_at __attribute__((may_alias));
typedef uint16_t half_at __attribute__((may_alias, aligned(1)));
typedef uint32_t word_at __attribute__((may_alias, aligned(1)));
typedef float single_at __attribute__((may_alias, aligned(1)));
typedef double double_at __attribute__((may_alias, aligned(1)));
typedef int64_t index_at __attribute__((may_alias, aligned(1)));

INLINE uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

INLINE uint64_t long_bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

INLINE double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

/* The size of the first and the sign of the second. */
INLINE float with_sign(float size, float sign)
{
    return single_of_bits((bits_of(size) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u));
}

/* Formats. */

/* To nearest even: half a unit less a bit is added, that bit where the last one kept is odd; a subnormal is rounded by
   adding a half, whose unit in f32 is its own. */
INLINE uint16_t half_of(float value)
{
    uint32_t bits = bits_of(value), size = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000u;
    uint32_t usual = ((size + 0xfffu + (size >> 13 & 1u)) >> 13) - (112u << 10);
    uint32_t small = bits_of(single_of_bits(size) + 0.5f) - bits_of(0.5f);
    uint32_t half = size < 0x38800000u ? small : usual;
    half = size >= 0x47800000u ? 0x7c00u : half;
    half |= sign;
    return (uint16_t)(size > 0x7f800000u ? 0x7e00u : half);
}

INLINE uint16_t bfloat_of(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)(value != value ? 0x7fc0u : rounded);
}

/* The nearest value of f16: a number is added whose last bit is the last that f16 keeps, and taken away again. */
INLINE float on_half_grid(float value)
{
    uint32_t size = bits_of(value) & 0x7fffffffu, exponent = size & 0x7f800000u;
    exponent = exponent > 0x38800000u ? exponent : 0x38800000u;
    float large = single_of_bits(exponent + (13u << 23) + (1u << 22));
    uint32_t near = bits_of((value + large) - large) & 0x7fffffffu;
    near = near >= 0x47800000u ? 0x7f800000u : near;
    near = size >= 0x47800000u ? 0x7f800000u : near;
    near = size > 0x7f800000u ? size : near;
    return single_of_bits(near | (bits_of(value) & 0x80000000u));
}

INLINE float of_ternary(uint8_t code) { return code == 1 ? 1.0f : code == 3 ? -1.0f : 0.0f; }

/* Operands: each has axes of its own, extents and then steps in bytes, the last one fastest. */

struct walk {
    char *at; /* the first element of a row */
    int64_t place, places[AXES];
};

INLINE struct walk walk_from(char *first, const int64_t *extents, const int64_t *steps, int64_t rank, int64_t lane)
{
    struct walk walk = {.at = first};
    for (int64_t axis = rank - 1; axis >= 0; axis--) {
        walk.places[axis] = lane % extents[axis];
        lane /= extents[axis];
        if (axis < rank - 1)
            walk.at += walk.places[axis] * steps[axis];
    }
    walk.place = walk.places[rank - 1];
    return walk;
}

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

/* Does something with every run of a row: n lanes from *done* on are elements *step* bytes apart from *at* on. */
#define EACH_RUN(FIRST, AXES_OF, LANE, LANES, ...)                                                                     \
    {                                                                                                                  \
        const int64_t *extents = (AXES_OF), *steps = extents + rank;                                                   \
        const int64_t step = steps[rank - 1];                                                                          \
        struct walk walk = walk_from((FIRST), extents, steps, rank, (LANE));                                           \
        for (int64_t done = 0; done < (LANES);) {                                                                      \
            int64_t n = extents[rank - 1] - walk.place;                                                                \
            n = n < (LANES) - done ? n : (LANES) - done;                                                               \
            char *at = walk.at + walk.place * step;                                                                    \
            __VA_ARGS__                                                                                                \
            done += n;                                                                                                 \
            next_row(&walk, extents, steps, rank);                                                                     \
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

INLINE void load_run(float *to, const char *at, int64_t step, int64_t n, int format)
{
    switch (format) {
        LOADED(F16, half_at, of_half)
        LOADED(BF16, half_at, of_bfloat)
        LOADED(F32, single_at, )
        LOADED(F64, double_at, (float))
        LOADED(U16, half_at, (float))
        LOADED(U32, word_at, (float))
        LOADED(TERNARY, byte_at, of_ternary)
        LOADED(INDEX, index_at, (float))
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

INLINE float canonical(float value) { return value != value ? __builtin_nanf("") : value; }
INLINE double canonical_double(float value) { return value != value ? __builtin_nan("") : (double)value; }
INLINE uint8_t spike_of(float value) { return value != 0; }

/* Integers of a format; returns whether some value is none of them. */
#define WHOLE(FORMAT, TYPE, LEAST, MOST, CODE)                                                                         \
    case FORMAT: {                                                                                                     \
        int32_t wrong = 0;                                                                                             \
        EACH {                                                                                                         \
            int within = (from[i] >= (LEAST)) & (from[i] <= (MOST));                                                   \
            float held = within ? from[i] : 0.0f;                                                                      \
            int32_t whole = (int32_t)held;                                                                             \
            wrong |= !within | ((float)whole != held);                                                                 \
            *(TYPE *)(at + i * step) = (TYPE)(CODE);                                                                   \
        }                                                                                                              \
        return wrong;                                                                                                  \
    }

INLINE int32_t store_run(const float *from, char *at, int64_t step, int64_t n, int format)
{
    switch (format) {
        STORED(F16, half_at, half_of)
        STORED(BF16, half_at, bfloat_of)
        STORED(F32, single_at, canonical)
        STORED(F64, double_at, canonical_double)
        STORED(SPIKE, byte_at, spike_of)
        WHOLE(U2, byte_at, 0.0f, 3.0f, whole)
        WHOLE(U4, byte_at, 0.0f, 15.0f, whole)
        WHOLE(U8, byte_at, 0.0f, 255.0f, whole)
        WHOLE(U16, half_at, 0.0f, 65535.0f, whole)
        WHOLE(TERNARY, byte_at, -1.0f, 1.0f, whole < 0 ? 3 : whole)
    }
    return 1;
}

/* The nearest value of f16, as `on_half_grid` finds it. */
INLINE double on_half_grid_of(double value)
{
    uint64_t size = long_bits_of(value) & 0x7fffffffffffffffull, exponent = size & 0x7ff0000000000000ull;
    exponent = exponent > 1009ull << 52 ? exponent : 1009ull << 52;
    double large = double_of_bits(exponent + (42ull << 52) + (1ull << 51));
    uint64_t near = long_bits_of((value + large) - large) & 0x7fffffffffffffffull;
    near = size >= 1039ull << 52 ? size : near;
    return double_of_bits(near | (long_bits_of(value) & 0x8000000000000000ull));
}

/* f32 rounded to odd, so that bf16 is rounded once. */
INLINE float odd_single_of(double value)
{
    float single = (float)value;
    double back = (double)single;
    double size = back < 0 ? -back : back, wanted = value < 0 ? -value : value;
    uint32_t bits = bits_of(single) - (size > wanted ? 1u : 0u);
    return single_of_bits(bits | (back != value ? 1u : 0u));
}

/* Doubles that are exact, or rounded to odd, side by side as f16, bf16 or f32. */
INLINE void store_doubles(const double *from, char *to, int64_t n, int64_t format)
{
    switch (format) {
    case F16:
        EACH ((half_at *)to)[i] = half_of((float)on_half_grid_of(from[i]));
        break;
    case BF16:
        EACH ((half_at *)to)[i] = bfloat_of(odd_single_of(from[i]));
        break;
    default:
        EACH ((single_at *)to)[i] = canonical((float)from[i]);
    }
}

#endif
