/* backend/cpu/vocabulary.c - the logits of a chunk of rows at a time, and what is wanted of them. */
#include "backend/cpu/internal.h"
#include "base/minmax.h"

#define CHUNK_BYTES ((size_t)64 << 20) /* of logits */
#define CHUNK_MOST  192                /* rows */
#define CHUNK_LEAST 48

static size_t logit_stride(int32_t vocabulary)
{
    return (size_t)panel_count(vocabulary) * PANEL;
}

static int32_t chunk_rows(int32_t vocabulary)
{
    const size_t rows = CHUNK_BYTES / (logit_stride(vocabulary) * sizeof(float));
    return rows < CHUNK_LEAST ? CHUNK_LEAST : rows > CHUNK_MOST ? CHUNK_MOST : (int32_t)rows;
}

void vocabulary_scratch(struct scratch_need *need, const struct backend_limits *limits)
{
    if (limits->vocabulary > 0) {
        const int32_t most = chunk_rows(limits->vocabulary);
        const int32_t rows = min(limits->rows, most);
        scratch_want(&need->shared, (size_t)rows * logit_stride(limits->vocabulary) * sizeof(float));
    }
}

enum part { STATISTICS = 1, GRADIENT = 2 };

/* Rows first .. first + rows - 1. */
static void chunk(struct cpu *cpu, const struct vocabulary_args *arguments, int32_t first, int32_t rows, unsigned parts)
{
    const struct weight *w = arguments->w;
    const int32_t vocabulary = w->shape.rows, columns = w->shape.columns;
    const size_t at = (size_t)first * (size_t)columns, stride = logit_stride(vocabulary);
    struct logit_rows logits = {
        .z = cpu_shared(cpu, (size_t)rows * stride * sizeof(float)),
        .stride = stride,
        .vocabulary = vocabulary,
        .targets = arguments->targets + first,
        .lse = arguments->lse + first,
        .logprob = arguments->logprob ? arguments->logprob + first : NULL,
        .entropy = arguments->entropy ? arguments->entropy + first : NULL,
        .argmax = arguments->argmax ? arguments->argmax + first : NULL,
        .dlogprob = arguments->dlogprob ? arguments->dlogprob + first : NULL,
        .dentropy = arguments->dentropy ? arguments->dentropy + first : NULL,
        .inverse_temperature = arguments->inverse_temperature,
    };
    const struct product product = {
        .x = {arguments->x + at, (size_t)columns, DTYPE_F32},
        .panels = w->forward,
        .y = logits.z,
        .y_stride = stride,
        .scale = arguments->inverse_temperature,
    };
    cpu_products(cpu, &product, 1, rows);
    if (parts & STATISTICS) {
        cpu_split(cpu, cpu->kernels.logit_statistics, &logits, rows, 1, 8.0 * vocabulary);
    }
    if (parts & GRADIENT) {
        cpu_split(cpu, cpu->kernels.logit_gradient, &logits, rows, 1, 8.0 * vocabulary);
        const struct product backward = {
            .x = {logits.z, stride, DTYPE_F32},
            .panels = w->backward,
            .y = arguments->dx + at,
            .y_stride = (size_t)columns,
            .scale = 1,
        };
        cpu_products(cpu, &backward, 1, rows);
        if (arguments->dw) {
            cpu_weight_product(cpu, &(struct weight_product){
                                        .dy = {logits.z, stride, DTYPE_F32},
                                        .x = {arguments->x + at, (size_t)columns, DTYPE_F32},
                                        .dw = arguments->dw,
                                        .dw_stride = (size_t)columns,
                                        .rows = rows,
                                        .outputs = vocabulary,
                                        .inputs = columns,
                                        .scale = 1,
                                    });
        }
    }
}

static void vocabulary(struct backend *backend, const struct vocabulary_args *arguments, unsigned parts)
{
    const struct weight *w = arguments->w;
    assert(w->forward.data && (!(parts & GRADIENT) || w->backward.data));
    const int32_t most = chunk_rows(w->shape.rows);
    for (int32_t first = 0; first < arguments->rows; first += most) {
        const int32_t left = arguments->rows - first;
        chunk(cpu_of(backend), arguments, first, min(left, most), parts);
    }
}

void cpu_vocabulary(struct backend *backend, const struct vocabulary_args *arguments)
{
    vocabulary(backend, arguments, STATISTICS);
}

void cpu_vocabulary_backward(struct backend *backend, const struct vocabulary_args *arguments)
{
    assert(arguments->dentropy == NULL || arguments->entropy != NULL);
    vocabulary(backend, arguments, GRADIENT);
}

void cpu_vocabulary_both(struct backend *backend, const struct vocabulary_args *arguments)
{
    assert(arguments->dentropy == NULL);
    vocabulary(backend, arguments, STATISTICS | GRADIENT);
}
