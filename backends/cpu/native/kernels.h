/* The three products that carry the weights, over the packed layouts of rwkv7.h, and the rounding of activations. */
#ifndef KERNELS_H
#define KERNELS_H

#include "rwkv7.h"
#include "simd.h"

/* Bytes ahead of the current one that are asked for while weights are read. The hardware's own prefetcher stops at 4 KB
   pages; without this, one thread reads a third less (docs/performance.md). */
enum { AHEAD = 2048 };
INLINE void prefetch(const uint8_t *p) { __builtin_prefetch(p, 0, 3); }

/* Inside a block: with one column what comes next goes to the first-level cache. With several, a whole block is fetched
   ahead, and beside the current one only the second level has room for it. */
INLINE void fetch(const uint8_t *p, size_t ahead, int columns) {
    if (!ahead) return;
    if (columns > 1) __builtin_prefetch(p + ahead, 0, 2);
    else __builtin_prefetch(p + ahead, 0, 3);
}

INLINE f32x16 load_as(const void *p, int format) {
    return format == FP32 ? load(p) : format == BF16 ? widen_bf16(p) : widen_fp16(p);
}

/* --- activations --- */

/* Column c of `a`, elements [from, from + n): int8 in groups of 32, each with the scale of its largest value.
   n is a multiple of 32 but for the column's end, which is padded with zeros up to `padded`. */
static void round_activations(Acts *a, int c, int from, int n, int padded, const float *x) {
    int8_t *q = a->q + (size_t)c * a->stride;
    for (int k = 0; k < padded; k += GROUP) {
        f32x16 low, high;
        if (k + GROUP <= n) {
            low = load(x + k), high = load(x + k + 16);
        } else {
            float rest[GROUP] = {0};
            if (k < n) memcpy(rest, x + k, sizeof(float) * (n - k));
            low = load(rest), high = load(rest + 16);
        }
        const float largest = max16(larger(magnitude(low), magnitude(high)));
        const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
        const float round = 12582912.0f; /* 1.5 * 2^23, see exp16 */
        low = low * inverse + round, high = high * inverse + round;
        i8x16 bytes_low = __builtin_convertvector((i32x16)low - 0x4B400000, i8x16);
        i8x16 bytes_high = __builtin_convertvector((i32x16)high - 0x4B400000, i8x16);
        memcpy(q + from + k, &bytes_low, 16), memcpy(q + from + k + 16, &bytes_high, 16);
        const int32_t sum = (int32_t)(sum16(low - round) + sum16(high - round));
        a->group[((size_t)c * a->stride + from + k) / GROUP] =
            (ActGroup){largest / 127.0f, SIGNED ? 0 : -128 * sum, -8 * sum, (WHOLE_BYTES ? -136 : -8) * sum};
    }
}

INLINE void put_activations(const Model *m, Acts *a, int c, int from, int n, int padded, const float *x) {
    if (m->quantized) round_activations(a, c, from, n, padded, x);
    else memcpy(a->x + (size_t)c * a->stride + from, x, sizeof(float) * n);
}

/* --- by rows: out[column][row of one block] --- */

/* Columns that a kernel serves at once: as many as leave their sums in registers. INT8 and INT4 keep two vectors of
   sums for each; INT_TILE depends on how many registers there are. */
enum { TILE = 4 };
INLINE int tile_of(int format) { return format >= INT8 ? INT_TILE : TILE; }

typedef struct { const int8_t *q[INT_TILE]; const ActGroup *group[INT_TILE]; } Columns;

INLINE Columns columns_of(const Acts *a, int c, const int n) {
    Columns out;
    UNROLL for (int b = 0; b < n; b++) {
        out.q[b] = a->q + (size_t)(c + b) * a->stride;
        out.group[b] = a->group + (size_t)(c + b) * (a->stride / GROUP);
    }
    return out;
}

/* Rows 0..15 to out[0..n), rows 16..31 to out[n..2n). Two vectors of rows for each activation that is loaded: with
   several columns it is loads that are scarce. */
INLINE void block_int8(const uint8_t *w, size_t ahead, int cols, const Acts *a, int c, const int n, f32x16 *out) {
    const Columns in = columns_of(a, c, n);
    f32x16 f[2 * INT_TILE];
    UNROLL for (int b = 0; b < 2 * n; b++) f[b] = splat(0);
    for (int g = 0; g < (cols + GROUP - 1) / GROUP; g++) {
        bytes acc[2 * INT_TILE];
        UNROLL for (int b = 0; b < 2 * n; b++) acc[b] = splat_word(&in.group[b % n][g].start8);
        UNROLL for (int j = 0; j < 8; j++) {
            const bytes upper = load_bytes(w), lower = load_bytes(w + 64);
            fetch(w, ahead, n), fetch(w + 64, ahead, n);
            w += 128;
            UNROLL for (int b = 0; b < n; b++) {
                const bytes x = splat_word(in.q[b] + g * GROUP + 4 * j);
                acc[b] = dot_int8(acc[b], upper, x), acc[n + b] = dot_int8(acc[n + b], lower, x);
            }
        }
        UNROLL for (int b = 0; b < 2 * n; b++) f[b] += to_float(acc[b]) * in.group[b % n][g].scale;
    }
    const float *scale = (const float *)w;
    UNROLL for (int b = 0; b < 2 * n; b++) out[b] = f[b] * load(b < n ? scale : scale + BLOCK);
}

INLINE void block_int4(const uint8_t *w, size_t ahead, int cols, const Acts *a, int c, const int n, f32x16 *out) {
    const Columns in = columns_of(a, c, n);
    f32x16 f[2 * INT_TILE];
    UNROLL for (int b = 0; b < 2 * n; b++) f[b] = splat(0);
    for (int g = 0; g < cols / GROUP; g++) {
        const uint16_t *scale = (const uint16_t *)w;
        bytes low[INT_TILE], both[INT_TILE];
        UNROLL for (int b = 0; b < n; b++) {
            low[b] = splat_word(&in.group[b][g].start4);
            both[b] = splat_word(&in.group[b][g].start4_both);
        }
        fetch(w, ahead, n);
        w += 64;
        UNROLL for (int j = 0; j < 8; j++) {
            const bytes v = load_bytes(w);
            fetch(w, ahead, n);
            w += 64;
            UNROLL for (int b = 0; b < n; b++)
                dot_int4(&low[b], &both[b], v, splat_word(in.q[b] + g * GROUP + 4 * j));
        }
        const f32x16 scale_low = widen_fp16(scale), scale_high = widen_fp16(scale + BLOCK);
        UNROLL for (int b = 0; b < n; b++) {
            f[b] += to_float(low[b]) * (scale_low * in.group[b][g].scale);
            f[n + b] += to_float(int4_high(low[b], both[b])) * (scale_high * in.group[b][g].scale);
        }
    }
    UNROLL for (int b = 0; b < 2 * n; b++) out[b] = f[b];
}

INLINE void block_float(const uint8_t *w, size_t ahead, int cols, const Acts *a, int c, const int n, f32x16 *out,
                        const int format) {
    enum { CHAINS = 4 }; /* partial sums of a column, so that additions need not wait for each other */
    const int chains = n == 1 ? CHAINS : 1, bytes_per_column = format == FP32 ? 64 : 32;
    f32x16 f[TILE * CHAINS];
    const float *x = a->x + (size_t)c * a->stride;
    UNROLL for (int i = 0; i < n * chains; i++) f[i] = splat(0);
    int k = 0;
    for (; k + chains <= cols; k += chains) {
        UNROLL for (int i = 0; i < chains; i++) {
            const f32x16 v = load_as(w, format);
            fetch(w, ahead, n);
            w += bytes_per_column;
            UNROLL for (int b = 0; b < n; b++) f[b * chains + i] += v * x[(size_t)b * a->stride + k + i];
        }
    }
    for (; k < cols; k++, w += bytes_per_column) f[0] += load_as(w, format) * x[k];
    UNROLL for (int b = 0; b < n; b++) {
        out[b] = f[b * chains];
        UNROLL for (int i = 1; i < chains; i++) out[b] += f[b * chains + i];
    }
}

#define ONE_BLOCK(n) \
    case n: \
        if (n <= INT_TILE && format == INT8) block_int8(w, ahead, cols, a, c, n <= INT_TILE ? n : 1, out); \
        else if (n <= INT_TILE && format == INT4) block_int4(w, ahead, cols, a, c, n <= INT_TILE ? n : 1, out); \
        else if (format == FP32) block_float(w, ahead, cols, a, c, n, out, FP32); \
        else if (format == BF16) block_float(w, ahead, cols, a, c, n, out, BF16); \
        else block_float(w, ahead, cols, a, c, n, out, FP16); \
        break;

static void block(int format, const uint8_t *w, size_t ahead, int cols, const Acts *a, int c, int n, f32x16 *out) {
    switch (n) { ONE_BLOCK(1) ONE_BLOCK(2) ONE_BLOCK(3) ONE_BLOCK(4) }
}

/* Blocks [first, last) of y = W x for all columns; out[c * out_stride + row]. Rows past the last are not written. */
static void multiply(const Matrix *w, int first, int last, const Acts *a, int columns, float *out, size_t out_stride) {
    const int tile = tile_of(w->format);
    for (int i = first; i < last; i++) {
        for (int c = 0; c < columns; c += tile) {
            const int n = columns - c < tile ? columns - c : tile;
            f32x16 y[2 * TILE];
            /* With several tiles there is time to fetch the whole next block during the first. */
            const size_t ahead = columns > tile ? (c == 0 ? w->block_bytes : 0) : columns > 1 ? 2 * AHEAD : AHEAD;
            block(w->format, w->data + i * w->block_bytes, ahead, w->cols, a, c, n, y);
            for (int part = 0; part < w->block_rows / BLOCK; part++) {
                const int row = i * w->block_rows + part * BLOCK;
                const int rows = w->rows - row < BLOCK ? w->rows - row : BLOCK;
                for (int b = 0; b < n && rows > 0; b++)
                    memcpy(out + (c + b) * out_stride + row, &y[part * n + b], sizeof(float) * rows);
            }
        }
    }
}

/* --- by inputs: y[column] += the inputs of a group times their rows; a row whose inputs are all zero is not read --- */

enum { PART = 4 }; /* columns (INT4: half as many) whose sums fit the registers beside one chunk of four rows */

/* The inputs of group g that any of n columns needs, in order. */
INLINE int live_inputs(const Model *m, const Acts *a, const int n, int g, uint8_t live[GROUP + 4]) {
    int count = 0;
    for (int i = 0; i < GROUP; i++) {
        int any = 0;
        for (int b = 0; b < n; b++) {
            const size_t at = (size_t)b * a->stride + g * GROUP + i;
            any |= m->quantized ? a->q[at] != 0 : a->x[at] != 0;
        }
        live[count] = (uint8_t)i;
        count += any;
    }
    return count;
}

/* Rows are taken by fours: their bytes are interleaved so that one dot product serves four inputs. */
INLINE void inputs_quantized(const Matrix *w, const Acts *a, const int n, int g, const uint8_t *live, int count,
                             const uint8_t *next, int next_count, float *y, size_t y_stride, const int format) {
    const int four_bits = format == INT4, padded = (int)y_stride;
    const size_t row_bytes = four_bits ? padded / 2 : padded;
    const uint8_t *rows = w->data + g * w->block_bytes + (four_bits ? sizeof(uint16_t) * padded : 0);
    const uint16_t *scales = (const uint16_t *)(w->data + g * w->block_bytes);
    const ActGroup *group[PART];
    int8_t q[PART][GROUP + 4] = {{0}};
    const uint8_t *row[GROUP + 4];
    UNROLL for (int b = 0; b < n; b++) group[b] = a->group + (size_t)b * (a->stride / GROUP) + g;
    for (int i = 0; i < count; i++) {
        row[i] = rows + live[i] * row_bytes;
        for (int b = 0; b < n; b++) q[b][i] = a->q[(size_t)b * a->stride + g * GROUP + live[i]];
    }
    for (int i = count; i % 4; i++) row[i] = row[count - 1]; /* with q = 0 */
    for (size_t chunk = 0; chunk < row_bytes; chunk += 64) {
        bytes low[PART][4], both[PART][4]; /* INT8 uses low alone */
        for (int i = 0; i < next_count; i++) prefetch(rows + w->block_bytes + next[i] * row_bytes + chunk);
        UNROLL for (int b = 0; b < n; b++)
            UNROLL for (int j = 0; j < 4; j++) {
                low[b][j] = splat_word(four_bits ? &group[b]->start4 : &group[b]->start8);
                both[b][j] = splat_word(&group[b]->start4_both);
            }
        for (int i = 0; i < count; i += 4) {
            bytes four[4];
            interleave(load_bytes(row[i] + chunk), load_bytes(row[i + 1] + chunk), load_bytes(row[i + 2] + chunk),
                       load_bytes(row[i + 3] + chunk), four);
            UNROLL for (int b = 0; b < n; b++)
                UNROLL for (int j = 0; j < 4; j++) {
                    if (four_bits) dot_int4(&low[b][j], &both[b][j], four[j], splat_word(q[b] + i));
                    else low[b][j] = dot_int8(low[b][j], four[j], splat_word(q[b] + i));
                }
        }
        UNROLL for (int b = 0; b < n; b++)
            UNROLL for (int j = 0; j < 4; j++) {
                float *at = y + b * y_stride + (four_bits ? 2 * chunk : chunk) + 16 * j;
                if (four_bits) {
                    const f32x16 sum = to_float(int4_high(low[b][j], both[b][j]));
                    const f32x16 scale = widen_fp16(scales + 2 * chunk + 64 + 16 * j) * group[b]->scale;
                    store(at + 64, load(at + 64) + sum * scale);
                    store(at, load(at) + to_float(low[b][j]) * (widen_fp16(scales + 2 * chunk + 16 * j) * group[b]->scale));
                } else store(at, load(at) + to_float(low[b][j]) * group[b]->scale);
            }
    }
}

INLINE void inputs_float(const Matrix *w, const Acts *a, const int n, int g, const uint8_t *live, int count,
                         const uint8_t *next, int next_count, float *y, size_t y_stride, const int format) {
    const size_t row_bytes = y_stride * (format == FP32 ? 4 : 2), step_bytes = format == FP32 ? 64 : 32;
    const uint8_t *group = w->data + g * w->block_bytes;
    const float *x = a->x + g * GROUP;
    for (size_t at = 0, d = 0; at < row_bytes; at += step_bytes, d += BLOCK) {
        f32x16 f[PART];
        UNROLL for (int b = 0; b < n; b++) f[b] = load(y + b * y_stride + d);
        if (at % 64 == 0)
            for (int i = 0; i < next_count; i++) prefetch(group + w->block_bytes + next[i] * row_bytes + at);
        for (int i = 0; i < count; i++) {
            const f32x16 v = load_as(group + live[i] * row_bytes + at, format);
            UNROLL for (int b = 0; b < n; b++) f[b] += v * x[(size_t)b * a->stride + live[i]];
        }
        UNROLL for (int b = 0; b < n; b++) store(y + b * y_stride + d, f[b]);
    }
}

#define INPUTS(n) \
    case n: \
        if (w->format == INT8) inputs_quantized(w, a, n, g, live, count, next, next_count, y, y_stride, INT8); \
        else if (w->format == INT4) inputs_quantized(w, a, n, g, live, count, next, next_count, y, y_stride, INT4); \
        else if (w->format == FP32) inputs_float(w, a, n, g, live, count, next, next_count, y, y_stride, FP32); \
        else if (w->format == BF16) inputs_float(w, a, n, g, live, count, next, next_count, y, y_stride, BF16); \
        else inputs_float(w, a, n, g, live, count, next, next_count, y, y_stride, FP16); \
        break;

/* Few columns: one pass over the rows that any of them needs. Returns how many rows were not read. */
static uint32_t add_live_inputs(const Model *m, const Matrix *w, int first, int last, const Acts *a, int n, float *y,
                                size_t y_stride) {
    uint32_t skipped = 0;
    uint8_t lists[2][GROUP + 4];
    int next_count = first < last ? live_inputs(m, a, n, first, lists[first % 2]) : 0;
    for (int g = first; g < last; g++) {
        const uint8_t *live = lists[g % 2], *next = lists[(g + 1) % 2];
        const int count = next_count;
        next_count = g + 1 < last ? live_inputs(m, a, n, g + 1, lists[(g + 1) % 2]) : 0;
        skipped += GROUP - count;
        if (!count) continue;
        switch (n) { INPUTS(1) INPUTS(2) INPUTS(3) INPUTS(4) }
    }
    return skipped;
}

/* A chunk of 64 bytes of each row in a panel of input rows, as blocks of the by-rows layout: what one serves then
   serves every column. INT8: outputs d.. and d + 32.., row scales left at 1; INT4: d.. and d + 64 together, four times
   16; floats: one or two blocks of 16. Returns the number of blocks. */
INLINE int panel_blocks(const Matrix *w, int g, int groups, size_t chunk, size_t padded, uint8_t *to, size_t *block_bytes) {
    const int format = w->format;
    const size_t scale_bytes = format == INT4 ? 64 : 0;
    const size_t row_bytes = (w->block_bytes - (format == INT4 ? 2 * padded : 0)) / GROUP;
    const uint8_t *from = w->data + g * w->block_bytes;
    if (format == FP32 || format == BF16 || format == FP16) {
        const int blocks = format == FP32 ? 1 : 2, piece = 64 / blocks;
        *block_bytes = groups * GROUP * piece;
        for (int p = 0; p < groups; p++, from += w->block_bytes)
            for (int i = 0; i < GROUP; i++)
                for (int j = 0; j < blocks; j++)
                    memcpy(to + j * *block_bytes + (p * GROUP + i) * piece, from + i * row_bytes + chunk + j * piece, piece);
        return blocks;
    }
    const int blocks = format == INT8 ? 2 : 4;
    const size_t step = 256 / blocks; /* bytes that a block gets of four rows */
    const size_t group_bytes = scale_bytes + GROUP / 4 * step;
    *block_bytes = groups * group_bytes + (format == INT8 ? 2 * BLOCK * sizeof(float) : 0);
    for (int p = 0; p < groups; p++, from += w->block_bytes) {
        const uint8_t *rows = from + (format == INT4 ? 2 * padded : 0) + chunk;
        uint8_t *group = to + p * group_bytes;
        for (int j = 0; j < 4 && format == INT4; j++) {
            memcpy(group + j * *block_bytes, from + 2 * (2 * chunk + 16 * j), 32);
            memcpy(group + j * *block_bytes + 32, from + 2 * (2 * chunk + 64 + 16 * j), 32);
        }
        group += scale_bytes;
        for (int i = 0; i < GROUP; i += 4, group += step) {
            const uint8_t *row = rows + i * row_bytes;
            bytes four[4];
            interleave(load_bytes(row), load_bytes(row + row_bytes), load_bytes(row + 2 * row_bytes),
                       load_bytes(row + 3 * row_bytes), four);
            UNROLL for (int j = 0; j < 4; j++) /* INT8: j = 0, 1 are rows 0..15 and 16..31 of block 0 */
                memcpy(group + (format == INT8 ? j / 2 * *block_bytes + j % 2 * 64 : j * *block_bytes), &four[j], 64);
        }
    }
    for (int j = 1; j <= 2 && format == INT8; j++) {
        float *scale = (float *)(to + j * *block_bytes) - 2 * BLOCK;
        store(scale, splat(1)), store(scale + BLOCK, splat(1));
    }
    return blocks;
}

/* Many columns: all rows, turned chunk by chunk into blocks of the other layout, which serve every column. */
static void add_all_inputs(const Matrix *w, int first, int last, const Acts *a, int columns, float *y, size_t y_stride) {
    enum { PANEL = 4 };
    uint8_t blocks[4 * (PANEL * (GROUP * BLOCK + 64) + 64)] __attribute__((aligned(64)));
    const int format = w->format, tile = tile_of(format);
    const size_t row_bytes = (w->block_bytes - (format == INT4 ? 2 * y_stride : 0)) / GROUP;
    for (int g = first; g < last; g += PANEL) {
        const int groups = last - g < PANEL ? last - g : PANEL;
        const uint8_t *next = w->data + (g + groups) * w->block_bytes;
        const size_t share = groups * w->block_bytes / (row_bytes / 64);
        Acts part = *a;
        if (a->q) part.q += g * GROUP, part.group += g;
        else part.x += g * GROUP;
        for (size_t chunk = 0; chunk < row_bytes; chunk += 64) {
            size_t block_bytes;
            const int count = panel_blocks(w, g, groups, chunk, y_stride, blocks, &block_bytes);
            const size_t d = format == INT4 ? 2 * chunk : format == INT8 ? chunk : format == FP32 ? chunk / 4 : chunk / 2;
            for (int j = 0; j < count; j++)
                for (int c = 0; c < columns; c += tile) {
                    const int n = columns - c < tile ? columns - c : tile;
                    f32x16 out[2 * TILE];
                    /* Spread over this panel's work, the next one is fetched: a burst of requests would stall. */
                    const size_t ahead = c == 0 ? (uintptr_t)next + chunk / 64 * share - (uintptr_t)blocks : 0;
                    block(format, blocks + j * block_bytes, ahead, groups * GROUP, &part, c, n, out);
                    for (int b = 0; b < n; b++) {
                        float *at = y + (c + b) * y_stride + d + (format == INT8 ? 2 : 1) * BLOCK * j;
                        float *second = at + (format == INT8 ? BLOCK : 64);
                        store(at, load(at) + out[b]);
                        if (format >= INT8) store(second, load(second) + out[n + b]);
                    }
                }
        }
    }
}

/* y[c * y_stride + d] = the share of input groups [first, last) in W x, for all columns. Returns how many rows were
   not read. */
static uint32_t multiply_inputs(const Model *m, const Matrix *w, int first, int last, const Acts *a, int columns,
                                float *y, size_t y_stride) {
    uint32_t skipped = 0;
    memset(y, 0, sizeof(float) * columns * y_stride);
    if (columns <= (w->format == INT4 ? PART / 2 : PART)) skipped = add_live_inputs(m, w, first, last, a, columns, y, y_stride);
    else add_all_inputs(w, first, last, a, columns, y, y_stride);
    if (w->format == INT8) { /* its row scales are in front of the data */
        const float *scale = (const float *)w->data - y_stride;
        for (int c = 0; c < columns; c++)
            for (size_t d = 0; d < y_stride; d += BLOCK)
                store(y + c * y_stride + d, load(y + c * y_stride + d) * load(scale + d));
    }
    return skipped;
}

#endif
