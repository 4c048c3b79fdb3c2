/* What is called of the kernels of the vector unit: those for this machine. */

#include "_vector.h"

static const struct vector_kernels *here(void)
{
#if CHOOSES
    const int unit = snnc_vectors();
    return unit == 4 ? &snnc_vector_v4 : unit == 3 ? &snnc_vector_v3 : &snnc_vector_v0;
#else
    return &snnc_vector_v0;
#endif
}

int64_t snnc_element(const struct element *plan, const int64_t *at, const uint32_t *arguments, char *room)
{
    return here()->element(plan, at, arguments, room);
}

int64_t snnc_drain(const struct drain *plan, const int64_t *at) { return here()->drain(plan, at); }
int64_t snnc_pool_sum(const struct window *plan, const int64_t *at) { return here()->pool_sum(plan, at); }
int64_t snnc_pool_max(const struct window *plan, const int64_t *at) { return here()->pool_max(plan, at); }
int64_t snnc_unpool(const struct window *plan, const int64_t *at) { return here()->unpool(plan, at); }

int64_t snnc_mean(const struct moments *plan, const int64_t *at, int64_t count) { return here()->mean(plan, at, count); }

int64_t snnc_comoment(const struct moments *plan, const int64_t *at, int64_t count)
{
    return here()->comoment(plan, at, count);
}
