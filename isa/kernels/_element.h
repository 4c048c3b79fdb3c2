/* Element programs of the vector unit, compiled: the same lanes, with the same bits, as `ElementProgram` gives them.

   The program goes over all lanes in blocks, whose registers stay in the first cache; each operation is a loop over a
   block.  Every operation is rounded once, to nearest even, none is fused: what includes this has to be compiled with
   -ffp-contract=off, as pyproject.toml says.

   An operation has the 16 bytes of the instruction set, with registers renamed to slots of a block each; where fields are
   free, one has the kind of the operand's elements and one its way over the operand.  exp, log, tanh and cos are those of
   `numerics/elementary.py`, operation by operation; uniform and normal those of `numerics/random.py`. */

#include "_operands.h"
#include "_vector.h"

/* Numbers of lane operations, as in `lanes.py`. */
enum { LOAD = 1, CARRY, SCALAR, USCALAR, CONST, ADD, SUB, MUL, DIV, MIN, MAX, GE, GT, LE, LT, EQ, NE, AND, OR, NOT, SQRT,
       NEG, ABS, FLOOR, RINT, EXP, LOG, TANH, COS, TO_F16, TO_BF16, SELECT, UNIFORM = 36, NORMAL, STORE };

#define SLOT(NUMBER) ((float *)__builtin_assume_aligned(room + (NUMBER) * BLOCK, 64))

/* Elementary functions. */

/* The nearest integer, whose low bits are those of *shifted*. */
#define NEAREST(VALUE, NUMBER, SHIFTED)                                                                                \
    double SHIFTED = (VALUE) + 0x1.8p52;                                                                               \
    double NUMBER = SHIFTED - 0x1.8p52;

#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define PER_LN2 1.44269504088896338700e+00
#define TWO_PER_PI 6.36619772367581382433e-01

/* 2^k and e^r - 1, where held = k ln 2 + r. */
INLINE double grown_of(double held, double *power)
{
    NEAREST(held * PER_LN2, k, shifted)
    *power = double_of_bits((long_bits_of(shifted) + 1023) << 52);
    double r = (held - k * LN2_HIGH) - k * LN2_LOW;
    double sum = 1.0 / 87178291200.0;
    sum = sum * r + 1.0 / 6227020800.0;
    sum = sum * r + 1.0 / 479001600.0;
    sum = sum * r + 1.0 / 39916800.0;
    sum = sum * r + 1.0 / 3628800.0;
    sum = sum * r + 1.0 / 362880.0;
    sum = sum * r + 1.0 / 40320.0;
    sum = sum * r + 1.0 / 5040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 1.0 / 2.0;
    sum = sum * r + 1.0;
    return r * sum;
}

INLINE float exp_of(float x)
{
    double held = x != x ? 0.0 : (double)x, power;
    held = held < -120.0 ? -120.0 : held;
    held = held > 120.0 ? 120.0 : held;
    double grown = grown_of(held, &power);
    float value = (float)((1.0 + grown) * power);
    return x != x ? x : value;
}

INLINE float tanh_of(float x)
{
    float size = single_of_bits(bits_of(x) & 0x7fffffffu);
    double held = 2.0 * (x != x ? 0.0 : (double)size), power;
    held = held > 60.0 ? 60.0 : held;
    double grown = grown_of(held, &power);
    double less_one = power * grown + (power - 1.0);
    float value = with_sign((float)(less_one / (less_one + 2.0)), x);
    return x != x ? x : value;
}

INLINE float log_of(float x)
{
    int usual = x > 0.0f && x <= 3.40282346638528859812e+38f;
    uint64_t bits = long_bits_of(usual ? (double)x : 1.0);
    double mantissa = double_of_bits((bits & 0xfffffffffffffull) | 0x3fe0000000000000ull);
    double exponent = double_of_bits(bits >> 52 | 0x4330000000000000ull) - 0x1p52 - 1022.0;
    int small = mantissa < 0.70710678118654752440;
    mantissa = small ? mantissa * 2.0 : mantissa;
    exponent = exponent - (small ? 1.0 : 0.0);
    double s = (mantissa - 1.0) / (mantissa + 1.0), square = s * s;
    double sum = 2.0 / 25.0;
    sum = sum * square + 2.0 / 23.0;
    sum = sum * square + 2.0 / 21.0;
    sum = sum * square + 2.0 / 19.0;
    sum = sum * square + 2.0 / 17.0;
    sum = sum * square + 2.0 / 15.0;
    sum = sum * square + 2.0 / 13.0;
    sum = sum * square + 2.0 / 11.0;
    sum = sum * square + 2.0 / 9.0;
    sum = sum * square + 2.0 / 7.0;
    sum = sum * square + 2.0 / 5.0;
    sum = sum * square + 2.0 / 3.0;
    sum = sum * square + 2.0;
    float value = (float)(exponent * LN2_HIGH + (s * sum + exponent * LN2_LOW));
    float other = x == 0.0f ? -__builtin_inff() : x > 0.0f ? __builtin_inff() : __builtin_nanf("");
    return usual ? value : other;
}

/* Up to 10^6; NaN of inf. */
INLINE float cos_of(float x)
{
    int usual = x >= -1e6f && x <= 1e6f;
    double argument = usual ? (double)x : 0.0;
    NEAREST(argument * TWO_PER_PI, quotient, shifted)
    uint64_t quarter = long_bits_of(shifted) & 3;
    double rest = ((argument - quotient * 1.57079632673412561417e+00) - quotient * 6.07710050630396597660e-11)
                  - quotient * 2.02226624871116645580e-21;
    double square = rest * rest;
    double even = -1.0 / 6402373705728000.0;
    even = even * square + 1.0 / 20922789888000.0;
    even = even * square + -1.0 / 87178291200.0;
    even = even * square + 1.0 / 479001600.0;
    even = even * square + -1.0 / 3628800.0;
    even = even * square + 1.0 / 40320.0;
    even = even * square + -1.0 / 720.0;
    even = even * square + 1.0 / 24.0;
    even = even * square + -1.0 / 2.0;
    even = even * square + 1.0;
    double odd = -1.0 / 121645100408832000.0;
    odd = odd * square + 1.0 / 355687428096000.0;
    odd = odd * square + -1.0 / 1307674368000.0;
    odd = odd * square + 1.0 / 6227020800.0;
    odd = odd * square + -1.0 / 39916800.0;
    odd = odd * square + 1.0 / 362880.0;
    odd = odd * square + -1.0 / 5040.0;
    odd = odd * square + 1.0 / 120.0;
    odd = odd * square + -1.0 / 6.0;
    odd = odd * square + 1.0;
    double value = quarter & 1 ? rest * odd : even;
    value = quarter == 1 || quarter == 2 ? -value : value;
    return usual ? (float)value : __builtin_nanf("");
}

/* To nearest even; from 2^23 on, every float is an integer. */
INLINE float rint_of(float x)
{
    float size = single_of_bits(bits_of(x) & 0x7fffffffu);
    float nearest = with_sign((size + 0x1p23f) - 0x1p23f, x);
    return size < 0x1p23f ? nearest : x;
}

INLINE float floor_of(float x)
{
    float nearest = rint_of(x);
    return with_sign(nearest - (nearest > x ? 1.0f : 0.0f), x);
}

/* Two words of random bits for a logical element. */
INLINE void words_of(int64_t index, uint32_t seed, uint32_t stream, uint32_t step, uint32_t *first, uint32_t *second)
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)((uint64_t)index >> 32), c2 = step, c3 = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = (uint64_t)c0 * 0xd2511f53u, product1 = (uint64_t)c2 * 0xcd9e8d57u;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ seed;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ stream;
        c1 = (uint32_t)product1;
        c3 = (uint32_t)product0;
        seed += 0x9e3779b9u;
        stream += 0xbb67ae85u;
    }
    *first = c0;
    *second = c1;
}

INLINE float uniform_of(int64_t index, uint32_t seed, uint32_t stream, uint32_t step)
{
    uint32_t first, second;
    words_of(index, seed, stream, step, &first, &second);
    return (float)(int32_t)(first >> 8) * 0x1p-24f;
}

INLINE float normal_of(int64_t index, uint32_t seed, uint32_t stream, uint32_t step)
{
    uint32_t first, second;
    words_of(index, seed, stream, step, &first, &second);
    float above_zero = (float)(int32_t)((first >> 8) + 1) * 0x1p-24f;
    float turn = (float)(int32_t)(second >> 8) * 0x1p-24f;
    return __builtin_sqrtf(-2.0f * log_of(above_zero)) * cos_of(6.283185307179586f * turn);
}

/* What is done to lanes of registers alone is done to whole vectors of them: what lies behind the last lane is nothing. */
#define LANEWISE(CODE, RESULT)                                                                                         \
    case CODE:                                                                                                         \
        for (int64_t i = 0; i < filled; i++) {                                                                         \
            const float x = a[i], y = b[i];                                                                            \
            (void)y;                                                                                                   \
            d[i] = (RESULT);                                                                                           \
        }                                                                                                              \
        break;

#define SAME(CODE, VALUE)                                                                                              \
    case CODE: {                                                                                                       \
        const float value = (VALUE);                                                                                   \
        for (int64_t i = 0; i < filled; i++)                                                                           \
            d[i] = value;                                                                                              \
        break;                                                                                                         \
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

/* Runs *count* operations on the next *block* lanes. */
INLINE int32_t run(const struct lane *lanes, int64_t count, float *room, struct walk *walks, const int64_t *axes, int64_t rank,
                   const uint32_t *arguments, int64_t block)
{
    const int64_t filled = (block + LANES - 1) & -LANES;
    for (int64_t number = 0; number < count; number++) {
        const struct lane lane = lanes[number];
        float *restrict d = SLOT(lane.dst);
        const float *a = SLOT(lane.a), *b = SLOT(lane.b), *c = SLOT(lane.c);
        switch (lane.code) {
        case LOAD:
        case CARRY:
            EACH_RUN(walks[lane.walk], axes + lane.a * 2 * rank, block, load_run(d + done, at, step, n, lane.format);)
            break;
        case STORE: {
            int32_t wrong = 0;
            EACH_RUN(walks[lane.walk], axes + lane.b * 2 * rank, block, wrong |= store_run(a + done, at, step, n, lane.format);)
            if (wrong)
                return REFUSED;
            break;
        }
            SAME(SCALAR, single_of_bits(arguments[lane.a]))
            SAME(USCALAR, (float)arguments[lane.a])
            SAME(CONST, single_of_bits(lane.value))
            LANEWISE(ADD, x + y)
            LANEWISE(SUB, x - y)
            LANEWISE(MUL, x * y)
            LANEWISE(DIV, x / y)
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
            LANEWISE(SQRT, __builtin_sqrtf(x))
            LANEWISE(NEG, -x)
            LANEWISE(ABS, single_of_bits(bits_of(x) & 0x7fffffffu))
            LANEWISE(FLOOR, floor_of(x))
            LANEWISE(RINT, rint_of(x))
            LANEWISE(EXP, exp_of(x))
            LANEWISE(LOG, log_of(x))
            LANEWISE(TANH, tanh_of(x))
            LANEWISE(SELECT, c[i] != 0 ? x : y)
            LANEWISE(TO_BF16, of_bfloat(bfloat_of(x)))
        case TO_F16:
            on_half_grids(d, a, filled);
            break;
        case COS: {
            int32_t large = 0;
            for (int64_t i = 0; i < block; i++) {
                const float size = single_of_bits(bits_of(a[i]) & 0x7fffffffu);
                large |= (size > 1e6f) & (size < __builtin_inff());
                d[i] = cos_of(a[i]);
            }
            if (large)
                return TOO_LARGE;
            break;
        }
            RANDOM(UNIFORM, uniform_of)
            RANDOM(NORMAL, normal_of)
        default:
            return REFUSED;
        }
    }
    return DONE;
}

/* Answers DONE, or why the NumPy form has to do it; *room* has so many walks, and then from a multiple of 64 bytes on a
   block for every slot. */
static int64_t element(const struct element *plan, const int64_t *at, const uint32_t *arguments, char *room)
{
    const struct element p = *plan;
    struct walk *walks = (struct walk *)room;
    float *slots = (float *)(((uintptr_t)(walks + p.walks) + 63) & ~(uintptr_t)63);
    memset(walks, 0, p.walks * sizeof *walks);
    for (int64_t walk = 0; walk < p.walks; walk++)
        walks[walk].at = at[p.walked[walk]];
    int32_t outcome = DONE;
    /* One call, so that there is one copy of it: the first turn does what is the same for all blocks. */
    for (int64_t start = -1; start < p.total && outcome == DONE; start = start < 0 ? 0 : start + p.block) {
        const int64_t first = start < 0 ? 0 : p.once, number = start < 0 ? p.once : p.count - p.once;
        const int64_t left = p.total - (start < 0 ? 0 : start);
        outcome = run(p.lanes + first, number, slots, walks, p.axes, p.rank, arguments, left < p.block ? left : p.block);
    }
    return outcome;
}
