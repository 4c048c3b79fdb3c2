/* For AVX-512. */

#include "_kernels.h"

#if CHOOSES
#pragma GCC target("arch=x86-64-v4")
#define VECTOR_BYTES 64
#define KERNELS snnc_kernels_v4
#include "_version.h"
#endif
