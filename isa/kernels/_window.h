/* Windows, compiled, as `window.py` makes them.  The caller sees to it that integers, and sums of them, stay below 2^24, so
   that they are exact in f32.  What includes this has to be compiled with -ffp-contract=off, as pyproject.toml says. */

#include "_operands.h"
#include "_vector.h"

#define OPERANDS 4

/* Ways over the operands of a window begin anew at every tap: so many lanes of operand *number* at tap *tap*. */
#define EACH_TAP(NUMBER, TAP, ...)                                                                                     \
    {                                                                                                                  \
        struct walk moved = walks[NUMBER];                                                                             \
        moved.at += p.taps[(TAP) * OPERANDS + (NUMBER)];                                                               \
        EACH_RUN(moved, p.axes + (NUMBER) * 2 * rank, block, __VA_ARGS__)                                              \
    }

#define EACH_BLOCK                                                                                                     \
    const struct window p = *plan;                                                                                     \
    const int64_t rank = p.rank;                                                                                       \
    struct walk walks[OPERANDS];                                                                                       \
    memset(walks, 0, sizeof walks);                                                                                    \
    for (int number = 0; number < OPERANDS; number++)                                                                  \
        walks[number].at = at[number];                                                                                 \
    for (int64_t start = 0, block; block = p.total - start < BLOCK ? p.total - start : BLOCK, block > 0; start += BLOCK)

#define FORWARD(NUMBER) EACH_RUN(walks[NUMBER], p.axes + (NUMBER) * 2 * rank, block, (void)at;)
#define STORE_TO(NUMBER, FROM)                                                                                         \
    EACH_RUN(walks[NUMBER], p.axes + (NUMBER) * 2 * rank, block,                                                       \
             wrong |= store_run(FROM + done, at, step, n, (int)p.formats[NUMBER]);)

/* Source and result: in f32 from +0, tap by tap, times a scale, rounded once. */
static int64_t pool_sum(const struct window *plan, const int64_t *at)
{
    int32_t wrong = 0;
    EACH_BLOCK
    {
        const int64_t n = block;
        float sums[BLOCK], values[BLOCK];
        double made[BLOCK];
        memset(sums, 0, sizeof sums);
        for (int64_t tap = 0; tap < p.count; tap++) {
            EACH_TAP(0, tap, load_run(values + done, at, step, n, (int)p.formats[0]);)
            EACH sums[i] += values[i];
        }
        FORWARD(0)
        EACH made[i] = (double)sums[i] * p.scale;
        singles_of_doubles(values, made, n, (int)p.formats[1]);
        STORE_TO(1, values)
    }
    return wrong ? REFUSED : DONE;
}

/* Source, the largest, its tap, and whether a tap is there (format -1: all are). */
static int64_t pool_max(const struct window *plan, const int64_t *at)
{
    int32_t wrong = 0;
    EACH_BLOCK
    {
        const int64_t n = block, some = p.formats[3] >= 0;
        float best[BLOCK], taps[BLOCK], values[BLOCK], there[BLOCK], found[BLOCK];
        memset(best, 0, sizeof best);
        memset(taps, 0, sizeof taps);
        memset(found, 0, sizeof found);
        for (int64_t tap = 0; tap < p.count; tap++) {
            const float number = (float)tap;
            EACH_TAP(0, tap, load_run(values + done, at, step, n, (int)p.formats[0]);)
            if (some)
                EACH_TAP(3, tap, load_run(there + done, at, step, n, (int)p.formats[3]);)
            if (tap == 0 && !some)
                EACH best[i] = values[i];
            else if (!some)
                EACH {
                    const int better = (values[i] > best[i]) | ((values[i] != values[i]) & (best[i] == best[i]));
                    best[i] = better ? values[i] : best[i];
                    taps[i] = better ? number : taps[i];
                }
            else
                EACH {
                    const int more = (values[i] > best[i]) | ((values[i] != values[i]) & (best[i] == best[i]));
                    const int better = (more | (found[i] == 0)) & (there[i] != 0);
                    best[i] = better ? values[i] : best[i];
                    taps[i] = better ? number : taps[i];
                    found[i] = better ? 1.0f : found[i];
                }
        }
        FORWARD(0)
        if (some)
            FORWARD(3)
        STORE_TO(1, best)
        STORE_TO(2, taps)
    }
    return wrong ? REFUSED : DONE;
}

/* Errors, the result, and the taps that were chosen: at tap k of the window those count that chose *sought*, behind the
   offsets of the taps. */
static int64_t unpool(const struct window *plan, const int64_t *at)
{
    int32_t wrong = 0;
    EACH_BLOCK
    {
        const int64_t n = block, *sought = p.taps + p.count * OPERANDS;
        float sums[BLOCK], values[BLOCK], taps[BLOCK];
        memset(sums, 0, sizeof sums);
        for (int64_t tap = 0; tap < p.count; tap++) {
            const float number = (float)sought[tap];
            EACH_TAP(0, tap, load_run(values + done, at, step, n, (int)p.formats[0]);)
            EACH_TAP(2, tap, load_run(taps + done, at, step, n, (int)p.formats[2]);)
            EACH sums[i] += taps[i] == number ? values[i] : 0.0f;
        }
        FORWARD(0)
        FORWARD(2)
        STORE_TO(1, sums)
    }
    return wrong ? REFUSED : DONE;
}
