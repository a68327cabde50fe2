/* From canonical tensors to the packed layouts of rwkv7.h. Every thread packs its share of the blocks. */
#include <string.h>

#include "rwkv7.h"

/* Canonical int4 values at..at + 3 (even ones in the low nibbles of their bytes), one to a byte. */
static uint32_t four_nibbles(const Packing *p, size_t at) {
    uint16_t x;
    memcpy(&x, (const uint8_t *)p->data + at / 2, 2);
    return (x & 15u) | (x & 0xf0u) << 4 | (x & 0xf00u) << 8 | (x & 0xf000u) << 12;
}

static void pack_rows(const Packing *p, int block) {
    const Matrix *w = p->matrix;
    const int first = block * w->block_rows;
    const int rows = w->rows - first < w->block_rows ? w->rows - first : w->block_rows;
    uint8_t *to = w->data + block * w->block_bytes;
    const size_t cols = w->cols;
    /* Row by row: the source is read forward, and the scattered writes stay within a block that fits the cache. */
    if (w->format == INT8) {
        const size_t padded = (cols + GROUP - 1) / GROUP * GROUP;
        memset(to, 0x80, padded * w->block_rows);
        for (int r = 0; r < rows; r++) {
            const uint8_t *from = (const uint8_t *)p->data + (first + r) * cols;
            for (size_t k = 0; k < cols; k += 4) {
                uint32_t four = 0;
                memcpy(&four, from + k, cols - k < 4 ? cols - k : 4);
                four ^= 0x80808080;
                memcpy(to + k * w->block_rows + 4 * r, &four, 4);
            }
        }
        to += padded * w->block_rows;
        memset(to, 0, sizeof(float) * w->block_rows);
        memcpy(to, (const float *)p->scale + first, sizeof(float) * rows);
    } else if (w->format == INT4) {
        const size_t groups = cols / GROUP, group_bytes = 64 + GROUP * BLOCK;
        for (size_t g = 0; g < groups; g++)
            memset(to + g * group_bytes, 0, 64), memset(to + g * group_bytes + 64, 0x88, GROUP * BLOCK);
        for (int r = 0; r < rows; r++)
            for (size_t g = 0; g < groups; g++) {
                uint8_t *group = to + g * group_bytes;
                memcpy(group + 2 * r, (const uint16_t *)p->scale + (first + r) * groups + g, 2);
                for (size_t k = 0; k < GROUP; k += 4) {
                    uint8_t *at = group + 64 + 16 * k + 4 * (r % BLOCK);
                    const uint32_t four = four_nibbles(p, (first + r) * cols + g * GROUP + k);
                    uint32_t both;
                    memcpy(&both, at, 4);
                    both = r < BLOCK ? (both & 0xf0f0f0f0) | four : (both & 0x0f0f0f0f) | four << 4;
                    memcpy(at, &both, 4);
                }
            }
    } else {
        const size_t size = w->format == FP32 ? 4 : 2;
        for (size_t k = 0; k < cols; k++)
            for (int r = 0; r < BLOCK; r++, to += size)
                if (r < rows) memcpy(to, (const uint8_t *)p->data + ((first + r) * cols + k) * size, size);
    }
}

/* Where output d of a 64-byte chunk lies, so that four interleaved rows come out in order. */
static size_t place(size_t d) { return 16 * (d / 4 % 4) + 4 * (d / 16) + d % 4; }

static void pack_inputs(const Packing *p, int group) {
    const Matrix *w = p->matrix;
    const size_t rows = w->rows, cols = w->cols, padded = (rows + 127) / 128 * 128, k0 = (size_t)group * GROUP;
    uint8_t *to = w->data + group * w->block_bytes;
    if (w->format == INT8) {
        memset(to, 0x80, w->block_bytes);
        for (size_t d = 0; d < rows; d++)
            for (size_t k = 0; k < GROUP; k++)
                to[k * padded + d / 64 * 64 + place(d % 64)] = ((const uint8_t *)p->data)[d * cols + k0 + k] ^ 0x80;
    } else if (w->format == INT4) {
        uint8_t *values = to + padded * 2;
        memset(to, 0, padded * 2);
        memset(values, 0x88, GROUP * padded / 2);
        for (size_t d = 0; d < rows; d++) {
            memcpy(to + 2 * d, (const uint16_t *)p->scale + d * (cols / GROUP) + group, 2);
            const int high = d / 64 % 2;
            for (size_t k = 0; k < GROUP; k++) {
                const uint8_t pair = ((const uint8_t *)p->data)[(d * cols + k0 + k) / 2];
                const uint8_t nibble = k % 2 ? pair >> 4 : pair & 15;
                uint8_t *at = values + k * padded / 2 + d / 128 * 64 + place(d % 64);
                *at = high ? (uint8_t)((*at & 0x0f) | nibble << 4) : (uint8_t)((*at & 0xf0) | nibble);
            }
        }
    } else {
        const size_t size = w->format == FP32 ? 4 : 2;
        for (size_t d = 0; d < rows; d++)
            for (size_t k = 0; k < GROUP; k++)
                memcpy(to + (k * padded + d) * size, (const uint8_t *)p->data + (d * cols + k0 + k) * size, size);
    }
}

void rwkv7_pack(Model *m, int t) {
    const Packing *p = &m->packing;
    const Matrix *w = p->matrix;
    const int blocks = p->by_inputs ? w->cols / GROUP : (w->rows + w->block_rows - 1) / w->block_rows;
    const int from = (int)((int64_t)blocks * t / m->threads), to = (int)((int64_t)blocks * (t + 1) / m->threads);
    for (int i = from; i < to; i++) {
        if (p->by_inputs) pack_inputs(p, i);
        else pack_rows(p, i);
    }
    if (t == 0 && p->by_inputs && w->format == INT8) {
        float *front = (float *)w->data - ((size_t)w->rows + 127) / 128 * 128;
        memcpy(front, p->scale, sizeof(float) * w->rows);
    }
}
