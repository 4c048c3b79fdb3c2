/* Element programs of the vector unit, compiled: the same lanes, with the same bits, as `ElementProgram` gives them.

   The program goes over all lanes in blocks, whose registers stay in the first cache; each operation is a loop over a
   block.  Every operation is rounded once, to nearest even, none is fused: what includes this has to be compiled with
   -ffp-contract=off, as pyproject.toml says.

   An operation has the 16 bytes of the instruction set, with registers renamed to slots; where fields are free, one has the
   kind of the operand's elements and one its way over the operand.  A slot has a block of lanes; those of registers in which
   all lanes are one come first, and have SINGLE of them.  What is reduced are rows of so many lanes as the field *value* says,
   one behind the other in a block; what is stored with such a value is the first lane of each.  Rows that are longer than a
   block lie across it instead: lanes are all rows at one place, then all of them at the next, and sums go on from block to
   block; what is stored are the first lanes of the last one. */

#include "_elementary.h"
#include "_operands.h"
#include "_vector.h"

/* Numbers of lane operations, as in `lanes.py`. */
enum { LOAD = 1, CARRY, SCALAR, USCALAR, CONST, ADD, SUB, MUL, DIV, MIN, MAX, GE, GT, LE, LT, EQ, NE, AND, OR, NOT, SQRT,
       NEG, ABS, FLOOR, RINT, EXP, LOG, TANH, COS, TO_F16, TO_BF16, SELECT, RSUM, RMAX, RMIN, UNIFORM, NORMAL, STORE };

#define SINGLE (4 * LANES) /* lanes of a register in which all are one */

/* Loads of one operand each may be left where it lies, if it is floats side by side and nothing is stored there. */
#define MOST_SLOTS 256

/* Where the lanes of a register are read, and from which on they are one. */
struct registers {
    float *room;
    int64_t single;
    const float *from[MOST_SLOTS];
};

INLINE float *slot_of(const struct registers *r, int64_t number)
{
    return r->room + (number < r->single ? number * SINGLE : r->single * SINGLE + (number - r->single) * BLOCK);
}

/* What is done to lanes of registers alone is done to whole vectors of them: what lies behind the last lane is nothing. */
#define ONE_VECTOR(FIRST, RESULT)                                                                                      \
    _Pragma("GCC ivdep") for (int64_t k = (FIRST); k < (FIRST) + LANES; k++)                                           \
    {                                                                                                                  \
        const float x = va[k], y = vb[k];                                                                              \
        (void)y;                                                                                                       \
        vd[k] = (RESULT);                                                                                              \
    }

#define EACH_VECTORS(AT_ONCE, ...)                                                                                     \
    for (int64_t i = 0; i < filled; i += (AT_ONCE)) {                                                                  \
        const float *va = a + (i & along_a), *vb = b + (i & along_b), *vc = c + (i & along_c);                         \
        float *restrict vd = d + i;                                                                                    \
        (void)vb, (void)vc;                                                                                            \
        __VA_ARGS__                                                                                                    \
    }

/* Several vectors at once, so that little is counted beside them; a function takes long enough for one. */
#define LANEWISE(CODE, RESULT)                                                                                         \
    case CODE:                                                                                                         \
        EACH_VECTORS(4 * LANES, ONE_VECTOR(0, RESULT) ONE_VECTOR(LANES, RESULT) ONE_VECTOR(2 * LANES, RESULT)          \
                                    ONE_VECTOR(3 * LANES, RESULT))                                                     \
        break;

#define FUNCTION(CODE, RESULT)                                                                                         \
    case CODE:                                                                                                         \
        EACH_VECTORS(LANES, ONE_VECTOR(0, RESULT))                                                                     \
        break;

#define SAME(CODE, VALUE)                                                                                              \
    case CODE: {                                                                                                       \
        const float value = (VALUE);                                                                                   \
        for (int64_t i = 0; i < filled; i++)                                                                           \
            d[i] = value;                                                                                              \
        break;                                                                                                         \
    }

/* Rows of lanes become one value in all of them, from the first lane on: what is *made* of that and *next*, lane by lane. */
#define REDUCED(CODE, MADE, LAST)                                                                                      \
    case CODE:                                                                                                         \
        if (p->rows) {                                                                                                 \
            ACROSS(MADE, LAST)                                                                                         \
            break;                                                                                                     \
        }                                                                                                              \
        for (int64_t row = 0, length = lane.value; row < block; row += length) {                                       \
            float made = a[row & along_a];                                                                             \
            for (int64_t i = row + 1; i < row + length; i++) {                                                         \
                const float next = a[i & along_a];                                                                     \
                made = (MADE);                                                                                         \
            }                                                                                                          \
            for (int64_t i = row; i < row + length; i++)                                                               \
                d[i] = (LAST);                                                                                         \
        }                                                                                                              \
        break;

/* The same of rows that lie across blocks; what has been made of them so far stays in a slot of its own. */
#define ACROSS(MADE, LAST)                                                                                             \
    float *restrict so_far = slot_of(registers, p->kept + lane.value), same[BLOCK];                                    \
    for (int64_t row = 0; row < p->rows && !along_a; row++)                                                            \
        same[row] = a[0];                                                                                              \
    if (begins)                                                                                                        \
        memcpy(so_far, along_a ? a : same, (size_t)p->rows * sizeof *so_far);                                          \
    for (int64_t i = begins ? p->rows : 0; i < block; i += p->rows) {                                                  \
        const float *from = along_a ? a + i : same;                                                                    \
        _Pragma("GCC ivdep") for (int64_t row = 0; row < p->rows; row++)                                               \
        {                                                                                                              \
            const float made = so_far[row], next = from[row];                                                          \
            so_far[row] = (MADE);                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    for (int64_t row = 0; row < p->rows; row++) {                                                                      \
        const float made = so_far[row];                                                                                \
        d[row] = (LAST);                                                                                               \
    }

#define RANDOM(CODE, OF)                                                                                               \
    case CODE:                                                                                                         \
        EACH_RUN(walks[lane.walk], axes + lane.a * 2 * rank, block, {                                                  \
            const uint32_t seed = arguments[lane.b], step_number = arguments[lane.c];                                  \
            if (lane.format == WALKED)                                                                                 \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    d[done + i] = OF(at + i * step, seed, lane.value, step_number);                                    \
            else                                                                                                       \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    d[done + i] = OF(*(const index_at *)(at + i * step), seed, lane.value, step_number);               \
        })                                                                                                             \
        break;

/* Whether floats may be read where they lie: nothing is stored at the same place, for what lies over an operand in another
   way is not written here at all. */
INLINE int stays(const struct element *p, const int64_t *at, const struct lane load)
{
    for (int64_t number = p->once; number < p->count; number++)
        if (p->lanes[number].code == STORE && at[p->walked[p->lanes[number].walk]] == at[p->walked[load.walk]])
            return 0;
    return 1;
}

/* Runs *count* operations on the next *block* lanes, with which it *begins*, or *ends*. */
INLINE int32_t run(const struct element *p, const struct lane *lanes, int64_t count, struct registers *registers,
                   struct walk *walks, const uint32_t *arguments, int64_t block, int begins, int ends)
{
    const int64_t rank = p->rank, *axes = p->axes;
    for (int64_t number = 0; number < count; number++) {
        const struct lane lane = lanes[number];
        const int64_t along_a = lane.a < p->single ? 0 : -1, along_b = lane.b < p->single ? 0 : -1;
        const int64_t along_c = lane.c < p->single ? 0 : -1;
        const int64_t filled = lane.dst < p->single ? SINGLE : (block + SINGLE - 1) & -SINGLE;
        float *restrict d = slot_of(registers, lane.dst);
        const float *a = registers->from[lane.a], *b = registers->from[lane.b], *c = registers->from[lane.c];
        switch (lane.code) {
        case LOAD:
        case CARRY: {
            struct walk *walk = &walks[lane.walk];
            const int64_t row = axes[(lane.a * 2 + 1) * rank - 1];
            if (walk->stays && walk->place + filled <= row) {
                registers->from[lane.dst] = (const float *)(walk->at + walk->place * 4);
                if ((walk->place += block) == row)
                    next_row(walk, axes + lane.a * 2 * rank, axes + (lane.a * 2 + 1) * rank, rank);
                continue;
            }
            const int64_t wanted = lane.dst < p->single ? SINGLE : block;
            EACH_RUN(*walk, axes + lane.a * 2 * rank, wanted, load_run(d + done, at, step, n, lane.format);)
            break;
        }
        case STORE: {
            float apart[BLOCK];
            int32_t wrong = 0;
            int64_t stored = p->rows ? p->rows : block;
            if (p->rows && !ends)
                continue;
            if (lane.value > 1) {
                stored = block / lane.value;
                for (int64_t i = 0; i < stored; i++)
                    apart[i] = a[i * lane.value & along_a];
                a = apart;
            } else if (!along_a) {
                for (int64_t i = 0; i < stored; i++)
                    apart[i] = a[0];
                a = apart;
            }
            EACH_RUN(walks[lane.walk], axes + lane.b * 2 * rank, stored, wrong |= store_run(a + done, at, step, n, lane.format);)
            if (wrong)
                return REFUSED;
            continue;
        }
            SAME(SCALAR, single_of_bits(arguments[lane.a]))
            SAME(USCALAR, (float)arguments[lane.a])
            SAME(CONST, single_of_bits(lane.value))
            LANEWISE(ADD, x + y)
            LANEWISE(SUB, x - y)
            LANEWISE(MUL, x * y)
            FUNCTION(DIV, x / y)
            LANEWISE(MIN, (x <= y) | (x != x) ? x : y)
            LANEWISE(MAX, (x >= y) | (x != x) ? x : y)
            LANEWISE(GE, x >= y ? 1.0f : 0.0f)
            LANEWISE(GT, x > y ? 1.0f : 0.0f)
            LANEWISE(LE, x <= y ? 1.0f : 0.0f)
            LANEWISE(LT, x < y ? 1.0f : 0.0f)
            LANEWISE(EQ, x == y ? 1.0f : 0.0f)
            LANEWISE(NE, x != y ? 1.0f : 0.0f)
            LANEWISE(AND, (x != 0) & (y != 0) ? 1.0f : 0.0f)
            LANEWISE(OR, (x != 0) | (y != 0) ? 1.0f : 0.0f)
            LANEWISE(NOT, x == 0 ? 1.0f : 0.0f)
            FUNCTION(SQRT, __builtin_sqrtf(x))
            LANEWISE(NEG, -x)
            LANEWISE(ABS, single_of_bits(bits_of(x) & 0x7fffffffu))
            FUNCTION(FLOOR, floor_of(x))
            FUNCTION(RINT, rint_of(x))
            FUNCTION(EXP, exp_of(x))
            FUNCTION(LOG, log_of(x))
            FUNCTION(TANH, tanh_of(x))
            LANEWISE(SELECT, vc[k] != 0 ? x : y)
            FUNCTION(TO_BF16, of_bfloat(bfloat_of(x)))
        case TO_F16:
            on_half_grids(d, a, filled);
            break;
        case COS: {
            int32_t large = 0;
            for (int64_t i = 0; i < (filled < block ? filled : block); i++) {
                const float x = a[i & along_a], size = single_of_bits(bits_of(x) & 0x7fffffffu);
                large |= (size > 1e6f) & (size < __builtin_inff());
                d[i] = cos_of(x);
            }
            if (large)
                return TOO_LARGE;
            break;
        }
            REDUCED(RSUM, made + next, made + 0.0f)
            REDUCED(RMAX, (made >= next) | (made != made) ? made : next, made)
            REDUCED(RMIN, (made <= next) | (made != made) ? made : next, made)
            RANDOM(UNIFORM, uniform_of)
            RANDOM(NORMAL, normal_of)
        default:
            return REFUSED;
        }
        registers->from[lane.dst] = d;
    }
    return DONE;
}

/* Answers DONE, or why the NumPy form has to do it; *room* has so many walks, and then from a multiple of 64 bytes on the
   slots. */
static int64_t element(const struct element *plan, const int64_t *at, const uint32_t *arguments, char *room)
{
    const struct element p = *plan;
    struct walk *walks = (struct walk *)room;
    struct registers registers;
    memset(&registers, 0, sizeof registers);
    registers.room = (float *)(((uintptr_t)(walks + p.walks) + 63) & ~(uintptr_t)63);
    registers.single = p.single;
    memset(walks, 0, p.walks * sizeof *walks);
    for (int64_t walk = 0; walk < p.walks; walk++)
        walks[walk].at = at[p.walked[walk]];
    for (int64_t number = p.once; number < p.count; number++) {
        const struct lane lane = p.lanes[number];
        if ((lane.code == LOAD || lane.code == CARRY) && lane.format == F32 && p.axes[(lane.a + 1) * 2 * p.rank - 1] == 4)
            walks[lane.walk].stays = stays(&p, at, lane);
    }
    int32_t outcome = DONE;
    /* One call, so that there is one copy of it: the first turn does what is the same for all blocks. */
    for (int64_t start = -1; start < p.total && outcome == DONE; start = start < 0 ? 0 : start + p.block) {
        const int64_t first = start < 0 ? 0 : p.once, number = start < 0 ? p.once : p.count - p.once;
        const int64_t left = p.total - (start < 0 ? 0 : start);
        outcome = run(&p, p.lanes + first, number, &registers, walks, arguments, left < p.block ? left : p.block, start == 0,
                      start + p.block >= p.total);
    }
    return outcome;
}
