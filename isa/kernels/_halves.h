/* Many f16 at once: what `of_half`, `half_of` and `on_half_grid` give, by the vector unit where it can. */

#ifndef SNNC_HALVES
#define SNNC_HALVES

#include "_formats.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

INLINE void singles_of_halves(float *to, const half_at *from, int64_t n)
{
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)(from + i))));
#endif
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(from + i))));
#endif
    for (; i < n; i++)
        to[i] = of_half(from[i]);
}

INLINE void halves_of_singles(half_at *to, const float *from, int64_t n)
{
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) {
        __m512 value = _mm512_loadu_ps(from + i);
        value = _mm512_mask_mov_ps(value, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q), _mm512_set1_ps(__builtin_nanf("")));
        _mm256_storeu_si256((__m256i_u *)(to + i), _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
#endif
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8) {
        __m256 value = _mm256_loadu_ps(from + i);
        value = _mm256_blendv_ps(value, _mm256_set1_ps(__builtin_nanf("")), _mm256_cmp_ps(value, value, _CMP_UNORD_Q));
        _mm_storeu_si128((__m128i_u *)(to + i), _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
#endif
    for (; i < n; i++)
        to[i] = half_of(from[i]);
}

/* A multiple of LANES floats, as the nearest values of f16. */
INLINE void on_half_grids(float *to, const float *from, int64_t n)
{
#if defined(__AVX512F__)
    for (int64_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm512_cvtps_ph(_mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT)));
#elif defined(__F16C__)
    for (int64_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT)));
#else
    EACH to[i] = on_half_grid(from[i]);
#endif
}

#endif
