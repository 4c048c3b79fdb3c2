/* For every machine. */

#define VECTOR snnc_vector_v0
#include "_vector_version.h"
