/* The library's face: make a model, put its tensors, choose threads, run passes. No function here computes. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "rwkv7.h"

#define API __attribute__((visibility("default")))

void rwkv7_pack(Model *m, int thread); /* pack.c */

extern const Isa rwkv7_isa_baseline;
#if defined(WITH_X86)
extern const Isa rwkv7_isa_avx2, rwkv7_isa_avxvnni, rwkv7_isa_avx512;
static const Isa *const ISAS[] = {&rwkv7_isa_avx512, &rwkv7_isa_avxvnni, &rwkv7_isa_avx2, &rwkv7_isa_baseline};
#elif defined(WITH_NEON)
extern const Isa rwkv7_isa_neon;
static const Isa *const ISAS[] = {&rwkv7_isa_neon, &rwkv7_isa_baseline};
#else
static const Isa *const ISAS[] = {&rwkv7_isa_baseline};
#endif
enum { ISA_COUNT = sizeof ISAS / sizeof *ISAS };

/* Name of instruction set i, best first; NULL past the last. *usable: whether this machine has it. */
API const char *rwkv7_isa(int i, int *usable) {
    if (i < 0 || i >= ISA_COUNT) return NULL;
    *usable = ISAS[i]->supported();
    return ISAS[i]->name;
}

/* --- memory --- */

/* Zeroed memory that lives as long as the model, 64-byte aligned, on huge pages where the system gives them: a
   stream of weights through 4 KB pages is 10 to 25 % slower. What is not touched takes no memory. */
static void *take(Model *m, size_t bytes) {
    const size_t huge = (size_t)2 << 20, chunk = (size_t)64 << 20;
    bytes = (bytes + 63) / 64 * 64;
    if ((size_t)(m->free_end - m->free_at) < bytes) {
        const size_t want = ((bytes > chunk ? bytes : chunk) + huge - 1) / huge * huge + huge;
        if (m->region_count == sizeof m->regions / sizeof *m->regions) return NULL;
        uint8_t *p = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return NULL;
        m->regions[m->region_count] = p, m->region_bytes[m->region_count++] = want;
        m->free_at = (uint8_t *)(((uintptr_t)p + huge - 1) / huge * huge);
        m->free_end = p + want;
#ifdef MADV_HUGEPAGE
        madvise(m->free_at, (size_t)(m->free_end - m->free_at) / huge * huge, MADV_HUGEPAGE);
#endif
    }
    void *out = m->free_at;
    m->free_at += bytes;
    return out;
}

static int take_acts(Model *m, Acts *a, int columns, int n) {
    a->stride = (n + 63) / 64 * 64;
    const size_t size = (size_t)columns * a->stride;
    if (m->quantized) {
        a->q = take(m, size), a->group = take(m, size / GROUP * sizeof(ActGroup));
        return a->q && a->group;
    }
    a->x = take(m, size * sizeof(float));
    return a->x != NULL;
}

static int take_scratch(Model *m) {
    const Shape *s = &m->shape;
    const size_t C = MAX_COLUMNS, D = s->width, padded = (D + 127) / 128 * 128;
    float **wide[] = {&m->x, &m->normed, &m->r, &m->k, &m->v, &m->v_first, &m->w, &m->a, &m->g, &m->out};
    int ok = 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) ok &= (*wide[i] = take(m, C * D * sizeof(float))) != NULL;
    const int ranks[4] = {s->decay_rank, s->iclr_rank, s->value_rank, s->gate_rank};
    for (int i = 0; i < 4; i++) {
        ok &= (m->low[i] = take(m, C * ((ranks[i] + 63) / 64 * 64) * sizeof(float))) != NULL;
        for (int t = 0; t < MAX_THREADS; t++) ok &= take_acts(m, &m->lora[i][t], MAX_COLUMNS, ranks[i]);
    }
    for (int i = 0; i < 6; i++)
        for (int t = 0; t < MAX_THREADS; t++) ok &= take_acts(m, &m->mixed[i][t], t ? 1 : MAX_COLUMNS, s->width);
    ok &= (m->hidden = take(m, C * s->ffn * sizeof(float))) != NULL;
    ok &= (m->partial = take(m, MAX_THREADS * C * padded * sizeof(float))) != NULL;
    return ok & take_acts(m, &m->gated, MAX_COLUMNS, s->width) & take_acts(m, &m->squared, MAX_COLUMNS, s->ffn);
}

/* --- threads --- */

static void pause_a_little(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Until *word is no longer `old`: spin, because the others are microseconds away, then sleep, because they are not: a
   thread that spins on while the machine is busy takes the processor from the one it waits for. */
static void wait_change(Model *m, atomic_uint *word, unsigned old, int64_t spin_ns) {
    const int64_t until = now_ns() + spin_ns;
    do {
        for (int i = 0; i < 16; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old) return;
            pause_a_little();
        }
    } while (now_ns() < until);
    pthread_mutex_lock(&m->lock);
    atomic_fetch_add(&m->sleepers, 1);
    while (atomic_load(word) == old) pthread_cond_wait(&m->wake, &m->lock);
    atomic_fetch_sub(&m->sleepers, 1);
    pthread_mutex_unlock(&m->lock);
}

/* Sequentially consistent on both sides: either the sleeper sees the new word, or we see the sleeper. */
static void announce(Model *m, atomic_uint *word) {
    atomic_fetch_add(word, 1);
    if (atomic_load(&m->sleepers)) {
        pthread_mutex_lock(&m->lock);
        pthread_cond_broadcast(&m->wake);
        pthread_mutex_unlock(&m->lock);
    }
}

enum { BARRIER_SPIN_NS = 30000, IDLE_SPIN_NS = 200000 }; /* idle: about the time between two tokens of one reply */

void rwkv7_barrier(Model *m) {
    if (m->threads == 1) return;
    const unsigned phase = atomic_load(&m->phase);
    if (atomic_fetch_add(&m->arrived, 1) == m->threads - 1) {
        atomic_store(&m->arrived, 0);
        announce(m, &m->phase);
    } else wait_change(m, &m->phase, phase, BARRIER_SPIN_NS);
}

typedef struct { Model *m; int thread; unsigned generation; } WorkerStart;

static void *worker(void *argument) {
    WorkerStart start = *(WorkerStart *)argument;
    free(argument);
    for (unsigned seen = start.generation;; seen++) {
        wait_change(start.m, &start.m->generation, seen, IDLE_SPIN_NS);
        if (atomic_load(&start.m->quit)) return NULL;
        start.m->work(start.m, start.thread);
        rwkv7_barrier(start.m);
    }
}

/* Run `work` on every thread, the caller's among them; returns when all are done. */
static void run_all(Model *m, void (*work)(Model *, int)) {
    m->work = work;
    if (m->threads > 1) announce(m, &m->generation);
    work(m, 0);
    rwkv7_barrier(m);
}

static void stop_workers(Model *m) {
    if (m->threads < 2) return;
    atomic_store(&m->quit, 1);
    announce(m, &m->generation);
    for (int t = 1; t < m->threads; t++) pthread_join(m->worker[t], NULL);
    atomic_store(&m->quit, 0);
    m->threads = 1;
}

/* Use n threads from now on. Returns how many there are: fewer if the system gives no more. */
API int rwkv7_threads(Model *m, int n) {
    stop_workers(m);
    n = n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
    int made = 1;
    for (; made < n; made++) {
        WorkerStart *start = malloc(sizeof *start);
        if (!start) break;
        *start = (WorkerStart){m, made, atomic_load(&m->generation)};
        if (pthread_create(&m->worker[made], NULL, worker, start)) { free(start); break; }
    }
    return m->threads = made;
}

/* --- models --- */

API void rwkv7_free(Model *m) {
    if (!m) return;
    stop_workers(m);
    for (int i = 0; i < m->region_count; i++) munmap(m->regions[i], m->region_bytes[i]);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->wake);
    free(m);
}

/* A model without tensors, on one thread. isa: a name from rwkv7_isa, NULL for the best. NULL: no memory, or no such
   instruction set here. */
API Model *rwkv7_new(const Shape *shape, int quantized, const char *isa) {
    const Isa *chosen = NULL;
    for (int i = ISA_COUNT - 1; i >= 0; i--)
        if ((isa ? !strcmp(isa, ISAS[i]->name) : 1) && ISAS[i]->supported()) chosen = ISAS[i];
    Model *m = chosen ? calloc(1, sizeof *m) : NULL;
    if (!m) return NULL;
    m->shape = *shape, m->quantized = quantized, m->isa = chosen, m->threads = 1;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    if (!take_scratch(m)) { rwkv7_free(m); return NULL; }
    return m;
}

API const char *rwkv7_isa_used(const Model *m) { return m->isa->name; }

typedef struct { const char *name; size_t offset; int is_matrix; } Slot;
#define VECTOR(name, member) {name, offsetof(Layer, member), 0}
#define MATRIX(name, member) {name, offsetof(Layer, member), 1}
static const Slot SLOTS[] = {
    VECTOR("ln1.weight", ln1_w), VECTOR("ln1.bias", ln1_b), VECTOR("ln2.weight", ln2_w), VECTOR("ln2.bias", ln2_b),
    VECTOR("att.x_r", x_r), VECTOR("att.x_w", x_w), VECTOR("att.x_k", x_k), VECTOR("att.x_v", x_v),
    VECTOR("att.x_a", x_a), VECTOR("att.x_g", x_g), VECTOR("att.w0", w0), VECTOR("att.a0", a0),
    VECTOR("att.v0", v0), VECTOR("att.k_k", k_k), VECTOR("att.k_a", k_a), VECTOR("att.r_k", r_k),
    VECTOR("att.ln_x.weight", ln_x_w), VECTOR("att.ln_x.bias", ln_x_b), VECTOR("ffn.x_k", ffn_x_k),
    MATRIX("att.receptance.weight", receptance), MATRIX("att.key.weight", key), MATRIX("att.value.weight", value),
    MATRIX("att.output.weight", output), MATRIX("att.w1", w1), MATRIX("att.w2", w2), MATRIX("att.a1", a1),
    MATRIX("att.a2", a2), MATRIX("att.v1", v1), MATRIX("att.v2", v2), MATRIX("att.g1", g1), MATRIX("att.g2", g2),
    MATRIX("ffn.key.weight", ffn_key), MATRIX("ffn.value.weight", ffn_value),
};

static size_t value_bytes(int format) { return format == FP32 ? 4 : format == BF16 || format == FP16 ? 2 : 1; }

/* Room for a matrix in its packed layout (rwkv7.h); 0: no memory. */
static int lay_out(Model *m, Matrix *w, int format, int rows, int cols, int by_inputs) {
    const size_t padded = ((size_t)rows + 127) / 128 * 128;
    *w = (Matrix){.format = format, .rows = rows, .cols = cols, .block_rows = format >= INT8 ? 2 * BLOCK : BLOCK};
    size_t blocks = ((size_t)rows + w->block_rows - 1) / w->block_rows, front = 0;
    if (by_inputs) {
        blocks = cols / GROUP;
        w->block_bytes = format == INT4 ? padded * 2 + GROUP * padded / 2 : GROUP * padded * value_bytes(format);
        front = format == INT8 ? padded * sizeof(float) : 0;
    } else if (format == INT8) w->block_bytes = ((size_t)(cols + GROUP - 1) / GROUP * GROUP + sizeof(float)) * w->block_rows;
    else if (format == INT4) w->block_bytes = (size_t)cols / GROUP * (64 + GROUP * BLOCK);
    else w->block_bytes = cols * BLOCK * value_bytes(format);
    uint8_t *memory = take(m, front + blocks * w->block_bytes);
    w->data = memory + front;
    return memory != NULL;
}

static int put_matrix(Model *m, Matrix *w, int format, int rows, int cols, int by_inputs, const void *data, const void *scale) {
    if (!lay_out(m, w, format, rows, cols, by_inputs)) return -1;
    m->packing = (Packing){w, by_inputs, data, scale};
    run_all(m, rwkv7_pack);
    return 0;
}

/* Copy one canonical tensor (backends.base.Weights) into the model; `emb.weight` alone stays where it is and must live
   as long as the model. data: C-contiguous, [rows][cols] or [rows]; vectors are FP32. scale: INT8 float32 [rows], INT4
   float16 [rows][cols / 32]. Returns 0; -1 without memory; -2 for a name that is no tensor of the model. */
API int rwkv7_put(Model *m, const char *name, int format, int rows, int cols, const void *data, const void *scale) {
    int layer = -1, used = 0;
    if (!strcmp(name, "emb.weight")) {
        m->emb_format = format, m->emb = data, m->emb_scale = scale;
        return 0;
    }
    if (!strcmp(name, "head.weight")) return put_matrix(m, &m->head, format, rows, cols, 0, data, scale);
    const float **vector = !strcmp(name, "blocks.0.ln0.weight") ? &m->ln0_w
                         : !strcmp(name, "blocks.0.ln0.bias")   ? &m->ln0_b
                         : !strcmp(name, "ln_out.weight")       ? &m->ln_out_w
                         : !strcmp(name, "ln_out.bias")         ? &m->ln_out_b : NULL;
    if (!vector) {
        if (sscanf(name, "blocks.%d.%n", &layer, &used) != 1 || layer < 0 || layer >= m->shape.layers) return -2;
        const Slot *slot = NULL;
        for (size_t i = 0; i < sizeof SLOTS / sizeof *SLOTS; i++)
            if (!strcmp(name + used, SLOTS[i].name)) slot = &SLOTS[i];
        if (!slot) return -2;
        char *member = (char *)&m->layer[layer] + slot->offset;
        if (slot->is_matrix) {
            const int by_inputs = slot->offset == offsetof(Layer, ffn_value);
            return put_matrix(m, (Matrix *)member, format, rows, cols, by_inputs, data, scale);
        }
        vector = (const float **)member;
    }
    float *copy = take(m, sizeof(float) * rows);
    if (!copy) return -1;
    memcpy(copy, data, sizeof(float) * rows);
    *vector = copy;
    return 0;
}

/* --- passes --- */

/* One pass over the weights for `columns` (1 to 64) tokens: of one sequence, or one of each of as many sequences.
   tokens i32[C]; states [1] or [C] pointers to float32 state buffers, updated in place; snapshots NULL or, for a
   sequence, [C] buffers that take the state after each token; logits f32[V] (sequence), else f32[C][V].
   Returns how many rows of channel-mix's value matrices did not have to be read. */
API int64_t rwkv7_pass(Model *m, int columns, int sequence, int all_logits, const int32_t *tokens,
                       float *const *states, float *const *snapshots, float *logits) {
    m->job = (Job){columns, sequence, all_logits, tokens, states, snapshots, logits};
    run_all(m, m->isa->pass);
    int64_t skipped = 0;
    for (int t = 0; t < m->threads; t++) skipped += m->skipped[t][0];
    return skipped;
}

/* --- memory bandwidth --- */

static void read_share(Model *m, int t) {
    const size_t share = m->probe_bytes / m->threads / 512 * 512;
    m->probe_sum[t][0] += m->isa->read(m->probe + share * t, share);
}

/* Seconds for reading `bytes` once with the model's threads, out of memory of its own (made on the first call). */
API double rwkv7_read_seconds(Model *m, size_t bytes) {
    if (m->probe_bytes < bytes) {
        m->probe = take(m, bytes);
        if (!m->probe) return -1;
        memset(m->probe, 1, bytes);
    }
    m->probe_bytes = bytes;
    const int64_t start = now_ns();
    run_all(m, read_share);
    return 1e-9 * (double)(now_ns() - start);
}
