/* What this was compiled from, the vector unit of this machine, and the kernels for it. */

#include "_kernels.h"

/* The digest of the sources (`sources.py`), which whoever compiles them may give; `compiled.py` asks for it. */
#ifndef SNNC_SOURCES
#define SNNC_SOURCES 0
#endif
uint64_t snnc_sources(void) { return SNNC_SOURCES; }

/* Which version of a function the C library chooses here, too: 4 for AVX-512, 3 for AVX2, 0 for what every machine has. */
int snnc_vectors(void)
{
#if defined(SNNC_UNIT)
    return SNNC_UNIT;
#elif CHOOSES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return 3;
#endif
    return 0;
}

const struct kernels *snnc_kernels(void)
{
#if CHOOSES
    const int unit = snnc_vectors();
    return unit == 4 ? &snnc_kernels_v4 : unit == 3 ? &snnc_kernels_v3 : &snnc_kernels_v0;
#else
    return &snnc_kernels_v0;
#endif
}
