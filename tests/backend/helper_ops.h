/*
 * tests/backend/helper_ops.h - one call of one operation, as data: what goes in, what comes out, and how to run it
 * anywhere.
 *
 * A case holds the arguments of an operation with their arrays on the host. Any backend runs it: arrays are uploaded,
 * weights made, the operation called, and all arrays downloaded. "Set" outputs begin as NaN and "added to" outputs as
 * random numbers, so a backend that mixes the two up is found; the same case run on two backends, or in two ways on
 * one, is compared.
 */
#ifndef ATTUNE_TESTS_BACKEND_HELPER_OPS_H
#define ATTUNE_TESTS_BACKEND_HELPER_OPS_H

#include "backend/backend.h"
#include "support/guarded_checks.h"

#define OP_ARRAYS_MAX  16
#define OP_WEIGHTS_MAX (3 * LINEAR_GROUP)
#define OP_DTYPES_MAX  2

enum op_role {
    OP_INPUT, /* the operation may not change it */
    OP_SET,
    OP_ADDED /* also: changed in place */
};

enum op_element { OP_F32, OP_F64, OP_I32, OP_U64, OP_SPAN, OP_TENSOR, OP_BF16 };

struct op_array {
    const char *field;
    size_t place; /* of the pointer, in the arguments */
    enum op_role role;
    enum op_element element;
    int64_t rows, columns;
    bool by_row;  /* its rows are the rows of the operation */
    int same_as;  /* number of the array whose memory it shares (an output in the place of an input), or -1 */
    void *values; /* [rows, columns] before the operation; NULL where same_as says so */
};

struct op_weight {
    const char *field;
    size_t place;
    struct weight_shape shape;
    float *values; /* exact in shape.dtype */
};

/*
 * How far an output may be from the reference: error, by op_error(), of outputs that are at least `small` in size on
 * average. (Some true gradients are zero; what is left of them is rounding.) All zero: not in a single bit.
 */
struct op_tolerance {
    double error, small;
};
#define OP_BIT_FOR_BIT ((struct op_tolerance){0, 0})

struct op_case {
    enum backend_operation operation;
    char name[160]; /* "linear: 65 rows, 33 -> 100, rank 8" */
    union guarded_arguments arguments;
    struct op_array arrays[OP_ARRAYS_MAX];
    int array_count;
    struct op_weight weights[OP_WEIGHTS_MAX];
    int weight_count;
    size_t dtype_places[OP_DTYPES_MAX]; /* of the arguments that say rows are in bf16 */
    int dtype_count;                    /* above 0: only for backends that compute in bf16 */
    bool weights_by_update;             /* weights are made empty and filled by weight_update */
    struct backend_limits limits;
    size_t rows_place; /* of the number of rows or elements, in the arguments */
    size_t rows_size;  /* 4 or 8 bytes of it; 0: rows are not independent of each other */
    int64_t rows;
    struct op_tolerance tolerance[2]; /* by compute: DTYPE_F32, DTYPE_BF16 */
    double flops, bytes;              /* for timing: work, and memory that must move */
};

/* ---- building a case ---- */

/* Begins a case and names it. The arrays and weights that follow are named by fields of the arguments `a`. */
void op_begin(struct op_case *c, enum backend_operation operation, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void op_free(struct op_case *c);

/*
 * Adds an array and returns its values: normally distributed f32 and bf16 inputs, NaN where set; ids and the like are
 * the caller's to write. OP_ROWS: one row for each row of the operation. OP_ARRAY: a count by itself.
 */
#define OP_ELEMENT(pointer)                                                                                            \
    _Generic((pointer),                                                                                                \
        float *: OP_F32,                                                                                               \
        const float *: OP_F32,                                                                                         \
        double *: OP_F64,                                                                                              \
        const double *: OP_F64,                                                                                        \
        int32_t *: OP_I32,                                                                                             \
        const int32_t *: OP_I32,                                                                                       \
        const uint64_t *: OP_U64,                                                                                      \
        const struct attention_span *: OP_SPAN,                                                                        \
        const struct arena_tensor *: OP_TENSOR)
#define OP_ROWS(c, a, field, role, columns)                                                                            \
    op_array(c, #field, &(a)->field, OP_ELEMENT((a)->field), role, (c)->rows, columns, true)
#define OP_ARRAY(c, a, field, role, count)                                                                             \
    op_array(c, #field, &(a)->field, OP_ELEMENT((a)->field), role, count, 1, false)
/* OP_ROWS of the dtype that the argument `dtype_field` says; OP_DTYPE sets that argument before. */
#define OP_ROWS_OF(c, a, field, dtype_field, role, columns)                                                            \
    op_array(c, #field, &(a)->field, op_element((a)->dtype_field), role, (c)->rows, columns, true)
#define OP_DTYPE(c, a, field, value) op_dtype(c, &(a)->field, value)
void op_dtype(struct op_case *c, enum dtype *place, enum dtype dtype);
enum op_element op_element(enum dtype dtype);
void *op_array(struct op_case *c, const char *field, const void *place, enum op_element element, enum op_role role,
               int64_t rows, int64_t columns, bool by_row);

/* Adds an output that stands in the memory of the input `field` (already added). */
#define OP_IN_PLACE(c, a, output, input) op_in_place(c, #output, &(a)->output, #input)
void op_in_place(struct op_case *c, const char *output, const void *place, const char *input);

/* Adds a weight with values of deviation 1 / sqrt(columns), and returns them. */
#define OP_WEIGHT(c, a, field, rows, columns, dtype, uses)                                                             \
    op_weight(c, #field, &(a)->field, (struct weight_shape){rows, columns, dtype, uses})
float *op_weight(struct op_case *c, const char *field, const void *place, struct weight_shape shape);

/* Says where the arguments keep the number of rows, and sets it. Before any OP_ROWS. */
#define OP_ROW_COUNT(c, a, field, count) op_row_count(c, &(a)->field, sizeof(a)->field, count)
void op_row_count(struct op_case *c, void *place, size_t size, int64_t count);

/* The values of the array or weight called `field`; fails the test where there is none. */
float *op_values(const struct op_case *c, const char *field);
int64_t op_count(const struct op_case *c, const char *field);

/* A case of rows first .. first + count - 1 of another. Outputs that are sums over rows are left out (NULL). */
void op_slice(struct op_case *out, const struct op_case *c, int64_t first, int64_t count);

/* The same case with all its rows in f32: inputs hold what the bf16 ones hold. */
void op_widen(struct op_case *out, const struct op_case *c);

/* ---- running it ---- */

/* Whether the backend takes rows of the dtypes that the case has. */
bool op_fits(const struct op_case *c, const struct backend *backend);

/* A case in a backend's memory, ready to be called. */
struct op_device {
    struct backend *backend;
    const struct op_case *c;
    union guarded_arguments arguments;
    void *memory[OP_ARRAYS_MAX]; /* as allocated */
    void *arrays[OP_ARRAYS_MAX]; /* `shift` elements into it */
    void *weight_memory[OP_WEIGHTS_MAX];
    struct weight *weights[OP_WEIGHTS_MAX];
};

/* What the arrays hold after the operation, each [rows, columns]; free with op_result_free(). */
struct op_result {
    void *values[OP_ARRAYS_MAX];
};

/* `shift`: f32 and bf16 arrays begin so many elements into their allocation. */
void op_prepare(struct op_device *device, struct backend *backend, const struct op_case *c, int shift);
void op_call(const struct op_device *device);
void op_collect(const struct op_device *device, struct op_result *result);
void op_drop(struct op_device *device);

/* The four in one. Also fails the test where an input was changed. */
void op_run(struct op_result *result, struct backend *backend, const struct op_case *c, int shift);
void op_result_free(struct op_result *result);
/* What the array called `field` holds in a result. */
float *op_output(const struct op_result *result, const struct op_case *c, const char *field);

/* ---- comparing ---- */

/*
 * sum (a - b)^2 / sum a^2 over the numbers, a taken as no smaller than `small` on average; infinite where one is NaN or
 * infinite and the other is not the same.
 */
double op_error(const float *expected, const float *actual, int64_t count, double small);

/*
 * Fails the test, naming case, `who` and field, where an output differs by more than the tolerance. Outputs in bf16 may
 * be one step of bf16 apart, element by element, where a tolerance is given at all.
 */
void op_compare(const struct op_case *c, const struct op_result *expected, const struct op_result *actual,
                struct op_tolerance tolerance, const char *who);

size_t op_element_size(enum op_element element);

#endif
