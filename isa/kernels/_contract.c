/* A contraction of one tile: operands are read where they lie, a kernel is chosen by what they hold, results are
   written where they belong.  Which kernel it was, no bit tells.

   Nothing of Python is in here: ctypes calls it, without the interpreter's lock. */

#include "_plan.h"

/* Rooms, one behind the other; with no base it only measures. */
struct room {
    char *base;
    int64_t used;
};

static void *rooms(struct room *room, int64_t bytes)
{
    char *at = room->base + room->used;
    room->used += (bytes + 63) / 64 * 64;
    return at;
}

static struct rooms lay_out(const struct plan *plan, struct room *room)
{
    const int64_t word = plan->acc == F32 ? 4 : 8, right = plan->stack * plan->k * plan->columns;
    const int64_t spread = plan->taps ? (plan->lead + taps_of(plan).pixels) * plan->columns * 4 : 0;
    const int64_t box = plan->box_count * plan->box_length, sums = plan->stack * plan->m * plan->columns;
    struct rooms all = {0};
    if (plan->alone) {
        all.right = rooms(room, plan->k * plan->columns * 2);
        all.box = rooms(room, plan->k * plan->columns * 2);
        all.words = rooms(room, 64 * plan->columns * 8);
        all.sums = rooms(room, plan->columns * 8);
        return all;
    }
    all.right = rooms(room, right * size_of(plan->right));
    const int64_t words = (right + plan->columns) * word > spread ? (right + plan->columns) * word : spread;
    const int64_t digits = snnc_tiles_bytes(plan);
    all.right_words = rooms(room, words > digits ? words : digits);
    all.box = rooms(room, plan->packed ? 0 : box * size_of(plan->left));
    all.there = rooms(room, plan->packed ? 0 : box);
    all.bits = rooms(room, box / 8 + SPARE);
    all.words = rooms(room, plan->left != ONES ? (box + LANES) * word : 0);
    all.sums = rooms(room, sums * word);
    all.part = rooms(room, plan->left <= SPIKES && plan->acc != F32 ? plan->m * plan->columns * 4 : 0);
    all.set = rooms(room, plan->acc != F32 ? (box + FOUND_MORE) * 4 : 0);
    all.before = rooms(room, plan->acc != F32 ? (box / 64 + 1) * 4 : 0);
    const int64_t lists = plan->acc == F32 ? LISTS * LIST : 0, terms = (plan->taps ? box / plan->channels : plan->k) + FOUND_MORE;
    all.found = rooms(room, (lists > terms ? lists : terms) * 4);
    all.turned = rooms(room, plan->taps ? taps_of(plan).bytes * plan->channels + SPARE : 0);
    const int64_t digits_of_left = !plan->tiles ? 0 : plan->left == HALVES ? MOST_DIGITS : 1;
    all.planes = rooms(room, (box + 128) * digits_of_left + 64);
    all.turned_planes = rooms(room, (plan->turned * plan->pitch + 64) * digits_of_left);
    all.near = rooms(room, 2 * NEAR_TILES * 1024 * digits_of_left);
    all.factors = rooms(room, (lists > plan->k + FOUND_MORE ? lists : plan->k + FOUND_MORE) * word);
    return all;
}

/* Products that belong to an element of the left matrix. */
int64_t snnc_contract_columns(const struct plan *plan) { return plan->n; }

/* Bytes that `snnc_contract` wants to work in, 64 of them to begin at a multiple of 64. */
int64_t snnc_contract_room(const struct plan *plan)
{
    struct room room = {0, 0};
    lay_out(plan, &room);
    return room.used + 64;
}

/* Which elements of the box are not zero, as bits; how many left elements of the matrices are none. */
static int64_t find(const struct plan *plan, struct rooms *at, const void *box, const uint8_t *left, int64_t bit)
{
    const int64_t in_box = plan->box_count * plan->box_length;
    if (plan->packed)
        snnc_gather_bits(at->bits, left, bit, INDICES(box_rows), plan->box_count, plan->box_length, INDICES(box_columns));
    else if (plan->left == HALVES)
        snnc_kernels()->there_f16(at->bits, box, in_box);
    else {
        snnc_there(at->there, box, plan->left, in_box);
        snnc_bits(at->bits, at->there, in_box);
    }
    return plan->times * snnc_uses(at->bits, in_box, (const uint8_t *)(intptr_t)plan->weights, plan->planes);
}

/* out += left * right, or out = left * right where it is *fresh*.  How many left elements of the matrices were not zero,
   or -1 where the NumPy form has to serve: then nothing was written.  Packed, *left* begins at *bit* of a byte. */
int64_t snnc_contract(const struct plan *plan, const void *left, int64_t bit, const void *right, void *out, int32_t fresh, void *space)
{
    struct room room = {(char *)(((intptr_t)space + 63) / 64 * 64), 0};
    struct rooms at = lay_out(plan, &room);
    if (plan->alone)
        return snnc_contract_alone(plan, &at, left, right, out, fresh);
    const struct shape of = {plan->stack, plan->m, plan->k, plan->columns, INDICES(rows), INDICES(places),
                             plan->k, plan->run, plan->rows_run};
    const struct results results = {plan->stack * plan->m, plan->n, plan->columns, INDICES(out_rows), INDICES(out_columns), plan->out_run};
    const void *box = left;
    if (plan->packed)
        box = 0;
    else if (plan->codes) {
        snnc_gather_codes(at.box, left, bit, INDICES(box_rows), plan->box_count, plan->box_length, INDICES(box_columns), plan->codes);
        box = at.box;
    } else if (plan->left == ONES)
        box = memset(at.box, 1, plan->box_count * plan->box_length);
    else if (plan->box_count > 1 || plan->box_columns) {
        snnc_gather(at.box, left, plan->left, INDICES(box_rows), plan->box_count, plan->box_length, INDICES(box_columns), plan->box_length);
        box = at.box;
    } else
        box = (const char *)left + INDICES(box_rows)[0] * size_of(plan->left);
    const int64_t done = find(plan, &at, box, left, bit);
    at.kept = done ? snnc_keep(plan, right) : 0;
    if (done && snnc_matrix_pays(plan, done) && snnc_contract_matrix(plan, &results, &at, box, right, out, fresh))
        return done;
    const int bits = plan->left == ONES || (plan->left == SPIKES && (plan->taps || !snnc_dense_enough(plan, done)));
    return (plan->acc == F32 ? snnc_contract_f32 : bits ? snnc_contract_bits : snnc_contract_products)(
        plan, &of, &results, &at, box, right, out, fresh, done);
}
