/* Elementary functions and random numbers of element programs: those of `numerics/elementary.py`, operation by operation,
   and of `numerics/random.py`.

   Only for files that are compiled with -ffp-contract=off. */

#ifndef SNNC_ELEMENTARY
#define SNNC_ELEMENTARY

#include "_formats.h"

/* The nearest integer, whose low bits are those of *shifted*. */
#define NEAREST(VALUE, NUMBER, SHIFTED)                                                                                \
    double SHIFTED = (VALUE) + 0x1.8p52;                                                                               \
    double NUMBER = SHIFTED - 0x1.8p52;

#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define PER_LN2 1.44269504088896338700e+00
#define TWO_PER_PI 6.36619772367581382433e-01

/* 2^k and e^r - 1, where held = k ln 2 + r. */
INLINE double grown_of(double held, double *power)
{
    NEAREST(held * PER_LN2, k, shifted)
    *power = double_of_bits((long_bits_of(shifted) + 1023) << 52);
    double r = (held - k * LN2_HIGH) - k * LN2_LOW;
    double sum = 1.0 / 87178291200.0;
    sum = sum * r + 1.0 / 6227020800.0;
    sum = sum * r + 1.0 / 479001600.0;
    sum = sum * r + 1.0 / 39916800.0;
    sum = sum * r + 1.0 / 3628800.0;
    sum = sum * r + 1.0 / 362880.0;
    sum = sum * r + 1.0 / 40320.0;
    sum = sum * r + 1.0 / 5040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 1.0 / 2.0;
    sum = sum * r + 1.0;
    return r * sum;
}

INLINE float exp_of(float x)
{
    double held = x != x ? 0.0 : (double)x, power;
    held = held < -120.0 ? -120.0 : held;
    held = held > 120.0 ? 120.0 : held;
    double grown = grown_of(held, &power);
    float value = (float)((1.0 + grown) * power);
    return x != x ? x : value;
}

INLINE float tanh_of(float x)
{
    float size = single_of_bits(bits_of(x) & 0x7fffffffu);
    double held = 2.0 * (x != x ? 0.0 : (double)size), power;
    held = held > 60.0 ? 60.0 : held;
    double grown = grown_of(held, &power);
    double less_one = power * grown + (power - 1.0);
    float value = with_sign((float)(less_one / (less_one + 2.0)), x);
    return x != x ? x : value;
}

INLINE float log_of(float x)
{
    int usual = x > 0.0f && x <= 3.40282346638528859812e+38f;
    uint64_t bits = long_bits_of(usual ? (double)x : 1.0);
    double mantissa = double_of_bits((bits & 0xfffffffffffffull) | 0x3fe0000000000000ull);
    double exponent = double_of_bits(bits >> 52 | 0x4330000000000000ull) - 0x1p52 - 1022.0;
    int small = mantissa < 0.70710678118654752440;
    mantissa = small ? mantissa * 2.0 : mantissa;
    exponent = exponent - (small ? 1.0 : 0.0);
    double s = (mantissa - 1.0) / (mantissa + 1.0), square = s * s;
    double sum = 2.0 / 25.0;
    sum = sum * square + 2.0 / 23.0;
    sum = sum * square + 2.0 / 21.0;
    sum = sum * square + 2.0 / 19.0;
    sum = sum * square + 2.0 / 17.0;
    sum = sum * square + 2.0 / 15.0;
    sum = sum * square + 2.0 / 13.0;
    sum = sum * square + 2.0 / 11.0;
    sum = sum * square + 2.0 / 9.0;
    sum = sum * square + 2.0 / 7.0;
    sum = sum * square + 2.0 / 5.0;
    sum = sum * square + 2.0 / 3.0;
    sum = sum * square + 2.0;
    float value = (float)(exponent * LN2_HIGH + (s * sum + exponent * LN2_LOW));
    float other = x == 0.0f ? -__builtin_inff() : x > 0.0f ? __builtin_inff() : __builtin_nanf("");
    return usual ? value : other;
}

/* Up to 10^6; NaN of inf. */
INLINE float cos_of(float x)
{
    int usual = x >= -1e6f && x <= 1e6f;
    double argument = usual ? (double)x : 0.0;
    NEAREST(argument * TWO_PER_PI, quotient, shifted)
    uint64_t quarter = long_bits_of(shifted) & 3;
    double rest = ((argument - quotient * 1.57079632673412561417e+00) - quotient * 6.07710050630396597660e-11)
                  - quotient * 2.02226624871116645580e-21;
    double square = rest * rest;
    double even = -1.0 / 6402373705728000.0;
    even = even * square + 1.0 / 20922789888000.0;
    even = even * square + -1.0 / 87178291200.0;
    even = even * square + 1.0 / 479001600.0;
    even = even * square + -1.0 / 3628800.0;
    even = even * square + 1.0 / 40320.0;
    even = even * square + -1.0 / 720.0;
    even = even * square + 1.0 / 24.0;
    even = even * square + -1.0 / 2.0;
    even = even * square + 1.0;
    double odd = -1.0 / 121645100408832000.0;
    odd = odd * square + 1.0 / 355687428096000.0;
    odd = odd * square + -1.0 / 1307674368000.0;
    odd = odd * square + 1.0 / 6227020800.0;
    odd = odd * square + -1.0 / 39916800.0;
    odd = odd * square + 1.0 / 362880.0;
    odd = odd * square + -1.0 / 5040.0;
    odd = odd * square + 1.0 / 120.0;
    odd = odd * square + -1.0 / 6.0;
    odd = odd * square + 1.0;
    double value = quarter & 1 ? rest * odd : even;
    value = quarter == 1 || quarter == 2 ? -value : value;
    return usual ? (float)value : __builtin_nanf("");
}

/* To nearest even; from 2^23 on, every float is an integer. */
INLINE float rint_of(float x)
{
    float size = single_of_bits(bits_of(x) & 0x7fffffffu);
    float nearest = with_sign((size + 0x1p23f) - 0x1p23f, x);
    return size < 0x1p23f ? nearest : x;
}

INLINE float floor_of(float x)
{
    float nearest = rint_of(x);
    return with_sign(nearest - (nearest > x ? 1.0f : 0.0f), x);
}

/* Two words of random bits for a logical element. */
INLINE void words_of(int64_t index, uint32_t seed, uint32_t stream, uint32_t step, uint32_t *first, uint32_t *second)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)((uint64_t)index >> 32), c2 = step, c3 = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)c0 * 0xd2511f53u, product1 = (uint64_t)c2 * 0xcd9e8d57u;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ seed;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ stream;
        c1 = (uint32_t)product1;
        c3 = (uint32_t)product0;
        seed += 0x9e3779b9u;
        stream += 0xbb67ae85u;
    }
    *first = c0;
    *second = c1;
}

INLINE float uniform_of(int64_t index, uint32_t seed, uint32_t stream, uint32_t step)
{
    uint32_t first, second;
    words_of(index, seed, stream, step, &first, &second);
    return (float)(int32_t)(first >> 8) * 0x1p-24f;
}

INLINE float normal_of(int64_t index, uint32_t seed, uint32_t stream, uint32_t step)
{
    uint32_t first, second;
    words_of(index, seed, stream, step, &first, &second);
    float above_zero = (float)(int32_t)((first >> 8) + 1) * 0x1p-24f;
    float turn = (float)(int32_t)(second >> 8) * 0x1p-24f;
    return __builtin_sqrtf(-2.0f * log_of(above_zero)) * cos_of(6.283185307179586f * turn);
}

#endif
