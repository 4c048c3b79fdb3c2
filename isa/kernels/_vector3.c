/* For AVX2. */

#include "_vector.h"

#if CHOOSES
#pragma GCC target("arch=x86-64-v3")
#define VECTOR snnc_vector_v3
#include "_vector_version.h"
#endif
