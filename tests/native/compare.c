/* Runs one random model on every instruction set that this machine has and compares the logits with the portable
   code's. A program of its own, so that it also runs under an emulator of another processor (test_neon.py). */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rwkv7.h"

const char *rwkv7_isa(int i, int *usable);
Model *rwkv7_new(const Shape *shape, int quantized, const char *isa);
int rwkv7_put(Model *m, const char *name, int format, int rows, int cols, const void *data, const void *scale);
int rwkv7_threads(Model *m, int n);
int64_t rwkv7_pass(Model *m, int columns, int sequence, int all_logits, const int32_t *tokens, float *const *states,
                   float *const *snapshots, float *logits);
void rwkv7_free(Model *m);

enum { L = 2, D = 128, H = 2, N = 64, V = 70, F = 256, RANK = 24, TOKENS = 9 };

static uint32_t seed;
static float uniform(void) { return (float)((seed = seed * 1664525u + 1013904223u) >> 8) / (1 << 24) - 0.5f; }

static void put(Model *m, const char *name, int format, int rows, int cols) {
    const size_t size = (size_t)rows * cols;
    uint8_t *data = calloc(size, 4);
    float *row_scale = malloc(sizeof(float) * rows);
    uint16_t *group_scale = malloc(2 * (size / GROUP + 1));
    for (size_t i = 0; i < size; i++) {
        const float x = cols > 1 ? uniform() * 3.4f / sqrtf((float)cols) : strstr(name, "ln") ? 1 + 0.1f * uniform() : uniform();
        if (format == FP32) memcpy(data + 4 * i, &x, 4);
        else if (format == INT8) data[i] = (uint8_t)(int8_t)(uniform() * 254);
        else data[i / 2] = (uint8_t)((seed >> 24) & 0xff);
    }
    for (int r = 0; r < rows; r++) row_scale[r] = 0.03f / sqrtf((float)cols);
    for (size_t g = 0; g < size / GROUP; g++) group_scale[g] = 0x2800 + (g % 64); /* about 0.03 */
    if (rwkv7_put(m, name, format, rows, cols, data, format == INT8 ? (void *)row_scale : (void *)group_scale))
        fprintf(stderr, "refused: %s\n", name), exit(2);
    if (strcmp(name, "emb.weight")) free(data), free(row_scale), free(group_scale);
}

static void run(const char *isa, int format, float *logits) {
    const Shape shape = {L, D, H, N, V, F, RANK, RANK, RANK, RANK};
    const int small = format == FP32 ? FP32 : INT8; /* the LoRA pairs are never narrower than int8 */
    Model *m = rwkv7_new(&shape, format != FP32, isa);
    if (!m) fprintf(stderr, "no model\n"), exit(2);
    seed = 1;
    put(m, "emb.weight", FP32, V, D);
    put(m, "head.weight", format, V, D);
    const char *outer[] = {"blocks.0.ln0.weight", "blocks.0.ln0.bias", "ln_out.weight", "ln_out.bias"};
    for (int i = 0; i < 4; i++) put(m, outer[i], FP32, D, 1);
    const char *vectors[] = {"ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "att.x_r", "att.x_w", "att.x_k",
        "att.x_v", "att.x_a", "att.x_g", "att.w0", "att.a0", "att.v0", "att.k_k", "att.k_a", "att.r_k",
        "att.ln_x.weight", "att.ln_x.bias", "ffn.x_k"};
    const char *square[] = {"att.receptance", "att.key", "att.value", "att.output"};
    char name[64];
    for (int l = 0; l < L; l++) {
        for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
            snprintf(name, sizeof name, "blocks.%d.%s", l, vectors[i]), put(m, name, FP32, D, 1);
        for (int i = 0; i < 4; i++) snprintf(name, sizeof name, "blocks.%d.%s.weight", l, square[i]), put(m, name, format, D, D);
        for (const char *c = "wavg"; *c; c++) {
            snprintf(name, sizeof name, "blocks.%d.att.%c1", l, *c), put(m, name, small, RANK, D);
            snprintf(name, sizeof name, "blocks.%d.att.%c2", l, *c), put(m, name, small, D, RANK);
        }
        snprintf(name, sizeof name, "blocks.%d.ffn.key.weight", l), put(m, name, format, F, D);
        snprintf(name, sizeof name, "blocks.%d.ffn.value.weight", l), put(m, name, format, D, F);
    }
    rwkv7_threads(m, 2);
    float *state = calloc(L * (2 * D + H * N * N), sizeof(float));
    int32_t tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++) tokens[i] = 7 * i % V;
    rwkv7_pass(m, TOKENS - 2, 1, 0, tokens, &state, NULL, logits); /* a prompt, then two tokens one by one */
    for (int i = TOKENS - 2; i < TOKENS; i++) rwkv7_pass(m, 1, 0, 0, tokens + i, &state, NULL, logits);
    free(state);
    rwkv7_free(m);
}

int main(void) {
    const char *names[] = {"fp32", "", "", "int8", "int4"};
    int bad = 0, usable = 0;
    for (int i = 0; rwkv7_isa(i, &usable); i++)
        for (int format = FP32; usable && format <= INT4; format = format == FP32 ? INT8 : format + 1) {
            float got[V], expected[V], error = 0, size = 0;
            run(rwkv7_isa(i, &usable), format, got);
            run("baseline", format, expected);
            for (int v = 0; v < V; v++) error += (got[v] - expected[v]) * (got[v] - expected[v]), size += expected[v] * expected[v];
            error = sqrtf(error / size);
            const int ok = error < 1e-4f; /* NaN fails as well */
            printf("%s %s: relative difference %.1e %s\n", rwkv7_isa(i, &usable), names[format], error, ok ? "ok" : "BAD");
            bad += !ok;
        }
    return bad != 0;
}
