/* Elements that share a byte, where they lie in a memory: addresses and steps are in bits, little end first. */

#ifndef SNNC_PACKED
#define SNNC_PACKED

#include "_formats.h"

#define ONE_CODE(BITS, AT) (*(const byte_at *)((AT) >> 3) >> ((AT) & 7) & ((1u << (BITS)) - 1))

/* So many elements of *BITS* together, which are a few whole bytes, and then what is left of n. */
#define UNPACKED(FORMAT, BITS, TOGETHER, OF)                                                                           \
    case FORMAT:                                                                                                       \
        for (; step == BITS && i + TOGETHER <= n; i += TOGETHER, bytes += TOGETHER * BITS / 8) {                       \
            uint64_t word = 0;                                                                                         \
            _Pragma("GCC unroll 4") for (int k = 0; k < TOGETHER * BITS / 8; k++)                                      \
                word |= (uint64_t)bytes[k] << 8 * k;                                                                   \
            if (shift)                                                                                                 \
                word |= (uint64_t)bytes[TOGETHER * BITS / 8] << TOGETHER * BITS;                                       \
            const uint32_t codes = (uint32_t)(word >> shift);                                                          \
            for (int k = 0; k < TOGETHER; k++)                                                                         \
                to[i + k] = OF(codes >> k * BITS & ((1u << BITS) - 1));                                                \
        }                                                                                                              \
        if (step == 0 && n > 0) {                                                                                      \
            const float same = OF(ONE_CODE(BITS, at));                                                                 \
            EACH to[i] = same;                                                                                         \
        } else                                                                                                         \
            for (; i < n; i++)                                                                                         \
                to[i] = OF(ONE_CODE(BITS, at + i * step));                                                             \
        break;

INLINE float of_code(uint32_t code) { return (float)(int32_t)code; }

INLINE void load_packed(float *to, int64_t at, int64_t step, int64_t n, int format)
{
    const int shift = (int)(at & 7);
    const byte_at *bytes = (const byte_at *)(at >> 3);
    int64_t i = 0;
    switch (format) {
        UNPACKED(SPIKE, 1, 16, of_code)
        UNPACKED(U2, 2, 16, of_code)
        UNPACKED(U4, 4, 8, of_code)
        UNPACKED(TERNARY, 2, 16, of_ternary)
    }
}

INLINE int bits_in(int format) { return format == SPIKE ? 1 : format == U4 ? 4 : 2; }

INLINE void put_code(int64_t at, uint32_t code, int bits)
{
    byte_at *byte = (byte_at *)(at >> 3);
    const uint32_t mask = ((1u << bits) - 1) << (at & 7);
    *byte = (uint8_t)((*byte & ~mask) | code << (at & 7));
}

/* Bytes of so many codes each, which are words of as many bytes: they move together, in twos, then in fours. */
#define PACKED(TOGETHER, WORD, ...)                                                                                    \
    {                                                                                                                  \
        const int64_t count = (n - i) / TOGETHER;                                                                      \
        const WORD *words = (const WORD *)(codes + i);                                                                 \
        _Pragma("GCC ivdep") for (int64_t k = 0; k < count; k++)                                                       \
        {                                                                                                              \
            uint64_t word = (uint64_t)words[k];                                                                        \
            __VA_ARGS__                                                                                                \
            bytes[k] = (uint8_t)word;                                                                                  \
        }                                                                                                              \
        i += count * TOGETHER;                                                                                         \
    }

/* Codes of n elements; others in the first and the last byte stay. */
INLINE void store_packed(const uint8_t *codes, int64_t at, int64_t step, int64_t n, int format)
{
    const int bits = bits_in(format);
    int64_t i = 0;
    for (; i < n && (step != bits || (at + i * step) & 7); i++)
        put_code(at + i * step, codes[i], bits);
    byte_at *bytes = (byte_at *)((at + i * step) >> 3);
    if (bits == 1)
        PACKED(8, index_at, word |= word >> 7; word |= word >> 14; word |= word >> 28;)
    else if (bits == 2)
        PACKED(4, word_at, word |= word >> 6; word |= word >> 12;)
    else
        PACKED(2, half_at, word |= word >> 4;)
    for (; i < n; i++)
        put_code(at + i * step, codes[i], bits);
}

#endif
