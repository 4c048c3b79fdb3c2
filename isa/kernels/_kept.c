/* Right operands that come back.  Weights stay where they are while samples and steps go by, so a tile would be decoded
   many times.  What was made of one is kept beside a copy of it, and serves again while operand and copy are equal: that
   takes a tenth of the time in which columns are brought side by side, and nobody who writes to memory has to tell.

   What does not come back is looked at seldom.  Threads keep for themselves, and let all go when they end. */

#include "_plan.h"

#include <pthread.h>
#include <stdlib.h>

#define OPERANDS 64       /* that are kept, */
#define BYTES (4 << 20)   /* with all that was made of them */
#define SELDOM 6          /* of 1 << SELDOM looks at what does not come back, one is taken */

struct kept {
    int64_t plan, bytes, when; /* no plan: nothing is kept */
    const void *right;
    char *copy;
    void *made[FORMS];
    unsigned there; /* forms that are made of *copy*, a bit each */
    int hits, rest; /* since it was copied; looks that are not taken */
    int misses;     /* copies that served once, one behind the other */
};

static _Thread_local struct kept operands[OPERANDS];
static _Thread_local int64_t now, held, served; /* uses; bytes of all; operands that had not changed */
static _Thread_local int strangers, turned_away; /* operands that went without a hit, one behind the other; looks at new ones */

static void drop(struct kept *one)
{
    free(one->copy);
    for (int form = 0; form < FORMS; form++)
        free(one->made[form]);
    held -= one->bytes;
    memset(one, 0, sizeof *one);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ending;

static void let_all_go(void *own)
{
    for (struct kept *one = own; one < (struct kept *)own + OPERANDS; one++)
        drop(one);
}

static void tell_when_threads_end(void) { pthread_key_create(&ending, let_all_go); }

/* Lets the one go that was not used for longest, other than *but*: where it was; none where nothing else is kept. */
static struct kept *without_oldest(const struct kept *but)
{
    struct kept *found = 0;
    for (struct kept *one = operands; one < operands + OPERANDS; one++)
        if (one != but && one->plan && (!found || one->when < found->when))
            found = one;
    if (found) {
        strangers = found->hits ? 0 : strangers + 1;
        drop(found);
    }
    return found;
}

/* So many bytes for *one*; others go where it takes too many. */
static void *room_for(struct kept *one, int64_t bytes)
{
    while (held + bytes > BYTES)
        if (!without_oldest(one))
            return 0;
    void *room = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (room) {
        one->bytes += bytes;
        held += bytes;
    }
    return room;
}

#define NEXT 32 /* bytes that are compared together */
typedef uint64_t words __attribute__((vector_size(NEXT), aligned(1), may_alias));

/* Whether so many bytes are equal; the last ones may be compared twice. */
INLINE int equal(const char *a, const char *b, int64_t bytes)
{
    words other = {0};
    for (int64_t i = 0; i + NEXT <= bytes; i += NEXT)
        other |= *(const words *)(a + i) ^ *(const words *)(b + i);
    const int64_t last = bytes - NEXT;
    if (last < 0)
        return !memcmp(a, b, bytes);
    other |= *(const words *)(a + last) ^ *(const words *)(b + last);
    return !(other[0] | other[1] | other[2] | other[3]);
}

/* How many spans of the operand, from the first on, are what was copied. */
VERSIONS static int64_t alike(const struct plan *plan, const char *copy, const char *right)
{
    const int64_t *starts = INDICES(spans), length = plan->span_length;
    int64_t span = 0;
    while (span < plan->span_count && equal(copy + span * length, right + starts[span], length))
        span++;
    return span;
}

/* Copies the spans from the *first* on. */
static void copy_from(int64_t first, const struct plan *plan, char *copy, const char *right)
{
    const int64_t *starts = INDICES(spans), length = plan->span_length;
    for (int64_t span = first; span < plan->span_count; span++)
        memcpy(copy + span * length, right + starts[span], length);
}

static int rest_after(int misses) { return (1 << (misses < SELDOM ? misses : SELDOM)) - 1; }

static struct kept *new_one(const struct plan *plan, const void *right)
{
    const int64_t bytes = plan->span_count * plan->span_length;
    if (turned_away < rest_after(strangers)) {
        turned_away++;
        return 0;
    }
    turned_away = 0;
    struct kept *one = operands;
    while (one < operands + OPERANDS && one->plan)
        one++;
    if (one == operands + OPERANDS)
        one = without_oldest(0);
    one->copy = bytes < BYTES / 2 ? room_for(one, bytes) : 0;
    if (!one->copy)
        return 0;
    pthread_once(&once, tell_when_threads_end);
    pthread_setspecific(ending, operands);
    one->plan = plan->serial;
    one->right = right;
    one->when = ++now;
    copy_from(0, plan, one->copy, right);
    return one;
}

/* What is kept of the right operand, of which nothing may have been made yet; none where that is not worth it. */
struct kept *snnc_keep(const struct plan *plan, const void *right)
{
    if (!plan->span_count)
        return 0;
    struct kept *one = operands;
    while (one < operands + OPERANDS && (one->right != right || one->plan != plan->serial))
        one++;
    if (one == operands + OPERANDS)
        return new_one(plan, right);
    if (one->rest) {
        one->rest--;
        return 0;
    }
    one->when = ++now;
    const int64_t spans = alike(plan, one->copy, right);
    if (spans == plan->span_count) {
        served++;
        one->hits++;
        one->misses = 0;
    } else {
        copy_from(spans, plan, one->copy, right);
        one->misses = one->hits ? 0 : one->misses + 1;
        one->rest = rest_after(one->misses);
        one->hits = 0;
        one->there = 0;
    }
    return one;
}

/* Room for what is made of it in a form, which has the same bytes each time; whether it *is* there already.  None where there
   is no room. */
void *snnc_made(struct kept *kept, int form, int64_t bytes, int *is)
{
    *is = kept->there >> form & 1;
    if (!kept->made[form])
        kept->made[form] = room_for(kept, bytes);
    if (kept->made[form])
        kept->there |= 1u << form;
    return kept->made[form];
}

/* Bytes that this thread keeps; how often operands had not changed since they were copied. */
int64_t snnc_kept_bytes(void) { return held; }
int64_t snnc_kept_served(void) { return served; }
