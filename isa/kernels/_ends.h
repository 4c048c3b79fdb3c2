/* Exact sums of 64 bits go to accumulators of 128: pairs [low, high] of units of 2^-48; a sum is of 2^-48 << shift. */

#define FLAG 0x7fffffffffffffffull /* high words of flags: this, and one more */

INLINE void add_pair(uint64_t *pair, int64_t sum, int shift, int fresh)
{
    const uint64_t low = (uint64_t)sum << shift, high = (uint64_t)(sum >> (63 - shift) >> 1);
    const uint64_t old_low = fresh ? 0 : pair[0], old_high = fresh ? 0 : pair[1];
    const int flagged = (old_high == FLAG && old_low == ~0ull) || (old_high == FLAG + 1 && old_low < 2);
    pair[0] = flagged ? old_low : old_low + low;
    pair[1] = flagged ? old_high : old_high + high + (old_low + low < low);
}

#if VECTOR_BYTES == 64
#define AT_ONCE 8 /* pairs */

/* Four pairs, and what is added to them. */
INLINE __m512i grown(__m512i old, __m512i added)
{
    const __m512i sum = _mm512_add_epi64(old, added);
    const __mmask8 carried = _mm512_mask_cmplt_epu64_mask(0x55, sum, added);
    return _mm512_mask_sub_epi64(sum, (__mmask8)(carried << 1), sum, _mm512_set1_epi64(-1));
}

/* AT_ONCE pairs side by side, or `left` of them.  The two topmost bits of a high word differ where it may be a flag: then
   they are looked at one by one. */
INLINE void add_together(uint64_t *pair, const int64_t *sums, int64_t left, int shift, int fresh)
{
    const __m512i first_four = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), last_four = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    const uint32_t words = left < AT_ONCE ? (1u << 2 * left) - 1 : 0xffffu;
    const __mmask8 first = (__mmask8)words, last = (__mmask8)(words >> 8), all = left < AT_ONCE ? (__mmask8)((1u << left) - 1) : 0xff;
    const __m512i some = _mm512_maskz_loadu_epi64(all, sums);
    const __m512i low = _mm512_sllv_epi64(some, _mm512_set1_epi64(shift)), high = _mm512_srav_epi64(some, _mm512_set1_epi64(64 - shift));
    __m512i one = _mm512_permutex2var_epi64(low, first_four, high), two = _mm512_permutex2var_epi64(low, last_four, high);
    if (!fresh) {
        const __m512i old_one = _mm512_maskz_loadu_epi64(first, pair), old_two = _mm512_maskz_loadu_epi64(last, pair + AT_ONCE);
        const __m512i far_one = _mm512_xor_si512(old_one, _mm512_add_epi64(old_one, old_one));
        const __m512i far_two = _mm512_xor_si512(old_two, _mm512_add_epi64(old_two, old_two));
        if (__builtin_expect(_mm512_movepi64_mask(_mm512_or_si512(far_one, far_two)) & 0xaa, 0)) {
            for (int64_t j = 0; j < left && j < AT_ONCE; j++)
                add_pair(pair + 2 * j, sums[j], shift, 0);
            return;
        }
        one = grown(old_one, one);
        two = grown(old_two, two);
    }
    _mm512_mask_storeu_epi64(pair, first, one);
    _mm512_mask_storeu_epi64(pair + AT_ONCE, last, two);
}
#else
#define AT_ONCE 4
typedef uint64_t pairs __attribute__((vector_size(16 * AT_ONCE), aligned(8), may_alias));
typedef int64_t signed_pairs __attribute__((vector_size(16 * AT_ONCE), aligned(8), may_alias));

/* Low words where high ones were, and the other way round. */
#if defined(__clang__)
#define SWAPPED(PAIRS) __builtin_shufflevector(PAIRS, PAIRS, 1, 0, 3, 2, 5, 4, 7, 6)
#else
#define SWAPPED(PAIRS) __builtin_shuffle(PAIRS, (pairs){1, 0, 3, 2, 5, 4, 7, 6})
#endif

INLINE void add_together(uint64_t *pair, const int64_t *sums, int64_t left, int shift, int fresh)
{
    const pairs is_low = {~0ull, 0, ~0ull, 0, ~0ull, 0, ~0ull, 0};
    uint64_t flagged = 0;
    for (int j = 0; j < AT_ONCE && left >= AT_ONCE && !fresh; j++)
        flagged |= pair[2 * j + 1] - FLAG < 2;
    if (left < AT_ONCE || flagged) {
        for (int64_t j = 0; j < left && j < AT_ONCE; j++)
            add_pair(pair + 2 * j, sums[j], shift, fresh);
        return;
    }
    const signed_pairs some = {sums[0], sums[0], sums[1], sums[1], sums[2], sums[2], sums[3], sums[3]};
    const pairs added = ((pairs)some << shift & is_low) | ((pairs)(some >> (63 - shift) >> 1) & ~is_low);
    if (fresh)
        *(pairs *)pair = added;
    else {
        const pairs sum = *(pairs *)pair + added, carried = (pairs)(sum < added) & is_low;
        *(pairs *)pair = sum - SWAPPED(carried);
    }
}
#endif

/* Of n pairs side by side. */
INLINE void add_pairs(uint64_t *pair, const int64_t *sums, int64_t n, int shift, int fresh)
{
    int64_t j = 0;
    for (; j + AT_ONCE <= n; j += AT_ONCE)
        add_together(pair + 2 * j, sums + j, AT_ONCE, shift, fresh);
    if (j < n)
        add_together(pair + 2 * j, sums + j, n - j, shift, fresh);
}

static void end_x128(const struct results *of, const int64_t *sums, uint64_t *out, int shift, int fresh)
{
    const int64_t *to = of->columns_at, run = of->run;
    for (int64_t row = 0; row < of->count; row++, sums += of->columns) {
        uint64_t *row_out = out + 2 * of->rows_at[row];
        for (int64_t first = 0; first < of->n; first += run) {
            uint64_t *pair = row_out + 2 * (to ? to[first] : first);
            if (run == 1)
                add_pair(pair, sums[first], shift, fresh);
            else if (fresh)
                add_pairs(pair, sums + first, run, shift, 1);
            else
                add_pairs(pair, sums + first, run, shift, 0);
        }
    }
}
#undef AT_ONCE
