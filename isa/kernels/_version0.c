/* For every machine. */

#define VECTOR_BYTES 16
#define KERNELS snnc_kernels_v0
#include "_version.h"
