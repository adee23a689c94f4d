/* backend/cpu/elementwise.c - operations without products: split over the threads, the work is in the kernels. */
#include "backend/cpu/internal.h"
#include "base/minmax.h"
#include <math.h>
#include <string.h>

/* Elements and columns are split at multiples of this, so that threads do not share cache lines. */
#define GRAIN        1024
#define COLUMN_GRAIN 64

void cpu_embed_backward(struct backend *backend, const struct embed_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.embed_backward, arguments, arguments->columns, COLUMN_GRAIN, arguments->rows);
}

void cpu_norm(struct backend *backend, const struct norm_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.norm, arguments, arguments->rows, 1, 2.0 * arguments->columns);
}

void cpu_norm_backward(struct backend *backend, const struct norm_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.norm_backward, arguments, arguments->rows, 1, 2.0 * arguments->columns);
    if (arguments->dweight) {
        cpu_split(cpu, cpu->kernels.norm_weight_backward, arguments, arguments->columns, COLUMN_GRAIN, arguments->rows);
    }
}

void cpu_score(struct backend *backend, const struct score_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.score, arguments, arguments->rows, 1, arguments->columns);
}

void cpu_score_backward(struct backend *backend, const struct score_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.score_backward, arguments, arguments->rows, 1, arguments->columns);
    if (arguments->dw) {
        cpu_split(cpu, cpu->kernels.score_weight_backward, arguments, arguments->columns, COLUMN_GRAIN,
                  arguments->rows);
    }
}

void cpu_rotation(struct backend *backend, const struct rotation_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    assert(arguments->rotary % 2 == 0);
    cpu_split(cpu, cpu->kernels.rotation, arguments, arguments->rows, 1, 4.0 * arguments->rotary);
}

void cpu_rope(struct backend *backend, const struct rope_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    assert(arguments->rotary <= arguments->head_size && arguments->rotary % 2 == 0);
    const double work = (double)arguments->rotary * arguments->heads;
    cpu_split(cpu, cpu->kernels.rope, arguments, arguments->rows, 1, work);
}

void cpu_gated(struct backend *backend, const struct gated_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.gated, arguments, arguments->count, GRAIN, 4);
}

void cpu_gated_backward(struct backend *backend, const struct gated_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.gated_backward, arguments, arguments->count, GRAIN, 6);
}

void cpu_fill(struct backend *backend, const struct fill_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.fill, arguments, arguments->count, GRAIN, 1);
}

/* ---- rows by number ---- */

static void gather(const void *arguments, int64_t first, int64_t end)
{
    const struct rows_args *rows = arguments;
    const size_t columns = (size_t)rows->columns;
    for (int64_t i = first; i < end; i++) {
        memcpy(rows->dst + (size_t)i * columns, rows->src + (size_t)rows->index[i] * columns, columns * sizeof(float));
    }
}

static void scatter(const void *arguments, int64_t first, int64_t end)
{
    const struct rows_args *rows = arguments;
    const size_t columns = (size_t)rows->columns;
    for (int64_t i = first; i < end; i++) {
        memcpy(rows->dst + (size_t)rows->index[i] * columns, rows->src + (size_t)i * columns, columns * sizeof(float));
    }
}

void cpu_gather_rows(struct backend *backend, const struct rows_args *arguments)
{
    cpu_split(cpu_of(backend), gather, arguments, arguments->rows, 1, arguments->columns);
}

void cpu_scatter_rows(struct backend *backend, const struct rows_args *arguments)
{
    cpu_split(cpu_of(backend), scatter, arguments, arguments->rows, 1, arguments->columns);
}

void cpu_scatter_add_rows(struct backend *backend, const struct rows_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    cpu_split(cpu, cpu->kernels.scatter_add_rows, arguments, arguments->columns, COLUMN_GRAIN, arguments->rows);
}

/* ---- arenas of trained tensors ---- */

struct adamw {
    const struct adamw_args *arguments;
    range_kernel *kernel;
    struct adamw_run runs[2]; /* of tensors without and with decay */
};

/* Elements first .. end - 1 of the arenas, as far as they belong to a tensor. */
static void adamw_range(const void *context, int64_t first, int64_t end)
{
    const struct adamw *adamw = context;
    for (int32_t i = 0; i < adamw->arguments->tensor_count; i++) {
        const struct arena_tensor *tensor = &adamw->arguments->tensors[i];
        const int64_t tensor_end = tensor->offset + tensor->count;
        const int64_t from = max(first, tensor->offset);
        const int64_t to = min(end, tensor_end);
        if (from < to) {
            adamw->kernel(&adamw->runs[tensor->decays != 0], from, to);
        }
    }
}

void cpu_adamw(struct backend *backend, const struct adamw_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    const double norm = sqrt(*arguments->sum_squares);
    if (!isfinite(norm)) {
        return;
    }
    const double clip = arguments->max_grad_norm > 0 ? arguments->max_grad_norm / (norm + 1e-6) : 1;
    const double scale = clip < 1 ? clip : 1;
    const struct adamw adamw = {
        arguments, cpu->kernels.adamw, {{arguments, scale, 0}, {arguments, scale, arguments->decay}}};
    cpu_split(cpu, adamw_range, &adamw, arguments->count, GRAIN, 4);
}

/* Blocks of a tensor depend on its count alone, so the order of the sum does too. */
#define SQUARE_BLOCKS      256
#define SQUARE_BLOCK_LEAST 16384

struct squares {
    const float *x;
    double (*sum_squares)(const float *x, int64_t count);
    int64_t count, block;
    double sums[SQUARE_BLOCKS];
};

static void square_block(void *context, int64_t index)
{
    struct squares *squares = context;
    const int64_t first = index * squares->block, left = squares->count - first;
    squares->sums[index] = squares->sum_squares(squares->x + first, min(left, squares->block));
}

static double tensor_squares(struct cpu *cpu, const float *x, int64_t count)
{
    int64_t block = divide_up(count, SQUARE_BLOCKS);
    block = max(block, SQUARE_BLOCK_LEAST);
    struct squares squares = {.x = x, .sum_squares = cpu->kernels.sum_squares, .count = count, .block = block};
    const int64_t blocks = divide_up(count, block);
    cpu_run(cpu, square_block, &squares, blocks, 2.0 * (double)count);
    double sum = 0;
    for (int64_t i = 0; i < blocks; i++) {
        sum += squares.sums[i];
    }
    return sum;
}

void cpu_sum_squares(struct backend *backend, const struct sum_squares_args *arguments)
{
    double sum = 0;
    for (int32_t i = 0; i < arguments->tensor_count; i++) {
        const struct arena_tensor *tensor = &arguments->tensors[i];
        sum += tensor_squares(cpu_of(backend), arguments->x + tensor->offset, tensor->count);
    }
    *arguments->out = sum;
}
