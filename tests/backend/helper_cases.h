/*
 * tests/backend/helper_cases.h - the cases of every operation: which shapes, which nullable arguments, which aliases.
 *
 * A spec names one case; case_*() builds it. The lists that all backends must answer are behind cases_each(). Other
 * tests (rows alone, gradients, time) build from specs of their own.
 */
#ifndef ATTUNE_TESTS_BACKEND_HELPER_CASES_H
#define ATTUNE_TESTS_BACKEND_HELPER_CASES_H

#include "helper_ops.h"

typedef void (*case_visit)(struct op_case *c, void *context);

/* Builds every listed case of the operation, visits it and frees it. */
void cases_each(enum backend_operation operation, case_visit visit, void *context);

/* ---- embedding and products: helper_cases_linear.c ---- */

struct embed_spec {
    int32_t rows, columns, vocabulary;
    enum dtype dtype;
    float scale; /* 0: 1 */
};
void case_embed(struct op_case *c, const struct embed_spec *spec);
void case_embed_backward(struct op_case *c, const struct embed_spec *spec);

/*
 * Outputs and inputs are those of the weight, in linear_backward too. Bit i of a set of layers is layer i of the group.
 * The low-rank term of layer i has rank + i, so that no two are the same.
 */
#define LAYERS_ALL ((1u << LINEAR_GROUP) - 1)
struct linear_spec {
    int32_t rows, inputs, outputs, rank;    /* rank 0: no low-rank term */
    int32_t more_outputs[LINEAR_GROUP - 1]; /* of further layers of a group; 0: none */
    unsigned plain;                         /* layers without a low-rank term where rank > 0 */
    unsigned only_u;                        /* linear: layers whose y is not wanted */
    enum dtype dtype;                       /* of the weights */
    enum dtype x_dtype, dy_dtype;           /* of the rows */
    float scale;                            /* of the low-rank term, or of dw; 0: 1 */
    float dropout;                          /* probability; below 0: keys are given, and nothing is dropped */
    bool bias;
    bool no_dx; /* linear_backward: only du */
    bool no_dw; /* linear_weight_backward: only dbias */
};
void case_linear(struct op_case *c, const struct linear_spec *spec);
void case_linear_backward(struct op_case *c, const struct linear_spec *spec);
void case_linear_weight_backward(struct op_case *c, const struct linear_spec *spec);

struct vocabulary_spec {
    int32_t rows, columns, vocabulary;
    enum dtype dtype;
    float inverse_temperature; /* 0: 1 */
    bool entropy;              /* forward: wanted; backward: its gradient too */
    bool argmax, dw;
    bool sharp; /* one logit wins by far */
    bool twins; /* each row of the weight stands there twice: argmax is the first */
};
void case_vocabulary(struct op_case *c, const struct vocabulary_spec *spec);
void case_vocabulary_backward(struct op_case *c, const struct vocabulary_spec *spec);
void case_vocabulary_both(struct op_case *c, const struct vocabulary_spec *spec);

/* ---- positions and attention: helper_cases_attention.c ---- */

struct rotation_spec {
    int32_t rows, rotary;
    float attention_factor; /* 0: 1 */
};
void case_rotation(struct op_case *c, const struct rotation_spec *spec);

/* The table holds numbers that no angle gives: whatever it holds, the operation is the same. */
struct rope_spec {
    int32_t rows, heads, head_size, rotary;
    bool inverse;
};
void case_rope(struct op_case *c, const struct rope_spec *spec);

#define ATTENTION_SPANS_MAX 16
struct attention_spec {
    int32_t heads, kv_heads, head_size;
    bool no_lse;
    float sharpness;                                  /* factor of q: 0 is 1; a large one makes one key win */
    struct attention_span spans[ATTENTION_SPANS_MAX]; /* ends with queries == 0 */
};
void case_attention(struct op_case *c, const struct attention_spec *spec);
/* out and lse are computed from q, k and v. */
void case_attention_backward(struct op_case *c, const struct attention_spec *spec);

/* Span layouts by name, for use in a spec's `spans`. */
#define SPANS_ONE(tokens)                                                                                              \
    {                                                                                                                  \
        {                                                                                                              \
            0, tokens, 0, tokens, 0, 0                                                                                 \
        }                                                                                                              \
    }
#define SPANS_PACKED                                                                                                   \
    {                                                                                                                  \
        {0, 5, 0, 5, 0, 0}, {5, 1, 5, 1, 0, 0}, {6, 37, 6, 37, 0, 0},                                                  \
        {                                                                                                              \
            43, 22, 43, 22, 0, 0                                                                                       \
        }                                                                                                              \
    }
/* A parent of 19 with children of 7, 1 and 33; a lone one; a parent of 1 with a child of 2. */
#define SPANS_FAMILIES                                                                                                 \
    {                                                                                                                  \
        {0, 19, 0, 19, 0, 0}, {19, 7, 19, 7, 0, 19}, {26, 1, 26, 1, 0, 19}, {27, 33, 27, 33, 0, 19},                   \
            {60, 4, 60, 4, 0, 0}, {64, 1, 64, 1, 0, 0},                                                                \
        {                                                                                                              \
            65, 2, 65, 2, 64, 1                                                                                        \
        }                                                                                                              \
    }
/* The same past the blocks that sequences are cut into: a parent of 530, children of 7, 1, 290 and 130; 300 alone. */
#define SPANS_LONG_FAMILY                                                                                              \
    {                                                                                                                  \
        {0, 530, 0, 530, 0, 0}, {530, 7, 530, 7, 0, 530}, {537, 1, 537, 1, 0, 530}, {538, 290, 538, 290, 0, 530},      \
            {828, 130, 828, 130, 0, 530},                                                                              \
        {                                                                                                              \
            958, 300, 958, 300, 0, 0                                                                                   \
        }                                                                                                              \
    }
/* Newest tokens over a cache: two of one parent, one alone, one with several queries. */
#define SPANS_DECODE                                                                                                   \
    {                                                                                                                  \
        {0, 1, 40, 13, 0, 40}, {1, 1, 60, 1, 0, 40}, {2, 1, 70, 70, 0, 0},                                             \
        {                                                                                                              \
            3, 4, 140, 20, 0, 0                                                                                        \
        }                                                                                                              \
    }

/* ---- rows and elements: helper_cases_elements.c ---- */

struct norm_spec {
    int32_t rows, columns;
    bool residual, rstd, dweight;
    enum { NORM_NO_SUM, NORM_SUM, NORM_SUM_IS_X, NORM_Y_IS_X } place;
    enum dtype y_dtype;
};
void case_norm(struct op_case *c, const struct norm_spec *spec);
void case_norm_backward(struct op_case *c, const struct norm_spec *spec);

struct score_spec {
    int32_t rows, columns;
    bool dw;
};
void case_score(struct op_case *c, const struct score_spec *spec);
void case_score_backward(struct op_case *c, const struct score_spec *spec);

/* `in_place`: the input an output stands in, or NULL; `in_place_up`, `in_place_out`: the same for dup and out. */
struct gated_spec {
    int64_t count;
    const char *in_place, *in_place_up, *in_place_out;
    bool out; /* backward: the value is wanted too */
    enum dtype out_dtype;
};
void case_gated(struct op_case *c, const struct gated_spec *spec);
void case_gated_backward(struct op_case *c, const struct gated_spec *spec);

struct rows_spec {
    int32_t rows, columns, of; /* rows out of `of` */
};
void case_gather_rows(struct op_case *c, const struct rows_spec *spec);
void case_scatter_rows(struct op_case *c, const struct rows_spec *spec);
void case_scatter_add_rows(struct op_case *c, const struct rows_spec *spec);

/* Tensors in an arena, which ends `tail` elements behind the last of them. */
struct arena_spec {
    struct arena_tensor tensors[5]; /* to the first without elements */
    int64_t tail;
};
#define ARENA_OF_ONE(elements)                                                                                         \
    {                                                                                                                  \
        .tensors = { {0, elements, 1} }                                                                                \
    }

struct adamw_spec {
    struct arena_spec arena;
    int step;
    double decay, max_grad_norm, sum_squares;
};
void case_adamw(struct op_case *c, const struct adamw_spec *spec);

void case_fill(struct op_case *c, int64_t count);
void case_sum_squares(struct op_case *c, const struct arena_spec *spec);

/* The listed cases by file; cases_each() calls them. */
#define X(name, args) void cases_##name(case_visit visit, void *context);
BACKEND_OPERATIONS(X)
#undef X

/* Visits one built case and frees it. */
void case_finish(struct op_case *c, case_visit visit, void *context);
/* For each element of an array of specs: build, visit, free. */
#define CASES(name, specs)                                                                                             \
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs)[0]; i++) {                                                    \
        struct op_case c;                                                                                              \
        case_##name(&c, &(specs)[i]);                                                                                  \
        case_finish(&c, visit, context);                                                                               \
    }

#endif
