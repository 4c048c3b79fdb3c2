/* The kernels of the vector unit for one machine: with VECTOR, their name. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2", "tree-vectorize", "vect-cost-model=dynamic") /* as quick as -O3, compiled in a fifth of the time */
#endif

#include "_drain.h"
#include "_element.h"
#include "_moments.h"
#include "_window.h"

const struct vector_kernels VECTOR = {
    .element = element,
    .drain = drain,
    .pool_sum = pool_sum,
    .pool_max = pool_max,
    .unpool = unpool,
    .mean = mean,
    .comoment = comoment,
};
