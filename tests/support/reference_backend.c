/* tests/support/reference_backend.c - the reference table; see reference_backend.h. */
#include "support/reference_backend.h"
#include "base/mem.h"
#include "base/random.h"
#include "support/numbers.h"
#include "support/reference_internal.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

struct weight {
    struct weight_shape shape; /* first, see weight_shape() */
    float *values;             /* [rows, columns] */
};

/* ---- rows in f32 or bf16; float_from_dtype() reads them ---- */

static void store(void *rows, enum dtype dtype, int64_t index, float value)
{
    if (dtype == DTYPE_F32) {
        ((float *)rows)[index] = value;
    } else {
        ((uint16_t *)rows)[index] = bf16_from_float(value);
    }
}

static void assert_rows(const struct backend *backend, enum dtype dtype)
{
    assert(dtype == DTYPE_F32 || (dtype == DTYPE_BF16 && backend->compute == DTYPE_BF16));
}

/* ---- memory and weights ---- */

/* The pointer to free stands in the 64 bytes before the aligned memory. */
static int reference_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    (void)backend;
    assert(size <= SIZE_MAX - 2 * ALIGNMENT);
    char *block = mem_alloc(size + 2 * ALIGNMENT, 1, err);
    if (block == NULL) {
        return -1;
    }
    char *aligned = block + 2 * ALIGNMENT - (uintptr_t)block % ALIGNMENT;
    memcpy(aligned - sizeof block, &block, sizeof block);
    *out = aligned;
    return 0;
}

static size_t reference_memory_free(struct backend *backend)
{
    (void)backend;
    return SIZE_MAX;
}

static void reference_release(struct backend *backend, void *memory)
{
    (void)backend;
    if (memory != NULL) {
        void *block;
        memcpy(&block, (char *)memory - sizeof block, sizeof block);
        mem_free(block);
    }
}

static void reference_upload(struct backend *backend, void *device, const void *host, size_t size)
{
    (void)backend;
    if (size > 0) {
        memcpy(device, host, size);
    }
}

static void reference_download_begin(struct backend *backend, void *host, const void *device, size_t size)
{
    (void)backend;
    if (size > 0) {
        memcpy(host, device, size);
    }
}

static int reference_synchronize(struct backend *backend, struct err *err)
{
    (void)backend;
    (void)err;
    return 0;
}

static size_t reference_weight_size(struct backend *backend, const struct weight_shape *shape)
{
    (void)backend;
    return (size_t)shape->rows * (size_t)shape->columns * sizeof(float);
}

static int reference_weight_create(struct backend *backend, struct weight **out, const struct weight_shape *shape,
                                   void *memory, const void *source, struct err *err)
{
    (void)backend;
    struct weight *weight = mem_alloc(1, sizeof *weight, err);
    if (weight == NULL) {
        return -1;
    }
    weight->shape = *shape;
    weight->values = memory;
    if (source != NULL) {
        for (int64_t i = 0; i < (int64_t)shape->rows * shape->columns; i++) {
            weight->values[i] = float_from_dtype(source, shape->dtype, i);
        }
    }
    *out = weight;
    return 0;
}

static void reference_weight_free(struct backend *backend, struct weight *weight)
{
    (void)backend;
    mem_free(weight);
}

static void reference_weight_update(struct backend *backend, const struct weight_update_args *a)
{
    (void)backend;
    struct weight *weight = a->weight;
    for (int64_t i = 0; i < (int64_t)weight->shape.rows * weight->shape.columns; i++) {
        weight->values[i] = a->master[i];
    }
}

/* ---- scratch ---- */

/* The most of a row of logits, a row of a norm or a product, and the gradients of one head's key and value. */
static size_t scratch_columns(const struct backend_limits *limits)
{
    int32_t most = limits->vocabulary > limits->columns ? limits->vocabulary : limits->columns;
    return (size_t)(most > 2 * limits->head_size ? most : 2 * limits->head_size);
}

static size_t reference_scratch_size(struct backend *backend, const struct backend_limits *limits)
{
    (void)backend;
    return scratch_columns(limits) * (sizeof(double) + sizeof(float));
}

static int reference_reserve(struct backend *backend, const struct backend_limits *limits, struct err *err)
{
    struct reference *self = reference(backend);
    struct backend_limits all = self->limits;
    backend_limits_widen(&all, limits);
    size_t columns = scratch_columns(&all);
    double *wide = mem_alloc(columns + 1, sizeof *wide, err);
    float *narrow = wide ? mem_alloc(columns + 1, sizeof *narrow, err) : NULL;
    if (narrow == NULL) {
        mem_free(wide);
        return -1;
    }
    mem_free(self->wide);
    mem_free(self->narrow);
    self->wide = wide;
    self->narrow = narrow;
    self->limits = all;
    return 0;
}

static void reference_free(struct backend *backend)
{
    struct reference *self = reference(backend);
    mem_free(self->wide);
    mem_free(self->narrow);
    mem_free(self);
}

/* ---- embedding and norm ---- */

static void reference_embed(struct backend *backend, const struct embed_args *a)
{
    (void)backend;
    int64_t columns = a->table->shape.columns;
    for (int64_t t = 0; t < a->rows; t++) {
        assert(a->ids[t] >= 0 && a->ids[t] < a->table->shape.rows);
        for (int64_t c = 0; c < columns; c++) {
            a->out[t * columns + c] = a->scale * a->table->values[a->ids[t] * columns + c];
        }
    }
}

static void reference_embed_backward(struct backend *backend, const struct embed_backward_args *a)
{
    (void)backend;
    for (int64_t t = 0; t < a->rows; t++) {
        assert(a->ids[t] >= 0 && a->ids[t] < a->vocabulary);
        for (int64_t c = 0; c < a->columns; c++) {
            a->dtable[(int64_t)a->ids[t] * a->columns + c] += a->scale * a->dout[t * a->columns + c];
        }
    }
}

static void reference_norm(struct backend *backend, const struct norm_args *a)
{
    float *s = reference(backend)->narrow;
    assert(a->columns <= (int32_t)scratch_columns(&reference(backend)->limits));
    assert_rows(backend, a->y_dtype);
    for (int64_t r = 0; r < a->rows; r++) {
        int64_t row = r * a->columns;
        double squares = 0;
        for (int64_t c = 0; c < a->columns; c++) {
            s[c] = a->x[row + c] + (a->residual ? a->residual[row + c] : 0.0F);
            squares += (double)s[c] * s[c];
        }
        double rstd = 1 / sqrt(squares / a->columns + a->epsilon);
        for (int64_t c = 0; c < a->columns; c++) {
            store(a->y, a->y_dtype, row + c, (float)(s[c] * rstd * a->weight[c]));
            if (a->sum) {
                a->sum[row + c] = s[c];
            }
        }
        if (a->rstd) {
            a->rstd[r] = (float)rstd;
        }
    }
}

/* With n = s rstd and g = dy weight:  ds = rstd (g - n mean(g n));  dweight += dy n */
static void reference_norm_backward(struct backend *backend, const struct norm_backward_args *a)
{
    (void)backend;
    for (int64_t r = 0; r < a->rows; r++) {
        int64_t row = r * a->columns;
        double rstd = a->rstd[r];
        double mean = 0;
        for (int64_t c = 0; c < a->columns; c++) {
            mean += (double)a->dy[row + c] * a->weight[c] * a->s[row + c] * rstd / a->columns;
        }
        for (int64_t c = 0; c < a->columns; c++) {
            double normed = a->s[row + c] * rstd;
            a->dx[row + c] += (float)(rstd * ((double)a->dy[row + c] * a->weight[c] - normed * mean));
            if (a->dweight) {
                a->dweight[c] += (float)(a->dy[row + c] * normed);
            }
        }
    }
}

/* ---- linear ---- */

/* Row `row` of [rows, columns] in f32, in the narrow scratch. */
static const float *widened_row(struct backend *backend, const void *rows, enum dtype dtype, int64_t row,
                                int64_t columns)
{
    float *values = reference(backend)->narrow;
    assert(columns <= (int64_t)scratch_columns(&reference(backend)->limits));
    for (int64_t c = 0; c < columns; c++) {
        values[c] = float_from_dtype(rows, dtype, row * columns + c);
    }
    return values;
}

/* What an element of a row becomes by dropout. */
static double dropped(const struct dropout *dropout, uint32_t stream, int64_t row, int64_t column, double value)
{
    uint32_t words[4];
    if (dropout->keys == NULL) {
        return value;
    }
    random_block(words, dropout->seed, RANDOM_DROPOUT, dropout->keys[row],
                 (uint64_t)stream << 32 | (uint64_t)column / 4);
    return words[column % 4] < dropout->probability * 4294967296.0 ? 0 : value / (1.0 - dropout->probability);
}

/* u first, since y reads it. */
static void linear_row(struct backend *backend, const struct linear_args *a, const struct linear_layer *layer,
                       int64_t row)
{
    int64_t inputs = layer->w->shape.columns, outputs = layer->w->shape.rows;
    int64_t rank = layer->a ? layer->a->shape.rows : 0;
    if (layer->a) {
        (void)widened_row(backend, a->x, a->x_dtype, row, inputs);
        float *seen = reference(backend)->narrow;
        for (int64_t i = 0; i < inputs; i++) {
            seen[i] = (float)dropped(&a->dropout, layer->stream, row, i, seen[i]);
        }
        for (int64_t i = 0; i < rank; i++) {
            double sum = dot(backend, seen, 1, layer->a->values + i * inputs, 1, inputs);
            layer->u[row * rank + i] = (float)(layer->scale * sum);
        }
    }
    const float *x = widened_row(backend, a->x, a->x_dtype, row, inputs);
    for (int64_t o = 0; layer->y && o < outputs; o++) {
        double sum = dot(backend, x, 1, layer->w->values + o * inputs, 1, inputs);
        if (layer->bias) {
            sum += layer->bias[o];
        }
        if (layer->a) {
            sum += dot(backend, layer->u + row * rank, 1, layer->b->values + o * rank, 1, rank);
        }
        layer->y[row * outputs + o] = (float)sum;
    }
}

static void reference_linear(struct backend *backend, const struct linear_args *a)
{
    assert_rows(backend, a->x_dtype);
    assert(a->layer_count >= 1 && a->layer_count <= LINEAR_GROUP);
    for (int32_t i = 0; i < a->layer_count; i++) {
        const struct linear_layer *layer = &a->layers[i];
        assert(layer->w->shape.columns == a->layers[0].w->shape.columns);
        assert((layer->a == NULL) == (layer->b == NULL) && (layer->a == NULL) == (layer->u == NULL));
        assert(layer->a == NULL || layer->a->shape.columns == layer->w->shape.columns);
        assert(layer->b == NULL || layer->b->shape.rows == layer->w->shape.rows);
        assert(layer->b == NULL || layer->b->shape.columns == layer->a->shape.rows);
        for (int64_t row = 0; row < a->rows; row++) {
            linear_row(backend, a, layer, row);
        }
    }
}

/* Sets du and adds what the layer gives to dx [inputs]. */
static void linear_row_backward(struct backend *backend, const struct linear_backward_args *a,
                                const struct linear_gradient *layer, int64_t row, double *dx)
{
    int64_t inputs = layer->w->shape.columns, outputs = layer->w->shape.rows;
    int64_t rank = layer->b ? layer->b->shape.columns : 0;
    const float *dy = widened_row(backend, layer->dy, a->dy_dtype, row, outputs);
    float *du = layer->b ? layer->du + row * rank : NULL;
    for (int64_t i = 0; i < rank; i++) {
        du[i] = (float)(layer->scale * dot(backend, dy, 1, layer->b->values + i, rank, outputs));
    }
    for (int64_t i = 0; a->dx && i < inputs; i++) {
        dx[i] += dot(backend, dy, 1, layer->w->values + i, inputs, outputs);
        if (layer->a) {
            double sum = dot(backend, du, 1, layer->a->values + i, inputs, rank);
            dx[i] += dropped(&a->dropout, layer->stream, row, i, sum);
        }
    }
}

static void reference_linear_backward(struct backend *backend, const struct linear_backward_args *a)
{
    int64_t inputs = a->layers[0].w->shape.columns;
    double *dx = reference(backend)->wide;
    assert_rows(backend, a->dy_dtype);
    assert(a->layer_count >= 1 && a->layer_count <= LINEAR_GROUP);
    assert(inputs <= (int64_t)scratch_columns(&reference(backend)->limits));
    for (int32_t i = 0; i < a->layer_count; i++) {
        const struct linear_gradient *layer = &a->layers[i];
        assert(layer->w->shape.columns == inputs && (layer->b == NULL) == (layer->du == NULL));
        assert(layer->b == NULL || layer->b->shape.rows == layer->w->shape.rows);
        assert(layer->a == NULL || (layer->b && layer->a->shape.rows == layer->b->shape.columns));
        assert(layer->a == NULL || layer->a->shape.columns == inputs);
    }
    for (int64_t row = 0; row < a->rows; row++) {
        memset(dx, 0, (size_t)inputs * sizeof *dx);
        for (int32_t i = 0; i < a->layer_count; i++) {
            linear_row_backward(backend, a, &a->layers[i], row, dx);
        }
        for (int64_t i = 0; a->dx && i < inputs; i++) {
            a->dx[row * inputs + i] = (float)dx[i];
        }
    }
}

static void reference_linear_weight_backward(struct backend *backend, const struct linear_weight_backward_args *a)
{
    assert_rows(backend, a->dy_dtype);
    assert_rows(backend, a->x_dtype);
    for (int64_t o = 0; a->dw && o < a->outputs; o++) {
        for (int64_t i = 0; i < a->inputs; i++) {
            double sum = 0;
            for (int64_t r = 0; r < a->rows; r++) {
                double x = dropped(&a->dropout, a->stream, r, i, float_from_dtype(a->x, a->x_dtype, r * a->inputs + i));
                sum += operand(backend, float_from_dtype(a->dy, a->dy_dtype, r * a->outputs + o)) *
                       operand(backend, (float)x);
            }
            float *dw = a->dw + o * a->inputs + i;
            *dw = (float)(*dw + a->scale * sum);
        }
    }
    for (int64_t o = 0; a->dbias && o < a->outputs; o++) {
        double sum = 0;
        for (int64_t r = 0; r < a->rows; r++) {
            sum += float_from_dtype(a->dy, a->dy_dtype, r * a->outputs + o);
        }
        a->dbias[o] = (float)(a->dbias[o] + sum);
    }
}

/* ---- gated unit ---- */

static void reference_gated(struct backend *backend, const struct gated_args *a)
{
    assert_rows(backend, a->out_dtype);
    for (int64_t i = 0; i < a->count; i++) {
        double z = a->gate[i];
        store(a->out, a->out_dtype, i, (float)(z / (1 + exp(-z)) * a->up[i]));
    }
}

/* With s = 1 / (1 + exp(-z)):  silu(z) = z s,  silu'(z) = s (1 + z (1 - s)) */
static void reference_gated_backward(struct backend *backend, const struct gated_backward_args *a)
{
    assert_rows(backend, a->out_dtype);
    for (int64_t i = 0; i < a->count; i++) {
        double z = a->gate[i], up = a->up[i], dout = a->dout[i];
        double s = 1 / (1 + exp(-z));
        store(a->dgate, a->out_dtype, i, (float)(dout * up * s * (1 + z * (1 - s))));
        store(a->dup, a->out_dtype, i, (float)(dout * z * s));
        if (a->out) {
            store(a->out, a->out_dtype, i, (float)(z * s * up));
        }
    }
}

/* ---- vocabulary ---- */

/* The logits z of one row, into the wide scratch. */
static double *vocabulary_logits(struct backend *backend, const struct vocabulary_args *a, int64_t row)
{
    double *z = reference(backend)->wide;
    int64_t columns = a->w->shape.columns;
    assert(a->w->shape.rows <= reference(backend)->limits.vocabulary);
    for (int64_t v = 0; v < a->w->shape.rows; v++) {
        z[v] = dot(backend, a->x + row * columns, 1, a->w->values + v * columns, 1, columns) * a->inverse_temperature;
    }
    return z;
}

static void vocabulary_forward(struct backend *backend, const struct vocabulary_args *a, float *entropy)
{
    int64_t vocabulary = a->w->shape.rows;
    for (int64_t r = 0; r < a->rows; r++) {
        const double *z = vocabulary_logits(backend, a, r);
        int64_t largest = 0;
        for (int64_t v = 1; v < vocabulary; v++) {
            largest = z[v] > z[largest] ? v : largest;
        }
        double sum = 0, weighted = 0;
        for (int64_t v = 0; v < vocabulary; v++) {
            sum += exp(z[v] - z[largest]);
            weighted += exp(z[v] - z[largest]) * z[v];
        }
        double lse = z[largest] + log(sum);
        assert(a->targets[r] >= 0 && a->targets[r] < vocabulary);
        a->lse[r] = (float)lse;
        a->logprob[r] = (float)(z[a->targets[r]] - lse);
        if (entropy) {
            entropy[r] = (float)(lse - weighted / sum);
        }
        if (a->argmax) {
            a->argmax[r] = (int32_t)largest;
        }
    }
}

static void reference_vocabulary(struct backend *backend, const struct vocabulary_args *a)
{
    vocabulary_forward(backend, a, a->entropy);
}

static void reference_vocabulary_backward(struct backend *backend, const struct vocabulary_args *a)
{
    int64_t columns = a->w->shape.columns, vocabulary = a->w->shape.rows;
    float *dz = reference(backend)->narrow;
    for (int64_t r = 0; r < a->rows; r++) {
        const double *z = vocabulary_logits(backend, a, r);
        for (int64_t v = 0; v < vocabulary; v++) {
            double logp = z[v] - a->lse[r], p = exp(logp);
            double d = a->dlogprob[r] * ((v == a->targets[r]) - p);
            if (a->dentropy) {
                d -= a->dentropy[r] * p * (logp + a->entropy[r]);
            }
            dz[v] = (float)d;
        }
        for (int64_t c = 0; c < columns; c++) {
            double sum = dot(backend, dz, 1, a->w->values + c, columns, vocabulary);
            a->dx[r * columns + c] = (float)(a->inverse_temperature * sum);
        }
        for (int64_t v = 0; a->dw && v < vocabulary; v++) {
            for (int64_t c = 0; c < columns; c++) {
                double product = operand(backend, dz[v]) * operand(backend, a->x[r * columns + c]);
                a->dw[v * columns + c] += (float)(a->inverse_temperature * product);
            }
        }
    }
}

static void reference_vocabulary_both(struct backend *backend, const struct vocabulary_args *a)
{
    assert(a->dentropy == NULL);
    vocabulary_forward(backend, a, NULL);
    reference_vocabulary_backward(backend, a);
}

/* ---- scores: in f32 whatever `compute` says ---- */

static void reference_score(struct backend *backend, const struct score_args *a)
{
    (void)backend;
    for (int64_t r = 0; r < a->rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < a->columns; c++) {
            sum += (double)a->x[r * a->columns + c] * a->w[c];
        }
        a->y[r] = (float)sum;
    }
}

static void reference_score_backward(struct backend *backend, const struct score_backward_args *a)
{
    (void)backend;
    for (int64_t c = 0; c < a->columns; c++) {
        double sum = 0;
        for (int64_t r = 0; r < a->rows; r++) {
            a->dx[r * a->columns + c] = a->dy[r] * a->w[c];
            sum += (double)a->dy[r] * a->x[r * a->columns + c];
        }
        if (a->dw) {
            a->dw[c] = (float)(a->dw[c] + sum);
        }
    }
}

/* ---- rows, elements ---- */

static void reference_gather_rows(struct backend *backend, const struct rows_args *a)
{
    (void)backend;
    for (int64_t i = 0; i < a->rows; i++) {
        for (int64_t c = 0; c < a->columns; c++) {
            a->dst[i * a->columns + c] = a->src[(int64_t)a->index[i] * a->columns + c];
        }
    }
}

static void reference_scatter_rows(struct backend *backend, const struct rows_args *a)
{
    (void)backend;
    for (int64_t i = 0; i < a->rows; i++) {
        for (int64_t c = 0; c < a->columns; c++) {
            a->dst[(int64_t)a->index[i] * a->columns + c] = a->src[i * a->columns + c];
        }
    }
}

static void reference_scatter_add_rows(struct backend *backend, const struct rows_args *a)
{
    (void)backend;
    for (int64_t i = 0; i < a->rows; i++) {
        for (int64_t c = 0; c < a->columns; c++) {
            a->dst[(int64_t)a->index[i] * a->columns + c] += a->src[i * a->columns + c];
        }
    }
}

static void reference_fill(struct backend *backend, const struct fill_args *a)
{
    (void)backend;
    for (int64_t i = 0; i < a->count; i++) {
        a->x[i] = a->value;
    }
}

static void reference_sum_squares(struct backend *backend, const struct sum_squares_args *a)
{
    (void)backend;
    double sum = 0;
    for (int32_t t = 0; t < a->tensor_count; t++) {
        const float *x = a->x + a->tensors[t].offset;
        for (int64_t i = 0; i < a->tensors[t].count; i++) {
            sum += (double)x[i] * x[i];
        }
    }
    *a->out = sum;
}

static void adamw_tensor(const struct adamw_args *a, const struct arena_tensor *tensor, double grad_scale)
{
    for (int64_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
        double g = a->grad[i] * grad_scale;
        double m = a->beta1 * a->m[i] + (1 - a->beta1) * g;
        double v = a->beta2 * a->v[i] + (1 - a->beta2) * g * g;
        double w = a->master[i] * (1 - (tensor->decays ? a->lr * a->decay : 0));
        a->master[i] = (float)(w - a->lr / a->bias1 * m / (sqrt(v) / sqrt(a->bias2) + a->epsilon));
        a->m[i] = (float)m;
        a->v[i] = (float)v;
    }
}

static void reference_adamw(struct backend *backend, const struct adamw_args *a)
{
    (void)backend;
    const double norm = sqrt(*a->sum_squares);
    const bool clips = a->max_grad_norm > 0 && a->max_grad_norm < norm + 1e-6;
    for (int32_t t = 0; isfinite(norm) && t < a->tensor_count; t++) {
        adamw_tensor(a, &a->tensors[t], clips ? a->max_grad_norm / (norm + 1e-6) : 1);
    }
}

/* ---- the table ---- */

int reference_backend_create(struct backend **out, enum dtype compute, struct err *err)
{
    assert(compute == DTYPE_F32 || compute == DTYPE_BF16);
    struct reference *self = mem_alloc(1, sizeof *self, err);
    if (self == NULL) {
        return -1;
    }
    self->table = (struct backend){.name = compute == DTYPE_F32 ? "reference (f32)" : "reference (bf16)",
                                   .numerics = compute == DTYPE_F32 ? "reference f32" : "reference bf16",
                                   .compute = compute,
                                   .traits = {768, true, compute},
                                   .memory_free = reference_memory_free,
                                   .alloc = reference_alloc,
                                   .release = reference_release,
                                   .upload = reference_upload,
                                   .download_begin = reference_download_begin,
                                   .wait = reference_synchronize,
                                   .synchronize = reference_synchronize,
                                   .weight_size = reference_weight_size,
                                   .weight_create = reference_weight_create,
                                   .weight_free = reference_weight_free,
                                   .scratch_size = reference_scratch_size,
                                   .reserve = reference_reserve,
                                   .free = reference_free,
#define X(name, args) .name = reference_##name,
                                   BACKEND_OPERATIONS(X)
#undef X
    };
    *out = &self->table;
    return 0;
}
