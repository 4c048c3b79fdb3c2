/* What all kernels share: one version of a function for each vector unit, and the halves of floats.

   Source is GNU C for any machine; where the C library can choose among versions of a function, there is one for each
   vector unit (VERSIONS; what is written with vectors has a file for each unit, since these differ in width, too).  No
   product is fused with a sum but where it is exact, so that every host rounds alike: compile with -ffp-contract=off, as
   pyproject.toml says. */

#ifndef SNNC_VECTORS_H
#define SNNC_VECTORS_H

#include <stdint.h>
#include <string.h>

#define LANES 16 /* columns are filled up to a multiple of this */

#if !defined(SNNC_ONE_VERSION) && defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define CHOOSES 1
#else
#define VERSIONS
#define CHOOSES 0
#endif

#define INLINE static inline __attribute__((always_inline))

int snnc_vectors(void);

INLINE float single_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* An f16: its exponent moves by 112, that of inf and NaN twice; subnormals are integers in units of 2^-24, since to
   multiply subnormal floats costs a hundred cycles.  Without a branch, so that vectors of them are decoded. */
INLINE float of_half(uint16_t half)
{
    uint32_t size = half & 0x7fffu, bits = (size << 13) + (112u << 23) + ((size >= 0x7c00u) * (112u << 23));
    float small = (float)(int32_t)size * 0x1p-24f;
    uint32_t small_bits, is_small = 0u - (size < 0x400u);
    memcpy(&small_bits, &small, 4);
    return single_of_bits((bits & ~is_small) | (small_bits & is_small) | (uint32_t)(half & 0x8000u) << 16);
}

INLINE float of_bfloat(uint16_t half) { return single_of_bits((uint32_t)half << 16); }

#endif
