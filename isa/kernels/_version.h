/* The kernels for one vector unit: with VECTOR_BYTES and KERNELS, their name. */

#include "_kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#define EXACT_PRODUCTS __attribute__((optimize("fp-contract=fast")))
#else
#define EXACT_PRODUCTS
#endif

typedef float floats __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef double doubles __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
typedef int32_t ints __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t longs __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));

#include "_events.h"
#include "_rows.h"
#include "_parts.h"
#include "_panels.h"
#include "_ordered.h"
#include "_taps.h"
#include "_ends.h"

const struct kernels KERNELS = {
    .events_f32 = events_f32,
    .events_f64 = events_f64,
    .list_set = list_set,
    .events_i32 = events_i32,
    .events_i64 = events_i64,
    .terms_f32 = terms_f32,
    .terms_i32 = terms_i32,
    .terms_i64 = terms_i64,
    .panels_f32 = panels_f32,
    .panels_f64 = panels_f64,
    .dots_f64 = dots_f64,
    .bits_f32 = bits_f32,
    .bits_f64 = bits_f64,
    .halves_f32 = halves_f32,
    .there_f16 = there_f16,
    .taps_f32 = taps_f32,
    .taps_i32 = taps_i32,
    .end_x128 = end_x128,
};
