/* One pass through the network, as every thread runs it. Compiled once for each instruction set.

   Between barriers a thread writes only what is its own. With one column there is nothing to share out in the cheap
   parts (norms, mixes, rounding), so each thread does them for itself, in its own slot: that costs less than waiting.
   With several columns, each thread does its own columns. Barriers per layer: 4 with one column, 6 with several.

     A  x += channel-mix of the layer before; ln1, token shift, mixes | rows of r k v w1 a1 v1 g1 | barrier
     B  w2 a2 v2 g2, WKV, head norm, gate for the thread's own heads                              | barrier
     C  rows of output                                                                            | barrier
     D  x += output; ln2, token shift, mix | rows of channel-mix key, squared ReLU, and at once
        the same inputs of its value matrix, as a share of the sum                                | barrier */
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#endif

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAMED(x) JOIN(x, ISA)
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

typedef struct {
    Model *m;
    const Job *job;
    int t, threads;
    int slot0, slot1;        /* own slots of x and normed */
    int acts;                /* which of m->mixed is meant: the own one with one column, else the shared one */
    int head0, head1;        /* own heads */
    size_t width, padded_width;
    size_t tmix, wkv, cmix;  /* offsets of the layer's parts in a state */
} Thread;

INLINE void split(int n, int t, int threads, int *from, int *to) {
    *from = (int)((int64_t)n * t / threads), *to = (int)((int64_t)n * (t + 1) / threads);
}

INLINE float *state_of(const Thread *th, int c) { return th->job->states[th->job->sequence ? 0 : c]; }
INLINE int column_of(const Thread *th, int slot) { return th->job->columns == 1 ? 0 : slot; }

static void layer_norm(const float *x, const float *weight, const float *bias, int n, float *out) {
    f32x16 sum = splat(0), square = splat(0);
    for (int i = 0; i < n; i += 16) sum += load(x + i);
    const float mean = sum16(sum) / n;
    for (int i = 0; i < n; i += 16) { f32x16 d = load(x + i) - mean; square += d * d; }
    const float scale = 1.0f / sqrtf(sum16(square) / n + 1e-5f);
    for (int i = 0; i < n; i += 16) store(out + i, (load(x + i) - mean) * scale * load(weight + i) + load(bias + i));
}

/* Each column's input of the token shift before it: the state's for a sequence's first, else the column before. */
INLINE const float *shifted(const Thread *th, int slot, size_t offset) {
    const int c = column_of(th, slot);
    return c == 0 || !th->job->sequence ? state_of(th, c) + offset : th->m->normed + (slot - 1) * th->width;
}

static void mix(const Thread *th, int slot, const float *previous, const float *amount, Acts *a) {
    const float *x = th->m->normed + slot * th->width;
    float out[th->width];
    for (size_t i = 0; i < th->width; i += 16) {
        const f32x16 now = load(x + i);
        store(out + i, now + (load(previous + i) - now) * load(amount + i));
    }
    put_activations(th->m, a, column_of(th, slot), 0, (int)th->width, a->stride, out);
}

/* The shift memory takes the last input, once nobody reads the old one any more. */
static void remember(const Thread *th, size_t offset) {
    for (int slot = th->slot0; slot < th->slot1; slot++) {
        const int c = column_of(th, slot);
        if (th->job->columns == 1 && th->t > 0) continue;
        const float *x = th->m->normed + slot * th->width;
        if (!th->job->sequence || c == th->job->columns - 1)
            memcpy(state_of(th, c) + offset, x, sizeof(float) * th->width);
        if (th->job->sequence && th->job->snapshots)
            memcpy(th->job->snapshots[c] + offset, x, sizeof(float) * th->width);
    }
}

static void add_partials(const Thread *th, int slot) {
    const Model *m = th->m;
    float *x = m->x + slot * th->width;
    for (int t = 0; t < th->threads; t++) {
        const float *share = m->partial + ((size_t)t * MAX_COLUMNS + column_of(th, slot)) * th->padded_width;
        for (size_t i = 0; i < th->width; i += 16) store(x + i, load(x + i) + load(share + i));
    }
}

static void add_output(const Thread *th, int slot) {
    float *x = th->m->x + slot * th->width;
    const float *out = th->m->out + column_of(th, slot) * th->width;
    for (size_t i = 0; i < th->width; i += 16) store(x + i, load(x + i) + load(out + i));
}

static void embed(const Thread *th, int slot) {
    const Model *m = th->m;
    const int c = column_of(th, slot), format = m->emb_format;
    const size_t row = (size_t)th->job->tokens[c] * th->width;
    float x[th->width];
    for (size_t i = 0; i < th->width; i += 16) {
        if (format == INT8) {
            i8x16 q; memcpy(&q, (const int8_t *)m->emb + row + i, 16);
            store(x + i, __builtin_convertvector(q, f32x16) * m->emb_scale[th->job->tokens[c]]);
        } else if (format == FP32) store(x + i, load((const float *)m->emb + row + i));
        else store(x + i, load_as((const uint16_t *)m->emb + row + i, format));
    }
    layer_norm(x, m->ln0_w, m->ln0_b, (int)th->width, m->x + slot * th->width);
}

/* --- A --- */

static void time_mix_inputs(const Thread *th, int l) {
    const Model *m = th->m;
    const Layer *y = &m->layer[l];
    const float *amounts[6] = {y->x_r, y->x_k, y->x_v, y->x_w, y->x_a, y->x_g};
    for (int slot = th->slot0; slot < th->slot1; slot++) {
        if (l > 0) add_partials(th, slot);
        layer_norm(m->x + slot * th->width, y->ln1_w, y->ln1_b, (int)th->width, m->normed + slot * th->width);
    }
    if (th->job->columns > 1) rwkv7_barrier(th->m);
    for (int slot = th->slot0; slot < th->slot1; slot++)
        for (int i = 0; i < 6; i++)
            mix(th, slot, shifted(th, slot, th->tmix), amounts[i], (Acts *)&m->mixed[i][th->acts]);
    if (th->job->columns > 1) rwkv7_barrier(th->m);
}

static void own_rows(const Thread *th, const Matrix *w, const Acts *a, float *out, size_t stride) {
    int from, to;
    split((w->rows + w->block_rows - 1) / w->block_rows, th->t, th->threads, &from, &to);
    multiply(w, from, to, a, th->job->columns, out, stride);
}

static void time_mix_rows(const Thread *th, int l) {
    Model *m = th->m;
    const Layer *y = &m->layer[l];
    Acts *acts[6];
    for (int i = 0; i < 6; i++) acts[i] = &m->mixed[i][th->acts];
    own_rows(th, &y->receptance, acts[0], m->r, th->width);
    own_rows(th, &y->key, acts[1], m->k, th->width);
    own_rows(th, &y->value, acts[2], m->v, th->width);
    own_rows(th, &y->w1, acts[3], m->low[0], m->lora[0][0].stride);
    own_rows(th, &y->a1, acts[4], m->low[1], m->lora[1][0].stride);
    own_rows(th, &y->g1, acts[5], m->low[3], m->lora[3][0].stride);
    if (l > 0) own_rows(th, &y->v1, acts[2], m->low[2], m->lora[2][0].stride);
}

/* --- B --- */

/* Outputs of a LoRA pair for the thread's own channels. Its small inner vector is worked out by every thread. */
static void own_channels(const Thread *th, const Matrix *w2, int which, float *out) {
    Model *m = th->m;
    Acts *a = &m->lora[which][th->t];
    float inner[a->stride];
    for (int c = 0; c < th->job->columns; c++) {
        const float *low = m->low[which] + (size_t)c * a->stride;
        for (int i = 0; i < a->stride; i += 16) {
            const f32x16 x = load(low + i);
            store(inner + i, which == 0 ? tanh16(x) : which == 3 ? sigmoid16(x) : x);
        }
        put_activations(m, a, c, 0, w2->cols, a->stride, inner);
    }
    const int per_head = m->shape.head_size / w2->block_rows;
    multiply(w2, th->head0 * per_head, th->head1 * per_head, a, th->job->columns, out, th->width);
}

/* S <- diag(w) S + (kk a)(-kk^T S) + k v^T; y = r^T S, for `width` of the n values. S[key][value], n values to a row.
   Values do not mix, so a strip of them stays in registers while the keys go by. */
INLINE void wkv_strip(float *S, const float *next, const int n, const int width, const float *r, const float *w,
                      const float *k, const float *v, const float *kk, const float *a, float *y) {
    enum { MOST = 4 };
    const int vectors = width / 16;
    f32x16 removed[MOST] = {{0}}, out[MOST] = {{0}}, values[MOST] = {{0}};
    UNROLL for (int j = 0; j < vectors; j++) values[j] = load(v + 16 * j);
    for (int i = 0; i < n; i++)
        UNROLL for (int j = 0; j < vectors; j++) removed[j] -= load(S + (size_t)i * n + 16 * j) * kk[i];
    for (int i = 0; i < n; i++) {
        const float replaced = kk[i] * a[i];
        UNROLL for (int j = 0; j < vectors; j++) {
            float *at = S + (size_t)i * n + 16 * j;
            const f32x16 s = load(at) * w[i] + (removed[j] * replaced + values[j] * k[i]);
            store(at, s);
            out[j] += s * r[i];
            prefetch((const uint8_t *)(next + (size_t)i * n + 16 * j));
        }
    }
    UNROLL for (int j = 0; j < vectors; j++) store(y + 16 * j, out[j]);
}

static void wkv(float *S, const float *next, int n, const float *r, const float *w, const float *k, const float *v, const float *kk,
                const float *a, float *y) {
    if (n == 64) wkv_strip(S, next, 64, 64, r, w, k, v, kk, a, y);
    else for (int at = 0; at < n; at += 32) wkv_strip(S + at, next + at, n, 32, r, w, k, v + at, kk, a, y + at);
}

/* One head of one column, from the outputs of the matrices to the gated input of `output`. */
static void head(const Thread *th, int l, int c, int h) {
    Model *m = th->m;
    const int n = m->shape.head_size;
    const Layer *p = &m->layer[l];
    const size_t at = (size_t)c * th->width + h * n, d = h * n;
    float *r = m->r + at, *k = m->k + at, *v = m->v + at, *first = m->v_first + at;
    const float *wl = m->w + at, *al = m->a + at, *gl = m->g + at, *vl = m->out + at;
    float w[n], a[n], kk[n], y[n];
    f32x16 square = splat(0), bonus = splat(0), sum = splat(0);
    for (int i = 0; i < n; i += 16) {
        store(w + i, exp16(-0.606531f * sigmoid16(load(p->w0 + d + i) + load(wl + i)))); /* -exp(-0.5) */
        const f32x16 rate = sigmoid16(load(p->a0 + d + i) + load(al + i));
        store(a + i, rate);
        f32x16 value = load(v + i);
        if (l == 0) store(first + i, value);
        else value += (load(first + i) - value) * sigmoid16(load(p->v0 + d + i) + load(vl + i));
        store(v + i, value);
        f32x16 key = load(k + i);
        const f32x16 removal = key * load(p->k_k + d + i);
        store(kk + i, removal);
        square += removal * removal;
        key *= 1.0f + (rate - 1.0f) * load(p->k_a + d + i);
        store(k + i, key);
        bonus += load(r + i) * key * load(p->r_k + d + i);
    }
    const float length = sqrtf(sum16(square)), inverse = 1.0f / (length > 1e-12f ? length : 1e-12f);
    for (int i = 0; i < n; i += 16) store(kk + i, load(kk + i) * inverse);

    float *S = state_of(th, c) + th->wkv + (size_t)h * n * n;
    const int wraps = c + 1 == th->job->columns; /* the head and column whose memory is needed next */
    const float *next = state_of(th, wraps ? 0 : c + 1) + th->wkv + (size_t)(h + wraps) * n * n;
    wkv(S, next, n, r, w, k, v, kk, a, y);
    if (th->job->sequence && th->job->snapshots)
        memcpy(th->job->snapshots[c] + th->wkv + (size_t)h * n * n, S, sizeof(float) * n * n);

    for (int i = 0; i < n; i += 16) sum += load(y + i);
    const float mean = sum16(sum) / n, weight = sum16(bonus);
    square = splat(0);
    for (int i = 0; i < n; i += 16) { f32x16 e = load(y + i) - mean; square += e * e; }
    const float scale = 1.0f / sqrtf(sum16(square) / n + 64e-5f);
    for (int i = 0; i < n; i += 16) {
        const f32x16 normed = (load(y + i) - mean) * scale * load(p->ln_x_w + d + i) + load(p->ln_x_b + d + i);
        store(y + i, (normed + weight * load(v + i)) * load(gl + i));
    }
    put_activations(m, &m->gated, c, (int)d, n, n, y);
}

static void time_mix_heads(const Thread *th, int l) {
    Model *m = th->m;
    const Layer *y = &m->layer[l];
    own_channels(th, &y->w2, 0, m->w);
    own_channels(th, &y->a2, 1, m->a);
    own_channels(th, &y->g2, 3, m->g);
    if (l > 0) own_channels(th, &y->v2, 2, m->out);
    for (int h = th->head0; h < th->head1; h++)
        for (int c = 0; c < th->job->columns; c++) head(th, l, c, h);
}

/* --- D --- */

static void channel_mix(const Thread *th, int l) {
    Model *m = th->m;
    const Layer *y = &m->layer[l];
    const int columns = th->job->columns;
    for (int slot = th->slot0; slot < th->slot1; slot++) {
        add_output(th, slot);
        layer_norm(m->x + slot * th->width, y->ln2_w, y->ln2_b, (int)th->width, m->normed + slot * th->width);
    }
    if (columns > 1) rwkv7_barrier(m);
    for (int slot = th->slot0; slot < th->slot1; slot++)
        mix(th, slot, shifted(th, slot, th->cmix), y->ffn_x_k, &m->mixed[0][th->acts]);
    if (columns > 1) rwkv7_barrier(m);

    int from, to; /* groups of inputs */
    split(m->shape.ffn / GROUP, th->t, th->threads, &from, &to);
    const size_t ffn = m->shape.ffn, first = (size_t)from * GROUP, n = (size_t)(to - from) * GROUP;
    const int blocks = GROUP / y->ffn_key.block_rows;
    multiply(&y->ffn_key, from * blocks, to * blocks, &m->mixed[0][th->acts], columns, m->hidden, ffn);
    for (int c = 0; c < columns; c++) {
        float *h = m->hidden + c * ffn + first;
        for (size_t i = 0; i < n; i += 16) { f32x16 x = larger(load(h + i), splat(0)); store(h + i, x * x); }
        if (n) put_activations(m, &m->squared, c, (int)first, (int)n, (int)n, h);
    }
    float *share = m->partial + (size_t)th->t * MAX_COLUMNS * th->padded_width;
    m->skipped[th->t][0] += multiply_inputs(m, &y->ffn_value, from, to, &m->squared, columns, share, th->padded_width);
}

/* --- all --- */

static void logits(const Thread *th) {
    Model *m = th->m;
    const Job *job = th->job;
    const int only_last = job->sequence && !job->all_logits && job->columns > 1;
    Acts *a = &m->mixed[0][th->acts];
    for (int slot = th->slot0; slot < th->slot1; slot++) {
        const int c = column_of(th, slot);
        add_partials(th, slot);
        if (only_last && c < job->columns - 1) continue;
        layer_norm(m->x + slot * th->width, m->ln_out_w, m->ln_out_b, (int)th->width, m->normed + slot * th->width);
        put_activations(m, a, only_last ? 0 : c, 0, (int)th->width, a->stride, m->normed + slot * th->width);
    }
    if (job->columns > 1) rwkv7_barrier(m);
    int from, to;
    split((m->head.rows + m->head.block_rows - 1) / m->head.block_rows, th->t, th->threads, &from, &to);
    multiply(&m->head, from, to, a, only_last ? 1 : job->columns, job->logits, m->shape.vocab);
}

/* Numbers below 1e-38 count as zero while we compute: some processors take 100 cycles for each of them. */
#if defined(__x86_64__)
#define FLUSH_SUBNORMALS const unsigned saved_mode = __builtin_ia32_stmxcsr(); __builtin_ia32_ldmxcsr(saved_mode | 0x8040)
#define RESTORE_SUBNORMALS __builtin_ia32_ldmxcsr(saved_mode)
#else
#define FLUSH_SUBNORMALS
#define RESTORE_SUBNORMALS
#endif

static void run(Model *m, int t) {
    FLUSH_SUBNORMALS;
    const Shape *s = &m->shape;
    Thread th = {.m = m, .job = &m->job, .t = t, .threads = m->threads, .width = s->width};
    const int one = m->job.columns == 1;
    th.acts = one ? t : 0;
    if (one) th.slot0 = t, th.slot1 = t + 1;
    else split(m->job.columns, t, m->threads, &th.slot0, &th.slot1);
    split(s->heads, t, m->threads, &th.head0, &th.head1);
    th.padded_width = (th.width + 127) / 128 * 128;
    m->skipped[t][0] = 0;
    for (int slot = th.slot0; slot < th.slot1; slot++) embed(&th, slot);
    for (int l = 0; l < s->layers; l++) {
        const size_t shifts = (size_t)s->layers * s->width, memory = (size_t)s->width * s->head_size;
        th.tmix = l * th.width, th.wkv = shifts + l * memory, th.cmix = shifts + s->layers * memory + l * th.width;
        time_mix_inputs(&th, l);
        time_mix_rows(&th, l);
        rwkv7_barrier(m);
        remember(&th, th.tmix);
        time_mix_heads(&th, l);
        rwkv7_barrier(m);
        own_rows(&th, &m->layer[l].output, &m->gated, m->out, th.width);
        rwkv7_barrier(m);
        channel_mix(&th, l);
        rwkv7_barrier(m);
        remember(&th, th.cmix);
    }
    logits(&th);
    RESTORE_SUBNORMALS;
}

static uint64_t read_all(const uint8_t *data, size_t size) {
    i32x16 sum[8] = {{0}};
    for (size_t at = 0; at + 512 <= size; at += 512)
        UNROLL for (int i = 0; i < 8; i++) {
            i32x16 v; memcpy(&v, data + at + 64 * i, 64);
            prefetch(data + at + 64 * i + AHEAD);
            sum[i] += v;
        }
    uint64_t total = 0;
    for (int i = 0; i < 8; i++) for (int j = 0; j < 16; j++) total += (uint32_t)sum[i][j];
    return total;
}

static int supported(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#if defined(ISA_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
#elif defined(ISA_avxvnni) || defined(ISA_avx2)
    int ok = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    unsigned eax, ebx, ecx, edx;
    ok = ok && __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 29); /* F16C */
#if defined(ISA_avxvnni)
    ok = ok && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & 1u << 4);
#endif
    return ok;
#else
    return 1;
#endif
#elif defined(ISA_neon)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
    return 1;
#endif
}

const Isa NAMED(rwkv7_isa) = {TEXT(ISA), supported, run, read_all};
