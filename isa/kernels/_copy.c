/* Boxes between DRAM, or anywhere else in memory, and a scratchpad, as `copied.py` describes them: copied row by row, with
   zeros where a box leaves its bounds and behind the last element of packed rows. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O2")
#endif

#include "_vectors.h"

#define AXES 8

/* Rows of *run* bytes: steps in bytes from one to the next along each axis, the last one nearest. */
struct nest {
    int64_t rank, run;
    struct axis {
        int64_t extent, to, from;
    } axes[AXES];
};

/* A box but for its addresses; what is not in DRAM is found by its own address, and *dram* is null then.  It reaches from
   *low* to *high* (bits, from the address on) in DRAM, from *pad_low* to *pad_high* in the scratchpad, and what of it exists
   begins *skipped* bits behind the address there.  *fill* is the whole
   box where parts of it are zeros, *part* what exists, *last* the last bytes of packed rows, *behind* the first of these, of
   which *mask* is kept. */
struct box {
    char *dram, *pad;
    int64_t dram_bits, low, high, pad_bits, pad_low, pad_high, skipped;
    int64_t stores, fills, exists, mask, behind;
    struct nest fill, part, last;
};

INLINE void copy_row(char *to, const char *from, int64_t run)
{
    if (run >= 512) {
        memcpy(to, from, (size_t)run);
        return;
    }
    for (; run >= 32; run -= 32, to += 32, from += 32)
        memcpy(to, from, 32);
    if (run & 16) {
        memcpy(to, from, 16);
        to += 16, from += 16;
    }
    if (run & 8) {
        memcpy(to, from, 8);
        to += 8, from += 8;
    }
    if (run & 4) {
        memcpy(to, from, 4);
        to += 4, from += 4;
    }
    if (run & 2) {
        memcpy(to, from, 2);
        to += 2, from += 2;
    }
    if (run & 1)
        *to = *from;
}

/* Rows so many bytes apart lie on pages of their own, where no processor looks ahead by itself; steps of a power of two
   put them into a few sets of its cache, which hold little more than what is asked for AHEAD rows before. */
#define FAR 2048
#define AHEAD 8

#define ROWS(size)                                                                                                     \
    for (int64_t k = 0; k < along.extent; k++, to += along.to, from += along.from) {                                   \
        if (writes_far)                                                                                                \
            for (int64_t line = 0; line < run; line += 64)                                                             \
                __builtin_prefetch(to + AHEAD * along.to + line, 1);                                                   \
        if (reads_far)                                                                                                 \
            for (int64_t line = 0; line < run; line += 64)                                                             \
                __builtin_prefetch(from + AHEAD * along.from + line, 0);                                               \
        copy_row(to, from, size);                                                                                      \
    }

#define SMALL(size)                                                                                                    \
    case size:                                                                                                         \
        for (int64_t k = 0; k < along.extent; k++)                                                                     \
            memcpy(to + k * along.to, from + k * along.from, size);                                                    \
        return;

INLINE int far_apart(int64_t step) { return step >= FAR || step <= -FAR; }

/* The rows of one axis. */
static void copy_rows(char *to, const char *from, const struct axis along, int64_t run)
{
    const int writes_far = far_apart(along.to), reads_far = far_apart(along.from);
    if ((writes_far || reads_far) && run <= 512) {
        if (run == 64)
            ROWS(64)
        else
            ROWS(run)
        return;
    }
    switch (run) {
        SMALL(1)
        SMALL(2)
        SMALL(4)
        SMALL(8)
        SMALL(16)
        SMALL(32)
        SMALL(64)
    }
    for (int64_t k = 0; k < along.extent; k++)
        copy_row(to + k * along.to, from + k * along.from, run);
}

/* Go over the rows of a nest, those of its last axis at once: to[] and from[] say where they begin. */
#define EACH_ROWS(nest, doing)                                                                                         \
    do {                                                                                                               \
        int64_t at[AXES] = {0}, axis = 0;                                                                              \
        while (axis >= 0) {                                                                                            \
            doing;                                                                                                     \
            for (axis = (nest)->rank - 2; axis >= 0; axis--) {                                                         \
                const struct axis *const outer = &(nest)->axes[axis];                                                  \
                to += outer->to, from += outer->from;                                                                  \
                if (++at[axis] < outer->extent)                                                                        \
                    break;                                                                                             \
                to -= outer->extent * outer->to, from -= outer->extent * outer->from;                                  \
                at[axis] = 0;                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static void copy(const struct nest *nest, char *to, const char *from)
{
    const struct axis last = nest->axes[nest->rank - 1];
    EACH_ROWS(nest, copy_rows(to, from, last, nest->run));
}

static void clear(const struct nest *nest, char *to)
{
    const struct axis last = nest->axes[nest->rank - 1];
    const char *from = to;
    EACH_ROWS(nest, for (int64_t k = 0; k < last.extent; k++) memset(to + k * last.to, 0, (size_t)nest->run));
}

static void keep(const struct nest *nest, char *to, char mask)
{
    const struct axis last = nest->axes[nest->rank - 1];
    const char *from = to;
    EACH_ROWS(nest, for (int64_t k = 0; k < last.extent; k++) to[k * last.to] &= mask);
}

/* Move the box that begins at bit *address* of DRAM and bit *start* of the scratchpad; 1 where one of them is not there, or
   begins inside of a byte. */
int64_t snnc_move(const struct box *box, int64_t address, int64_t start)
{
    if (start & 7 || start + box->pad_low < 0 || start + box->pad_high > box->pad_bits)
        return 1;
    if (box->exists && (address & 7 || address + box->low < 0 || address + box->high > box->dram_bits))
        return 1;
    char *const pad = box->pad + (start >> 3);
    if (box->fills)
        clear(&box->fill, pad);
    if (!box->exists)
        return 0;
    char *const part = pad + (box->skipped >> 3), *const dram = (char *)((uintptr_t)box->dram + (uintptr_t)(address >> 3));
    char *const to = box->stores ? dram : part;
    copy(&box->part, to, box->stores ? part : dram);
    if (box->mask)
        keep(&box->last, to + box->behind, (char)box->mask);
    return 0;
}
