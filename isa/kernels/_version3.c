/* For AVX2. */

#include "_kernels.h"

#if CHOOSES
#pragma GCC target("arch=x86-64-v3")
#define VECTOR_BYTES 32
#define KERNELS snnc_kernels_v3
#include "_version.h"
#endif
