/* The RWKV-7 WKV recurrence, forward and backward, float32, head size 64.
 *
 *   sa_t = S_{t-1} a_t          S_t = S_{t-1} diag(d_t) + sa_t b_t^T + v_t k_t^T          y_t = S_t r_t
 *
 * S[i][j]: i runs over values, j over keys. Every input is [B, T, H, 64]; d is the decay multiplier in (0, 1).
 * The forward pass saves S every CHUNK steps ([B, H, T/CHUNK, 64, 64]) and sa; the backward pass recomputes the
 * states of one chunk at a time, so memory stays small.
 */
#include <stdlib.h>
#include <string.h>

#define N 64
#define CHUNK 16
#define LANES 16
#define PARTS (N / LANES)

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));

static inline float sum(vec x) {
    float total = 0;
    for (int lane = 0; lane < LANES; lane++) total += x[lane];
    return total;
}

/* One row (64 floats) as four vectors. */
#define PART(pointer, part) (((const vec *)(pointer))[part])
#define EACH_PART for (int q = 0; q < PARTS; q++)

void wkv7_forward(int B, int T, int H, const float *r, const float *d, const float *k, const float *v, const float *a,
                  const float *b, float *y, float *sa_out, float *saved) {
    for (int batch = 0; batch < B; batch++)
        for (int head = 0; head < H; head++) {
            float S[N * N] __attribute__((aligned(64)));
            memset(S, 0, sizeof S);
            for (int t = 0; t < T; t++) {
                if (t % CHUNK == 0)
                    memcpy(saved + (((size_t)batch * H + head) * (T / CHUNK) + t / CHUNK) * N * N, S, sizeof S);
                size_t at = (((size_t)batch * T + t) * H + head) * N;
                vec rt[PARTS], dt[PARTS], kt[PARTS], aa[PARTS], bt[PARTS];
                EACH_PART {
                    rt[q] = PART(r + at, q), dt[q] = PART(d + at, q), kt[q] = PART(k + at, q);
                    aa[q] = PART(a + at, q), bt[q] = PART(b + at, q);
                }
                for (int i = 0; i < N; i++) {
                    vec *row = (vec *)(S + i * N);
                    vec dot = row[0] * aa[0];
                    for (int q = 1; q < PARTS; q++) dot += row[q] * aa[q];
                    float sa = sum(dot), value = v[at + i];
                    vec out = {0};
                    EACH_PART {
                        row[q] = row[q] * dt[q] + bt[q] * sa + kt[q] * value;
                        out += row[q] * rt[q];
                    }
                    y[at + i] = sum(out);
                    sa_out[at + i] = sa;
                }
            }
        }
}

void wkv7_backward(int B, int T, int H, const float *r, const float *d, const float *k, const float *v, const float *a,
                   const float *b, const float *sa_in, const float *saved, const float *dy, float *dr, float *dd,
                   float *dk, float *dv, float *da, float *db) {
    float *states = aligned_alloc(64, sizeof(float) * N * N * (CHUNK + 1)); /* S before each step of a chunk, and after */
    float *G = aligned_alloc(64, sizeof(float) * N * N);                    /* dLoss/dS */
    for (int batch = 0; batch < B; batch++)
        for (int head = 0; head < H; head++) {
            memset(G, 0, sizeof(float) * N * N);
            for (int chunk = T / CHUNK - 1; chunk >= 0; chunk--) {
                memcpy(states, saved + (((size_t)batch * H + head) * (T / CHUNK) + chunk) * N * N, sizeof(float) * N * N);
                for (int step = 0; step < CHUNK; step++) {
                    size_t at = (((size_t)batch * T + chunk * CHUNK + step) * H + head) * N;
                    for (int i = 0; i < N; i++) {
                        const vec *before = (vec *)(states + (size_t)step * N * N + i * N);
                        vec *after = (vec *)(states + (size_t)(step + 1) * N * N + i * N);
                        float sa = sa_in[at + i], value = v[at + i];
                        EACH_PART after[q] = before[q] * PART(d + at, q) + PART(b + at, q) * sa + PART(k + at, q) * value;
                    }
                }
                for (int step = CHUNK - 1; step >= 0; step--) {
                    size_t at = (((size_t)batch * T + chunk * CHUNK + step) * H + head) * N;
                    vec gr[PARTS] = {0}, gd[PARTS] = {0}, gk[PARTS] = {0}, ga[PARTS] = {0}, gb[PARTS] = {0};
                    for (int i = 0; i < N; i++) {
                        vec *grad = (vec *)(G + i * N);
                        const vec *before = (vec *)(states + (size_t)step * N * N + i * N);
                        const vec *after = (vec *)(states + (size_t)(step + 1) * N * N + i * N);
                        float out = dy[at + i], sa = sa_in[at + i], value = v[at + i];
                        vec g[PARTS], to_sa = {0}, to_v = {0};
                        EACH_PART {
                            g[q] = grad[q] + PART(r + at, q) * out;
                            to_sa += g[q] * PART(b + at, q);
                            to_v += g[q] * PART(k + at, q);
                        }
                        float dsa = sum(to_sa);
                        dv[at + i] = sum(to_v);
                        EACH_PART {
                            gr[q] += after[q] * out;
                            gd[q] += g[q] * before[q];
                            gb[q] += g[q] * sa;
                            gk[q] += g[q] * value;
                            ga[q] += before[q] * dsa;
                            grad[q] = g[q] * PART(d + at, q) + PART(a + at, q) * dsa;
                        }
                    }
                    EACH_PART {
                        ((vec *)(dr + at))[q] = gr[q], ((vec *)(dd + at))[q] = gd[q], ((vec *)(dk + at))[q] = gk[q];
                        ((vec *)(da + at))[q] = ga[q], ((vec *)(db + at))[q] = gb[q];
                    }
                }
            }
        }
    free(states);
    free(G);
}
