/* The native core's types: a model, the job of one pass, and what each instruction set provides.

   Glossary as in backends/rwkv7.py. Sizes: L layers, D width, H heads of N, V vocabulary, F channel-mix rows.
   A pass works on C columns: C tokens of one sequence (prefill) or one token of each of C sequences (decode).

   Matrices are W[rows][cols], y = W x, packed so that every thread reads its rows as one forward stream:

   by rows    blocks of 32 rows (float: 16), one after another. Within a block, for the columns in order:
     float    16 values (one per row) for each column
     INT8     128 bytes for each 4 columns: row r has bytes 4r..4r+3, value + 128; then 32 float32 row scales
     INT4     for each 32 columns: 32 float16 scales, then 64 bytes for each 4 columns: row r has the low nibbles of
              bytes 4r..4r+3, row r + 16 the high ones, value + 8
   by inputs  (channel-mix value) one row of outputs for each column, so that a column whose input is zero is never
              read. Outputs are padded to a multiple of 128. Within 64 bytes, output 16j + 4i + e is at byte
              16i + 4j + e: interleaving four such rows byte by byte then leaves the outputs in their order.
     float    D values for each column
     INT8     D bytes for each column, value + 128; in front of all, D float32 row scales
     INT4     for each 32 columns: D float16 scales, then D/2 bytes for each column: output d in the low nibble and
              d + 64 in the high one, value + 8 */
#ifndef RWKV7_H
#define RWKV7_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { FP32, BF16, FP16, INT8, INT4 };

enum {
    BLOCK = 16,          /* rows of a vector; a block of INT8 or INT4 has twice as many */
    GROUP = 32,          /* columns that share a scale */
    MAX_COLUMNS = 64,    /* columns of one pass; longer prompts take several */
    MAX_THREADS = 64,
    MAX_LAYERS = 256,
};

typedef struct {
    int32_t layers, width, heads, head_size, vocab, ffn;
    int32_t decay_rank, iclr_rank, value_rank, gate_rank;
} Shape;

typedef struct {
    int format, rows, cols;
    int block_rows;     /* by rows: rows of a block */
    size_t block_bytes; /* by rows: of a block; by inputs: of 32 columns */
    uint8_t *data;
} Matrix;

typedef struct {
    const float *ln1_w, *ln1_b, *ln2_w, *ln2_b;                   /* [D] */
    const float *x_r, *x_w, *x_k, *x_v, *x_a, *x_g;               /* [D] token-shift mixes */
    const float *w0, *a0, *v0, *k_k, *k_a, *r_k, *ln_x_w, *ln_x_b; /* [D] */
    const float *ffn_x_k;                                         /* [D] */
    Matrix receptance, key, value, output;                        /* [D][D] */
    Matrix w1, a1, v1, g1;                                        /* [rank][D] */
    Matrix w2, a2, v2, g2;                                        /* [D][rank] */
    Matrix ffn_key;                                               /* [F][D] */
    Matrix ffn_value;                                             /* [D][F], by inputs */
} Layer;

/* What a dot product of stored values needs to know of 32 activations: x ~ q * scale, and where its sum has to start
   to come out as one of signed weights. */
typedef struct {
    float scale;
    int32_t start8, start4, start4_both; /* -128, -8 and -(8 + 16 * 8) times the sum of q */
} ActGroup;

/* Columns of activations in the form that their matrices take: int8 groups for INT8 and INT4, else float32. */
typedef struct {
    int stride;      /* elements from column to column, a multiple of 64; the padding is zero */
    int8_t *q;       /* [C][stride] */
    ActGroup *group; /* [C][stride / 32] */
    float *x;        /* [C][stride] */
} Acts;

/* One pass. Written before the workers start, read by all of them. */
typedef struct {
    int columns, sequence;       /* sequence: the columns are successive tokens of states[0] */
    int all_logits;              /* sequence: logits of every column, not only of the last */
    const int32_t *tokens;       /* [C] */
    float *const *states;        /* [C] or [1]; see backends.base.State for the layout */
    float *const *snapshots;     /* sequence: [C] states after each token, or NULL */
    float *logits;               /* [C or 1][V] */
} Job;

/* A matrix on its way into the model. */
typedef struct {
    Matrix *matrix;
    int by_inputs;
    const void *data, *scale;
} Packing;

typedef struct Model Model;

typedef struct {
    const char *name;
    int (*supported)(void);
    void (*pass)(Model *, int thread);                 /* what each thread does for a job */
    uint64_t (*read)(const uint8_t *data, size_t size); /* a plain sum over memory, to measure its bandwidth */
} Isa;

struct Model {
    Shape shape;
    const Isa *isa;
    int quantized;              /* activations go to the matrices as int8 */
    const float *ln0_w, *ln0_b, *ln_out_w, *ln_out_b;
    Layer layer[MAX_LAYERS];
    Matrix head;
    int emb_format;             /* rows are read where the caller keeps them */
    const void *emb;
    const float *emb_scale;

    /* Scratch. A slot is a column, or the thread's own copy when there is one column (see pass.c). */
    float *x, *normed;                    /* [slots][D] */
    float *r, *k, *v, *v_first, *w, *a, *g, *out; /* [C][D] */
    float *low[4];                        /* [C][padded rank] outputs of w1, a1, v1, g1 */
    float *hidden;                        /* [C][F] */
    float *partial;                       /* [threads][C][Dp] each thread's share of channel-mix's output */
    Acts mixed[6][MAX_THREADS];           /* per thread for one column, else [0] is shared */
    Acts lora[4][MAX_THREADS];            /* per thread */
    Acts gated, squared;                  /* shared; each thread writes its own groups */
    uint32_t skipped[MAX_THREADS][16];    /* [0]: inputs of channel-mix's value matrix that were not read */

    /* Threads. */
    int threads;
    pthread_t worker[MAX_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int sleepers, arrived, quit;
    atomic_uint phase, generation;
    void (*work)(Model *, int thread);
    Job job;
    Packing packing;
    uint8_t *probe;                       /* for measuring the memory's read bandwidth */
    size_t probe_bytes;
    uint64_t probe_sum[MAX_THREADS][8];

    void *regions[1024];                  /* memory to give back */
    size_t region_bytes[1024];
    int region_count;
    uint8_t *free_at, *free_end;
};

void rwkv7_barrier(Model *m);

#endif
