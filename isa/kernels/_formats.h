/* Values of the formats, one at a time.

   Only for files that are compiled with -ffp-contract=off.  A NaN is a NaN here, whatever its payload: what is written is
   the canonical one. */

#ifndef SNNC_FORMATS
#define SNNC_FORMATS

#include "_vectors.h"

#define EACH _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)

/* Numbers of formats, as in `formats.py`; an index is no format.  How operands lie, as in `axes.py`: elements that share a
   byte have a bit more, and what is WALKED is an address in the identity space. */
enum { SPIKE, U2, U4, U8, U16, U32, F16, BF16, F32, F64, X64, X128, TERNARY, SHARED = 64, WALKED = 254, INDEX };

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

INLINE float canonical(float value) { return value != value ? __builtin_nanf("") : value; }
INLINE double canonical_double(float value) { return value != value ? __builtin_nan("") : (double)value; }
INLINE uint8_t spike_of(float value) { return value != 0; }

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

#endif
