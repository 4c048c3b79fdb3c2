/* Numbers as digits of eight bits, from -128 to 127, in planes of bytes, the lowest one first; part of `_matrix.c`. */

/* LANES finite f16 below 128 in units of 2^-24: bytes of these are digits but for the highest bit of each. */
INLINE __m512i biased(const uint16_t *from, __mmask16 there)
{
    const __m512 units = _mm512_mul_ps(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(there, from)), _mm512_set1_ps(0x1p24f));
    return _mm512_add_epi32(_mm512_cvtps_epi32(units), _mm512_set1_epi32((int)0x80808080u));
}

INLINE __m512i as_digits(__m512i bytes) { return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80)); }

/* Of two times sixteen words: their lowest bytes one behind the other, or those at the same place side by side. */
INLINE void lowest_bytes(__m512i *behind, __m512i *beside)
{
    uint8_t one[64], other[64];
    for (int i = 0; i < 64; i++) {
        one[i] = (uint8_t)(4 * (i % 32));
        other[i] = (uint8_t)(i / 4 * 4 + 64 * (i & 1));
    }
    *behind = _mm512_loadu_si512(one);
    *beside = _mm512_loadu_si512(other);
}

INLINE __mmask16 lanes_of(int64_t left) { return left >= LANES ? 0xffff : left > 0 ? (__mmask16)((1u << left) - 1) : 0; }

static void planes_of_halves(int8_t *to, int64_t pitch, const uint16_t *from, int64_t count, int digits)
{
    __m512i behind, beside;
    lowest_bytes(&behind, &beside);
    for (int64_t i = 0; i < count; i += TERMS) {
        __m512i four[4];
        for (int part = 0; part < 4; part++)
            four[part] = biased(from + i + LANES * part, lanes_of(count - i - LANES * part));
        for (int digit = 0; digit < digits; digit++) {
            const __m512i at = _mm512_add_epi8(behind, _mm512_set1_epi8((char)digit));
            const __m512i low = _mm512_permutex2var_epi8(four[0], at, four[1]), high = _mm512_permutex2var_epi8(four[2], at, four[3]);
            _mm512_storeu_si512(to + digit * pitch + i, as_digits(_mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1)));
        }
    }
}

/* The elements of a box as planes of digits, *pitch* bytes apart, which there are multiples of TERMS of. */
static void left_planes(int8_t *to, int64_t pitch, const void *from, const uint8_t *bits, int64_t element, int64_t count, int digits)
{
    if (element == HALVES) {
        planes_of_halves(to, pitch, from, count, digits);
        return;
    }
    if (element == COUNTS) {
        memcpy(to, from, count);
        return;
    }
    for (int64_t i = 0; i < count; i += TERMS) {
        const __mmask64 there = count - i < TERMS ? (1ull << (count - i)) - 1 : ~0ull;
        __mmask64 set;
        memcpy(&set, bits + i / 8, sizeof set);
        __m512i some = _mm512_maskz_set1_epi8(set, 1);
        if (element == SIGNS) {
            const __m512i codes = _mm512_maskz_loadu_epi8(there, (const int8_t *)from + i);
            some = _mm512_mask_set1_epi8(some, set & _mm512_test_epi8_mask(codes, _mm512_set1_epi8(2)), -1);
        }
        _mm512_storeu_si512(to + i, some);
    }
}

/* Sixteen bytes of each of sixteen rows become sixteen rows: four times, each of the first eight is interleaved with one of
   the others. */
INLINE void turn_bytes(__m512i *all)
{
    __m512i turned[ROWS];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < ROWS / 2; i++) {
            turned[2 * i] = _mm512_unpacklo_epi8(all[i], all[i + ROWS / 2]);
            turned[2 * i + 1] = _mm512_unpackhi_epi8(all[i], all[i + ROWS / 2]);
        }
        memcpy(all, turned, sizeof turned);
    }
}

/* A plane of rows of *length* bytes, turned: as many rows, *pitch* apart.  What is behind either is anything. */
static void turn_plane(int8_t *to, int64_t pitch, const int8_t *from, int64_t rows, int64_t length)
{
    for (int64_t column = 0; column < length; column += ROWS)
        for (int64_t first = 0; first < rows; first += TERMS) {
            __m512i all[ROWS];
#define OF_ROW(ROW) _mm_loadu_si128((const __m128i *)(from + ((ROW) < rows ? (ROW) : rows - 1) * length + column))
            for (int row = 0; row < ROWS; row++) {
                all[row] = _mm512_castsi128_si512(OF_ROW(first + row));
                all[row] = _mm512_inserti32x4(all[row], OF_ROW(first + row + ROWS), 1);
                all[row] = _mm512_inserti32x4(all[row], OF_ROW(first + row + 2 * ROWS), 2);
                all[row] = _mm512_inserti32x4(all[row], OF_ROW(first + row + 3 * ROWS), 3);
            }
            turn_bytes(all);
            for (int row = 0; row < ROWS && row < length - column; row++)
                _mm512_storeu_si512(to + (column + row) * pitch + first, all[row]);
        }
}

/* Rows of *columns* f16 as tiles of digits, to[digit][columns / LANES][tiles]; a row stands where its *slot* is. */
static void right_tiles(int8_t *to, const uint16_t *from, const int64_t *slots, int64_t tiles, int64_t columns, int digits)
{
    const int64_t plane = columns / LANES * tiles * TILE;
    __m512i behind, beside;
    lowest_bytes(&behind, &beside);
    for (int64_t i = 0; i < tiles * TERMS; i += 4, slots += 4) {
        int8_t *tile = to + i / TERMS * TILE + i % TERMS * LANES;
        const int none = slots[0] < 0 && slots[1] < 0 && slots[2] < 0 && slots[3] < 0;
        for (int64_t column = 0; column < columns; column += LANES, tile += tiles * TILE) {
            __m512i four[4];
            for (int row = 0; row < 4 && !none; row++)
                four[row] = slots[row] < 0 ? biased(from, 0) : biased(from + slots[row] * columns + column, 0xffff);
            for (int digit = 0; digit < digits; digit++) {
                const __m512i at = _mm512_add_epi8(beside, _mm512_set1_epi8((char)digit));
                const __m512i low = _mm512_permutex2var_epi8(four[0], at, four[1]), high = _mm512_permutex2var_epi8(four[2], at, four[3]);
                const __m512i some = as_digits(_mm512_mask_blend_epi16(0xaaaaaaaau, low, high));
                _mm512_store_si512(tile + digit * plane, none ? _mm512_setzero_si512() : some);
            }
        }
    }
}
