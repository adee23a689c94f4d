/*
 * backend/cpu/internal.h - what the files of this room share: the backend's own struct, prepared weights, scratch
 * memory, and the kernels of one instruction set.
 */
#ifndef ATTUNE_BACKEND_CPU_INTERNAL_H
#define ATTUNE_BACKEND_CPU_INTERNAL_H

#include "backend/cpu/cpu.h"
#include <assert.h>

/* ---- prepared weights ---- */

/*
 * A matrix [outputs, inner] is kept in panels of PANEL outputs; the last panel is filled up with zeros.
 *
 *     PANEL_F32    [panel][inner][PANEL] f32
 *     PANEL_PAIRS  [panel][inner / 2][PANEL][2] bf16, inner filled up with zeros to a multiple of PAIR_ALIGNMENT
 *
 * In pairs, one 32-bit word holds the values of inner = 2i (low half) and 2i + 1 (high half) of one output: what
 * VDPBF16PS and the tiles of AMX multiply, and what a shift and a mask widen to f32.
 */
#define PANEL          32
#define PAIR_ALIGNMENT 32

enum panel_form { PANEL_F32, PANEL_PAIRS };

struct panels {
    const void *data; /* NULL: not kept */
    enum panel_form form;
    int32_t outputs, inner;
};

struct weight {
    struct weight_shape shape;
    struct panels forward;  /* outputs = rows, inner = columns */
    struct panels backward; /* outputs = columns, inner = rows */
    const void *plain;      /* row-major in shape.dtype, where only rows are looked up; or NULL */
};

/* Bytes from one panel to the next. */
size_t panels_stride(const struct panels *panels);

/* ---- kernels ---- */

/* Rows that a product reads, f32 or bf16. */
struct operand_rows {
    const void *data;
    size_t stride; /* elements from row to row */
    enum dtype dtype;
};
static inline const void *operand_at(const struct operand_rows *rows, size_t row, size_t column)
{
    return (const unsigned char *)rows->data + (row * rows->stride + column) * dtype_size(rows->dtype);
}

/*
 * One product of a few rows with a strip of columns: sums[row][column] = sum over inner of x[row][i] *
 * panels[i][column], i ascending, one chain of additions for each element, from 0 or, with `go_on`, from what sums
 * holds.
 *
 * sums is written in whole vectors up to `columns` rounded up to PANEL.
 */
struct tile {
    const void *x;       /* f32 or, in `bf16`, bf16 */
    size_t x_stride;     /* elements from row to row; in `transposed`, from i to i + 1 (rows lie side by side) */
    const void *panels;  /* the strip's first panel */
    size_t panel_stride; /* bytes from panel to panel */
    size_t inner_stride; /* floats from i to i + 1 in an f32 panel: PANEL where it was packed */
    int32_t rows;        /* 1 .. tile_rows of the kernels */
    int32_t inner, columns;
    float *sums;
    size_t sums_stride;
    bool go_on;
    const unsigned char
        *ahead;        /* asked for from memory meanwhile, a line every step of one or, in pairs, two of inner */
    size_t ahead_step; /* bytes */
};
typedef void tile_kernel(const struct tile *tile);

/* y (+)= scale * (sums + bias) for a piece of the result; what the sums of a product become. */
struct finish {
    const float *sums, *bias; /* bias: or NULL */
    size_t sums_stride;
    float *y;
    size_t y_stride;
    int32_t rows, columns;
    float scale;
    bool accumulate;
};

/* The mask of dropout of one place in the model; without keys nothing is dropped. */
struct mask {
    struct dropout dropout;
    uint32_t stream;
};

/* to (+)= drop(x) for a piece of the rows of an operation. */
struct masked_rows {
    const struct mask *mask;
    struct operand_rows x; /* from the piece's first element on */
    float *to;
    size_t to_stride;
    int32_t first_row, first_column; /* of the piece; the column is a multiple of 4 */
    int32_t rows, columns;
    bool accumulate;
};

/* Works on elements, rows or columns first .. end - 1 of an operation. */
typedef void range_kernel(const void *arguments, int64_t first, int64_t end);

/* From f32 to bf16 (to nearest, ties to even) or back, as the kernel says. */
struct conversion {
    const void *src;
    void *dst;
};

/* What the kernel of AdamW is given: all elements of a call to it have one decay. */
struct adamw_run {
    const struct adamw_args *arguments;
    double grad_scale, decay;
};

/* Rows of logits in scratch: gets statistics of them, or turns them into gradients. Pointers as in vocabulary_args. */
struct logit_rows {
    float *z; /* [rows, stride], already times inverse_temperature */
    size_t stride;
    int32_t vocabulary;
    const int32_t *targets;
    float *logprob, *lse, *entropy;
    int32_t *argmax;
    const float *dlogprob, *dentropy;
    float inverse_temperature;
};

/* Queries first_query .. + queries - 1 of a span against all keys they see, for the query heads of one key head. */
struct attention_task {
    const struct attention_args *arguments;
    const struct cpu_kernels *bf16; /* their bf16 tile multiplies; NULL: f32 does */
    const struct attention_span *span;
    int32_t kv_head, first_query, queries;
    unsigned char *scratch;
    size_t scratch_size;
};

/*
 * Keys first_key .. end_key - 1 of a span, and queries first_query .. end_query - 1 that see them: of the span itself
 * (`asking` is `span`), or of its children, laid end to end. For one key head and its query heads. The first ones are
 * multiples of ATTENTION_KEYS.
 */
struct attention_backward_task {
    const struct attention_backward_args *arguments;
    const struct cpu_kernels *bf16;
    const struct attention_span *span, *asking;
    int32_t asking_count, first_key, end_key, kv_head;
    int64_t first_query, end_query;
    unsigned char *scratch;
    size_t scratch_size;
};

/* Rows (queries times the query heads of a key head) and keys of one block of attention; gradients keep more of each
 * row at hand. */
#define ATTENTION_ROWS      192
#define ATTENTION_BACK_ROWS 96
#define ATTENTION_KEYS      256
#define ATTENTION_TILE_ROWS 32 /* at least the rows of a tile of any kernels */

/* Queries of a block: as many as its rows hold, at least one. */
static inline int32_t attention_queries(int32_t rows, int32_t heads_per_kv_head)
{
    return heads_per_kv_head >= rows ? 1 : rows / heads_per_kv_head;
}

/* Floats between packed strips: room for a vector, and a cache line, so that strips do not share a set of the cache. */
#define STRIP_GAP 16

struct cpu_kernels {
    int32_t tile_rows;
    tile_kernel *f32;        /* x f32, panels f32 */
    tile_kernel *pairs;      /* x f32, panels bf16 pairs */
    tile_kernel *transposed; /* x f32 transposed, panels f32 */
    /*
     * x in bf16, panels in bf16 pairs; NULL: this CPU has no arithmetic for that, and products in bf16 are those in f32
     * of rounded numbers. Rows of x are filled up with zeros to a multiple of PAIR_ALIGNMENT, their number to one of
     * bf16_multiple.
     */
    tile_kernel *bf16;
    int32_t bf16_rows, bf16_multiple; /* bf16_rows: the most of one tile, a multiple of bf16_multiple */
    range_kernel *bf16_operand;       /* f32 to x of `bf16` (struct conversion) */
    /* Called by a task before its first and after its last bf16 tile, or NULL. */
    void (*bf16_begin)(void);
    void (*bf16_end)(void);
    void (*finish)(const struct finish *finish);
    /* A panel whose outputs are the rows of `from` (at most PANEL are there), in either form (pairs: inner up to
     * `padded`). */
    void (*panel_of_rows)(float *panel, const float *from, size_t stride, int32_t rows, int32_t inner);
    void (*panel_of_row_pairs)(uint32_t *panel, const float *from, size_t stride, int32_t rows, int32_t inner,
                               int32_t padded);
    /*
     * Columns 0 .. count - 1 of `rows` rows, as strips [strip][rows][width], each strip_stride floats behind the other,
     * STRIP_GAP more than it holds; the last strip is filled up with zeros. The same in bf16 pairs of rows: [strip]
     * [padded / 2][width] words. And the transpose in bf16, [count][padded]. Rows are filled up with zeros to `padded`,
     * a multiple of PAIR_ALIGNMENT, and count, in the transpose, to whole vectors.
     */
    void (*pack_strips)(float *to, size_t strip_stride, const struct operand_rows *from, int32_t rows, int32_t count,
                        int32_t width);
    void (*pack_pairs)(uint32_t *to, size_t strip_stride, const struct operand_rows *from, int32_t rows, int32_t count,
                       int32_t width, int32_t padded);
    void (*pack_turned)(uint32_t *to, const struct operand_rows *from, int32_t rows, int32_t count, int32_t padded);

    /* over elements */
    range_kernel *gated, *gated_backward, *fill, *adamw, *to_bf16, *from_bf16, *round;
    /* over rows */
    range_kernel *norm, *norm_backward, *score, *score_backward, *rotation, *rope;
    range_kernel *logit_statistics, *logit_gradient;
    /* over columns */
    range_kernel *norm_weight_backward, *score_weight_backward, *embed_backward, *scatter_add_rows, *column_sums;

    void (*mask_rows)(const struct masked_rows *rows);
    double (*sum_squares)(const float *x, int64_t count);
    void (*attention)(const struct attention_task *task);
    void (*attention_backward)(const struct attention_backward_task *task);
};

extern const struct cpu_kernels cpu_kernels_plain, cpu_kernels_avx2, cpu_kernels_avx512;

/* For cpu_kernels.bf16 and .bf16_operand. */
void cpu_tile_avx512bf16(const struct tile *tile);
range_kernel cpu_operand_avx512bf16;
void cpu_tile_amx(const struct tile *tile);
void cpu_amx_begin(void);
void cpu_amx_end(void);
#define AMX_ROWS 16 /* bf16_multiple */

/* detect.c */
struct cpu_kernels cpu_kernels_of(enum cpu_isa isa);

/* ---- the backend ---- */

struct cpu {
    struct backend backend; /* first: the table's functions get a pointer to it */
    char name[64], numerics[32];
    struct pool *pool;
    struct cpu_kernels kernels;
    enum cpu_isa isa;

    struct backend_limits limits; /* of all reserve() so far */
    unsigned char *scratch;       /* aligned to 64: the shared part, then one part for each thread */
    size_t shared_size, thread_size;
};

static inline struct cpu *cpu_of(struct backend *backend)
{
    return (struct cpu *)(void *)backend;
}

/* Whether products go by kernels.bf16. */
static inline bool cpu_multiplies_bf16(const struct cpu *cpu)
{
    return cpu->backend.compute == DTYPE_BF16 && cpu->kernels.bf16;
}

static inline void cpu_bf16_begin(const struct cpu *cpu)
{
    if (cpu_multiplies_bf16(cpu) && cpu->kernels.bf16_begin) {
        cpu->kernels.bf16_begin();
    }
}
static inline void cpu_bf16_end(const struct cpu *cpu)
{
    if (cpu_multiplies_bf16(cpu) && cpu->kernels.bf16_end) {
        cpu->kernels.bf16_end();
    }
}

/* Scratch that all threads share, and the calling task's own. Asserts that `size` bytes were reserved. */
void *cpu_shared(struct cpu *cpu, size_t size);
void *cpu_own(struct cpu *cpu, size_t size);

/* Runs task(context, 0 .. count - 1) on the pool, or here when all of it is less than about `work` = 100 000
 * operations. */
void cpu_run(struct cpu *cpu, void (*task)(void *context, int64_t index), void *context, int64_t count, double work);

/* Runs kernel(arguments, first, end) over 0 .. count - 1 in ranges of at least `grain`; `work`: operations of one. */
void cpu_split(struct cpu *cpu, range_kernel *kernel, const void *arguments, int64_t count, int64_t grain, double work);

/* Scratch that the operations of a file want: bytes shared by all and bytes of each thread, the most of any operation.
 */
struct scratch_need {
    size_t shared, thread;
};
void product_scratch(struct scratch_need *need, const struct backend_limits *limits);
void weight_product_scratch(struct scratch_need *need, const struct backend_limits *limits);
void attention_scratch(struct scratch_need *need, const struct backend_limits *limits);
void vocabulary_scratch(struct scratch_need *need, const struct backend_limits *limits);
void scratch_want(size_t *most, size_t size);

/* Lays structs out one after the other in a piece of scratch, each aligned to 64 bytes. */
static inline size_t scratch_align(size_t size)
{
    return (size + 63) / 64 * 64;
}

/* ---- products ---- */

struct product {
    struct operand_rows x; /* [rows, panels.inner] */
    struct panels panels;
    struct operand_rows u; /* [rows, low.inner]; data NULL: no such term */
    struct panels low;     /* low.outputs = panels.outputs */
    const float *bias;     /* [panels.outputs] or NULL */
    float *y;              /* [rows, panels.outputs] */
    size_t y_stride;
    float scale;
    bool accumulate;
    struct mask x_mask; /* drop(x) is read instead of x */
    struct mask y_mask; /* the sums pass it on their way to y; then scale is 1, and bias NULL */
};

/*
 * y (+)= scale * (x panels^T + u low^T + bias), one product after the other. A row of one may read the same row of what
 * earlier ones made: where rows are many, a task does all products for its rows. Rows of bf16 are for `compute` bf16.
 */
void cpu_products(struct cpu *cpu, const struct product *products, int count, int32_t rows);

/* dw[n][k] += scale * sum over t of dy[t][n] drop(x)[t][k] */
struct weight_product {
    struct operand_rows dy, x;
    struct mask x_mask;
    float *dw;
    size_t dw_stride;
    int32_t rows, outputs, inputs;
    float scale;
};
void cpu_weight_product(struct cpu *cpu, const struct weight_product *product);

/* Into how many groups to cut `panels`: each at most `most`, and so many that `blocks` times them keeps all threads
 * busy. */
int64_t cpu_panel_groups(const struct cpu *cpu, int64_t blocks, int64_t panels, int64_t most);

static inline int32_t panel_count(int32_t columns)
{
    return (columns + PANEL - 1) / PANEL;
}
static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
static inline float bf16_to_f32(uint16_t bits)
{
    union {
        uint32_t bits;
        float value;
    } word = {.bits = (uint32_t)bits << 16};
    return word.value;
}

/* ---- the slots, by file ---- */

/* weight.c */
size_t cpu_weight_size(struct backend *backend, const struct weight_shape *shape);
int cpu_weight_create(struct backend *backend, struct weight **out, const struct weight_shape *shape, void *memory,
                      const void *source, struct err *err);
void cpu_weight_free(struct backend *backend, struct weight *weight);

#define X(name, args) void cpu_##name(struct backend *backend, const struct args *arguments);
BACKEND_OPERATIONS(X)
#undef X

#endif
