/* Sixteen lanes on every instruction set: generic vectors for float32, and the few integer operations that need names.

   bytes      64 bytes, as 16 lanes of 4
   dot_int8   acc[i] + sum over 4 of w * a, for stored w = value + 128; acc starts at ActGroup.start8 unless SIGNED
   dot_int4   the same for the two nibbles of each byte: low[i] += low nibbles * a, and both[i] so that
   int4_high  of the two gives the sum for the high nibbles. Where u8 x s8 products are cheap, `both` takes the
              bytes as they are (low + 16 high), which saves shifting and masking the high nibbles
   interleave four rows of 64 output bytes -> four vectors of 16 outputs x 4 rows (see "by inputs" in rwkv7.h) */
#ifndef SIMD_H
#define SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#if defined(ISA_baseline) || !defined(__GNUC__)
#define UNROLL /* nothing to gain without wide registers, and it takes long to compile */
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef int8_t i8x16 __attribute__((vector_size(16)));

INLINE f32x16 splat(float x) { return x - (f32x16){0}; }
INLINE f32x16 load(const float *p) { f32x16 v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, f32x16 v) { memcpy(p, &v, sizeof v); }
INLINE f32x16 choose(i32x16 mask, f32x16 a, f32x16 b) { return (f32x16)(((i32x16)a & mask) | ((i32x16)b & ~mask)); }
INLINE f32x16 larger(f32x16 a, f32x16 b) { return choose(a > b, a, b); }
INLINE f32x16 smaller(f32x16 a, f32x16 b) { return choose(a < b, a, b); }
INLINE f32x16 magnitude(f32x16 a) { return (f32x16)((i32x16)a & 0x7fffffff); }
INLINE f32x16 widen_bf16(const uint16_t *p) {
    u16x16 v; memcpy(&v, p, sizeof v);
    return (f32x16)(__builtin_convertvector(v, i32x16) << 16);
}
INLINE int32_t word(const void *p) { int32_t v; memcpy(&v, p, sizeof v); return v; }

#if defined(ISA_avx512)
#include <immintrin.h>
typedef __m512i bytes;
enum { SIGNED = 0, WHOLE_BYTES = 1, INT_TILE = 4 };
INLINE bytes load_bytes(const void *p) { return _mm512_loadu_si512(p); }
INLINE bytes splat_word(const void *p) { return _mm512_set1_epi32(word(p)); }
INLINE bytes dot_int8(bytes acc, bytes w, bytes a) { return _mm512_dpbusd_epi32(acc, w, a); }
INLINE void dot_int4(bytes *low, bytes *both, bytes w, bytes a) {
    *low = _mm512_dpbusd_epi32(*low, _mm512_and_si512(w, _mm512_set1_epi8(15)), a);
    *both = _mm512_dpbusd_epi32(*both, w, a);
}
INLINE bytes int4_high(bytes low, bytes both) { return _mm512_srai_epi32(_mm512_sub_epi32(both, low), 4); }
INLINE f32x16 to_float(bytes v) { return (f32x16)_mm512_cvtepi32_ps(v); }
INLINE f32x16 widen_fp16(const uint16_t *p) {
    return (f32x16)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
INLINE float sum16(f32x16 v) { return _mm512_reduce_add_ps((__m512)v); }
INLINE float max16(f32x16 v) { return _mm512_reduce_max_ps((__m512)v); }
INLINE void interleave(bytes a, bytes b, bytes c, bytes d, bytes out[4]) {
    bytes ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    bytes cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
    out[0] = _mm512_unpacklo_epi16(ab0, cd0), out[1] = _mm512_unpackhi_epi16(ab0, cd0);
    out[2] = _mm512_unpacklo_epi16(ab1, cd1), out[3] = _mm512_unpackhi_epi16(ab1, cd1);
}

#elif defined(ISA_avx2) || defined(ISA_avxvnni)
#include <immintrin.h>
typedef struct { __m256i v[2]; } bytes;
#define BOTH(expression) ({ bytes out_; UNROLL for (int i = 0; i < 2; i++) out_.v[i] = (expression); out_; })
INLINE bytes load_bytes(const void *p) { return BOTH(_mm256_loadu_si256((const __m256i *)p + i)); }
INLINE bytes splat_word(const void *p) { return BOTH(_mm256_set1_epi32(word(p))); }
INLINE __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
#if defined(ISA_avxvnni)
enum { SIGNED = 0, WHOLE_BYTES = 1, INT_TILE = 2 };
INLINE bytes dot_int8(bytes acc, bytes w, bytes a) {
    return BOTH(_mm256_dpbusd_avx_epi32(acc.v[i], w.v[i], a.v[i]));
}
INLINE void dot_int4(bytes *low, bytes *both, bytes w, bytes a) {
    *low = BOTH(_mm256_dpbusd_avx_epi32(low->v[i], low_nibbles(w.v[i]), a.v[i]));
    *both = dot_int8(*both, w, a);
}
INLINE bytes int4_high(bytes low, bytes both) {
    return BOTH(_mm256_srai_epi32(_mm256_sub_epi32(both.v[i], low.v[i]), 4));
}
#else
/* vpmaddubsw adds pairs in 16 bits: 255 * 127 * 2 would saturate, so the sign of w goes to a and |w| <= 127 stays. */
enum { SIGNED = 1, WHOLE_BYTES = 0, INT_TILE = 2 };
INLINE __m256i pairs(__m256i acc, __m256i w, __m256i a) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1)));
}
INLINE __m256i dot_signed(__m256i acc, __m256i w, __m256i a) {
    w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    return pairs(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
}
INLINE bytes dot_int8(bytes acc, bytes w, bytes a) { return BOTH(dot_signed(acc.v[i], w.v[i], a.v[i])); }
INLINE void dot_int4(bytes *low, bytes *high, bytes w, bytes a) {
    *low = BOTH(pairs(low->v[i], low_nibbles(w.v[i]), a.v[i]));
    *high = BOTH(pairs(high->v[i], low_nibbles(_mm256_srli_epi16(w.v[i], 4)), a.v[i]));
}
INLINE bytes int4_high(bytes low, bytes high) { (void)low; return high; }
#endif
INLINE f32x16 to_float(bytes v) {
    f32x16 out;
    UNROLL for (int i = 0; i < 2; i++) {
        __m256 half = _mm256_cvtepi32_ps(v.v[i]);
        memcpy((char *)&out + 32 * i, &half, 32);
    }
    return out;
}
INLINE f32x16 widen_fp16(const uint16_t *p) {
    f32x16 out;
    UNROLL for (int i = 0; i < 2; i++) {
        __m256 half = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p + i));
        memcpy((char *)&out + 32 * i, &half, 32);
    }
    return out;
}
INLINE void interleave(bytes a, bytes b, bytes c, bytes d, bytes out[4]) {
    UNROLL for (int i = 0; i < 2; i++) {
        __m256i ab0 = _mm256_unpacklo_epi8(a.v[i], b.v[i]), ab1 = _mm256_unpackhi_epi8(a.v[i], b.v[i]);
        __m256i cd0 = _mm256_unpacklo_epi8(c.v[i], d.v[i]), cd1 = _mm256_unpackhi_epi8(c.v[i], d.v[i]);
        out[0].v[i] = _mm256_unpacklo_epi16(ab0, cd0), out[1].v[i] = _mm256_unpackhi_epi16(ab0, cd0);
        out[2].v[i] = _mm256_unpacklo_epi16(ab1, cd1), out[3].v[i] = _mm256_unpackhi_epi16(ab1, cd1);
    }
}

#elif defined(ISA_neon)
#include <arm_neon.h>
typedef struct { uint8x16_t v[4]; } bytes;
enum { SIGNED = 1, WHOLE_BYTES = 0, INT_TILE = 2 };
#define ALL(expression) ({ bytes out_; UNROLL for (int i = 0; i < 4; i++) out_.v[i] = (expression); out_; })
INLINE bytes load_bytes(const void *p) { return ALL(vld1q_u8((const uint8_t *)p + 16 * i)); }
INLINE bytes splat_word(const void *p) { return ALL(vreinterpretq_u8_s32(vdupq_n_s32(word(p)))); }
INLINE uint8x16_t dot_signed(uint8x16_t acc, uint8x16_t w, uint8x16_t a) {
    return vreinterpretq_u8_s32(
        vdotq_s32(vreinterpretq_s32_u8(acc), vreinterpretq_s8_u8(w), vreinterpretq_s8_u8(a)));
}
INLINE bytes dot_int8(bytes acc, bytes w, bytes a) {
    return ALL(dot_signed(acc.v[i], veorq_u8(w.v[i], vdupq_n_u8(128)), a.v[i]));
}
INLINE void dot_int4(bytes *low, bytes *high, bytes w, bytes a) {
    *low = ALL(dot_signed(low->v[i], vandq_u8(w.v[i], vdupq_n_u8(15)), a.v[i]));
    *high = ALL(dot_signed(high->v[i], vshrq_n_u8(w.v[i], 4), a.v[i]));
}
INLINE bytes int4_high(bytes low, bytes high) { (void)low; return high; }
INLINE f32x16 to_float(bytes v) {
    f32x16 out;
    UNROLL for (int i = 0; i < 4; i++) {
        float32x4_t quarter = vcvtq_f32_s32(vreinterpretq_s32_u8(v.v[i]));
        memcpy((char *)&out + 16 * i, &quarter, 16);
    }
    return out;
}
INLINE f32x16 widen_fp16(const uint16_t *p) {
    f32x16 out;
    UNROLL for (int i = 0; i < 4; i++) {
        float32x4_t quarter = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
        memcpy((char *)&out + 16 * i, &quarter, 16);
    }
    return out;
}
INLINE void interleave(bytes a, bytes b, bytes c, bytes d, bytes out[4]) {
    UNROLL for (int i = 0; i < 4; i++) {
        uint16x8_t ab0 = vreinterpretq_u16_u8(vzip1q_u8(a.v[i], b.v[i]));
        uint16x8_t ab1 = vreinterpretq_u16_u8(vzip2q_u8(a.v[i], b.v[i]));
        uint16x8_t cd0 = vreinterpretq_u16_u8(vzip1q_u8(c.v[i], d.v[i]));
        uint16x8_t cd1 = vreinterpretq_u16_u8(vzip2q_u8(c.v[i], d.v[i]));
        out[0].v[i] = vreinterpretq_u8_u16(vzip1q_u16(ab0, cd0)), out[1].v[i] = vreinterpretq_u8_u16(vzip2q_u16(ab0, cd0));
        out[2].v[i] = vreinterpretq_u8_u16(vzip1q_u16(ab1, cd1)), out[3].v[i] = vreinterpretq_u8_u16(vzip2q_u16(ab1, cd1));
    }
}

#else /* any machine: plain C, as much of it as the compiler makes vectors of */
typedef struct { uint8_t v[64]; } bytes;
enum { SIGNED = 0, WHOLE_BYTES = 0, INT_TILE = 2 };
INLINE bytes load_bytes(const void *p) { bytes v; memcpy(&v, p, 64); return v; }
INLINE bytes splat_word(const void *p) { bytes v; for (int i = 0; i < 16; i++) memcpy(v.v + 4 * i, p, 4); return v; }
INLINE bytes dot_int8(bytes acc, bytes w, bytes a) {
    int32_t lane[16];
    memcpy(lane, &acc, 64);
    for (int i = 0; i < 64; i++) lane[i / 4] += (int32_t)w.v[i] * (int8_t)a.v[i];
    memcpy(&acc, lane, 64);
    return acc;
}
INLINE void dot_int4(bytes *low, bytes *high, bytes w, bytes a) {
    bytes shifted = w;
    for (int i = 0; i < 64; i++) w.v[i] &= 15, shifted.v[i] >>= 4;
    *low = dot_int8(*low, w, a), *high = dot_int8(*high, shifted, a);
}
INLINE bytes int4_high(bytes low, bytes high) { (void)low; return high; }
INLINE f32x16 to_float(bytes v) { i32x16 i; memcpy(&i, &v, 64); return __builtin_convertvector(i, f32x16); }
INLINE float widen_one_fp16(uint16_t h) {
    uint32_t bits = (uint32_t)(h & 0x7fff) << 13;
    float value;
    bits += (uint32_t)(bits < 1u << 23 ? 113 : 112) << 23;
    memcpy(&value, &bits, 4);
    if ((h & 0x7c00) == 0) value -= 0x1p-14f; /* a subnormal: the leading one was not there */
    return h & 0x8000 ? -value : value;
}
INLINE f32x16 widen_fp16(const uint16_t *p) {
    f32x16 out;
    for (int i = 0; i < 16; i++) out[i] = widen_one_fp16(p[i]);
    return out;
}
INLINE void interleave(bytes a, bytes b, bytes c, bytes d, bytes out[4]) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++) {
                int from = 16 * i + 4 * j + e, to = 4 * (4 * i + e);
                out[j].v[to] = a.v[from], out[j].v[to + 1] = b.v[from];
                out[j].v[to + 2] = c.v[from], out[j].v[to + 3] = d.v[from];
            }
}
#endif

#if !defined(ISA_avx512)
INLINE float sum16(f32x16 v) {
    float s = 0;
    for (int i = 0; i < 4; i++) s += (v[i] + v[i + 8]) + (v[i + 4] + v[i + 12]);
    return s;
}
INLINE float max16(f32x16 v) {
    float m = v[0];
    for (int i = 1; i < 16; i++) m = v[i] > m ? v[i] : m;
    return m;
}
#endif

/* exp to 2 units in the last place: Cephes' expf (netlib.org/cephes, single/expf.c), argument clamped to +-87. */
INLINE f32x16 exp16(f32x16 x) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, in the low bits */
    x = larger(smaller(x, splat(87.0f)), splat(-87.0f));
    f32x16 shifted = x * 1.44269504088896341f + round;
    f32x16 n = shifted - round;
    f32x16 r = x - n * 0.693359375f + n * 2.12194440e-4f;
    f32x16 p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (f32x16)((i32x16)p + (((i32x16)shifted - 0x4B400000) << 23));
}
INLINE f32x16 sigmoid16(f32x16 x) { return 1.0f / (1.0f + exp16(-x)); }
INLINE f32x16 tanh16(f32x16 x) { return 2.0f * sigmoid16(2.0f * x) - 1.0f; }

#endif
