/* For AVX-512. */

#include "_vector.h"

#if CHOOSES
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define VECTOR snnc_vector_v4
#include "_vector_version.h"
#endif
