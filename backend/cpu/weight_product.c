/*
 * backend/cpu/weight_product.c - gradients by weights: dy^T x, a sum over rows.
 *
 * A task owns a piece of dw. Blocks of rows of dy and x are packed so that the tiles read them in order, and added to
 * the task's sums from the first row to the last; the sums are added to dw at the end.
 */
#include "backend/cpu/internal.h"
#include "base/minmax.h"

#define SUM_ROWS       256 /* rows of dy and x packed at a time */
#define WEIGHT_OUTPUTS 192 /* outputs of a task */
#define WEIGHT_PANELS  8   /* panels of inputs of a task */
#define WEIGHT_INPUTS  (WEIGHT_PANELS * PANEL)
/* A thread's scratch: the sums, x and dy packed, x in strips of a panel, dy in strips of a tile's rows. */
#define X_STRIP     (SUM_ROWS * PANEL + STRIP_GAP)
#define SUMS_FLOATS (WEIGHT_OUTPUTS * WEIGHT_INPUTS)
#define X_FLOATS    (WEIGHT_PANELS * X_STRIP)
#define DY_FLOATS   ((SUM_ROWS + STRIP_GAP) * (WEIGHT_OUTPUTS + 16))
/* Rows that pass a mask, so many at a time: PAIR_ALIGNMENT of a task's inputs, or SUM_ROWS of a panel. */
#define MASKED_FLOATS (PAIR_ALIGNMENT * WEIGHT_INPUTS)
#define ALL_FLOATS    (SUMS_FLOATS + X_FLOATS + DY_FLOATS + MASKED_FLOATS)

struct weight_job {
    struct cpu *cpu;
    const struct weight_product *product; /* as given, or with dy and x exchanged (x_mask is that of dy then) */
    bool exchanged;
    int32_t panels; /* of a task */
    int64_t groups;
};

static void round_in_place(const struct cpu_kernels *kernels, float *values, int64_t count)
{
    kernels->round(&(struct conversion){.src = values, .dst = values}, 0, count);
}

static void add_transposed(const struct weight_product *product, const float *sums, int32_t first_output,
                           int32_t outputs, int32_t first_input, int32_t inputs)
{
    for (int32_t i = 0; i < inputs; i++) {
        float *dw = product->dw + (size_t)(first_input + i) * product->dw_stride + first_output;
        for (int32_t j = 0; j < outputs; j++) {
            dw[j] += product->scale * sums[(size_t)j * WEIGHT_INPUTS + (size_t)i];
        }
    }
}

/* One of the two factors: its rows of a block, its columns of a task. */
struct factor {
    struct operand_rows rows;
    const struct mask *mask; /* which they pass on the way into panels, or NULL */
    int32_t first_row, first_column;
};

/* What the rows of one block add to the sums of a task. */
struct weight_block {
    struct factor dy, x;
    float *packed_dy, *packed_x, *masked, *sums;
    int32_t rows, outputs, inputs;
    bool go_on;
};

/* How many rows of a factor are packed at a time: as many as `masked` holds of them. */
static int32_t packed_rows(const struct factor *factor, int32_t columns)
{
    const int32_t masked = MASKED_FLOATS / (columns > PANEL ? WEIGHT_INPUTS : PANEL);
    return factor->mask && masked < SUM_ROWS ? masked : SUM_ROWS;
}

/* Rows row .. + rows - 1 of a factor as they are packed: where they are or, with a mask, in the block's scratch. */
static struct operand_rows factor_rows(const struct weight_job *job, const struct weight_block *block,
                                       const struct factor *factor, int32_t row, int32_t rows, int32_t columns)
{
    const struct operand_rows from = {operand_at(&factor->rows, (size_t)row, 0), factor->rows.stride,
                                      factor->rows.dtype};
    const struct operand_rows masked = {block->masked, columns > PANEL ? WEIGHT_INPUTS : PANEL, DTYPE_F32};
    if (!factor->mask) {
        return from;
    }
    job->cpu->kernels.mask_rows(&(struct masked_rows){
        .mask = factor->mask,
        .x = from,
        .to = block->masked,
        .to_stride = masked.stride,
        .first_row = factor->first_row + row,
        .first_column = factor->first_column,
        .rows = rows,
        .columns = columns,
    });
    return masked;
}

static void weight_block_f32(const struct weight_job *job, const struct weight_block *block)
{
    const struct cpu_kernels *kernels = &job->cpu->kernels;
    const int32_t rows = block->rows, outputs = block->outputs, inputs = block->inputs;
    const int32_t tile_rows = (int32_t)divide_up(outputs, divide_up(outputs, kernels->tile_rows));
    const size_t dy_strip = (size_t)rows * (size_t)tile_rows + STRIP_GAP;
    const struct operand_rows dy = factor_rows(job, block, &block->dy, 0, rows, outputs);
    kernels->pack_strips(block->packed_dy, dy_strip, &dy, rows, outputs, tile_rows);
    /* One or two tiles of outputs use x too seldom to repay its packing; but tiles read whole panels. */
    const bool rounded = job->cpu->backend.compute == DTYPE_BF16;
    const bool in_place = outputs <= 2 * kernels->tile_rows && inputs % PANEL == 0 && !rounded && !block->x.mask;
    const int32_t step = packed_rows(&block->x, inputs);
    for (int32_t row = 0; row < rows && !in_place; row += step) {
        const int32_t count = min(rows - row, step);
        const struct operand_rows x = factor_rows(job, block, &block->x, row, count, inputs);
        kernels->pack_strips(block->packed_x + (size_t)row * PANEL, X_STRIP, &x, count, inputs, PANEL);
    }
    if (rounded) {
        round_in_place(kernels, block->packed_dy, (int64_t)dy_strip * divide_up(outputs, tile_rows));
        round_in_place(kernels, block->packed_x, (int64_t)X_STRIP * panel_count(inputs));
    }
    for (int32_t column = 0; column < inputs; column += PANEL) {
        for (int32_t row = 0; row < outputs; row += tile_rows) {
            kernels->transposed(&(struct tile){
                .x = block->packed_dy + (size_t)(row / tile_rows) * dy_strip,
                .x_stride = (size_t)tile_rows,
                .panels = in_place ? operand_at(&block->x.rows, 0, (size_t)column)
                                   : block->packed_x + (size_t)(column / PANEL) * X_STRIP,
                .inner_stride = in_place ? block->x.rows.stride : PANEL,
                .rows = min(outputs - row, tile_rows),
                .inner = rows,
                .columns = min(inputs - column, PANEL),
                .sums = block->sums + (size_t)row * WEIGHT_INPUTS + column,
                .sums_stride = WEIGHT_INPUTS,
                .go_on = block->go_on,
            });
        }
    }
}

static void weight_block_bf16(const struct weight_job *job, const struct weight_block *block)
{
    const struct cpu_kernels *kernels = &job->cpu->kernels;
    const int32_t outputs = block->outputs, inputs = block->inputs;
    const int32_t rows = (int32_t)divide_up(block->rows, PAIR_ALIGNMENT) * PAIR_ALIGNMENT;
    uint32_t *dy = (uint32_t *)(void *)block->packed_dy, *x = (uint32_t *)(void *)block->packed_x;
    const struct operand_rows dy_rows = factor_rows(job, block, &block->dy, 0, block->rows, outputs);
    kernels->pack_turned(dy, &dy_rows, block->rows, outputs, rows);
    const int32_t step = packed_rows(&block->x, inputs);
    for (int32_t row = 0; row < block->rows; row += step) {
        const int32_t count = min(block->rows - row, step);
        const struct operand_rows x_rows = factor_rows(job, block, &block->x, row, count, inputs);
        kernels->pack_pairs(x + (size_t)row / 2 * PANEL, X_STRIP, &x_rows, count, inputs, PANEL,
                            (int32_t)divide_up(count, PAIR_ALIGNMENT) * PAIR_ALIGNMENT);
    }
    for (int32_t column = 0; column < inputs; column += PANEL) {
        for (int32_t row = 0; row < outputs; row += kernels->bf16_rows) {
            const void *panel = x + (size_t)(column / PANEL) * X_STRIP;
            kernels->bf16(&(struct tile){
                .x = dy + (size_t)row * (size_t)rows / 2,
                .x_stride = (size_t)rows,
                .panels = panel,
                .rows = outputs - row < kernels->bf16_rows ? outputs - row : kernels->bf16_rows,
                .inner = rows,
                .columns = min(inputs - column, PANEL),
                .sums = block->sums + (size_t)row * WEIGHT_INPUTS + column,
                .sums_stride = WEIGHT_INPUTS,
                .go_on = block->go_on,
                .ahead = panel,
            });
        }
    }
}

static struct factor factor_of(const struct operand_rows *rows, const struct mask *mask, int32_t row, int32_t column)
{
    return (struct factor){.rows = {operand_at(rows, (size_t)row, (size_t)column), rows->stride, rows->dtype},
                           .mask = mask,
                           .first_row = row,
                           .first_column = column};
}

static void weight_task(void *context, int64_t index)
{
    const struct weight_job *job = context;
    const struct weight_product *product = job->product;
    const struct cpu_kernels *kernels = &job->cpu->kernels;
    const int32_t first_output = (int32_t)(index / job->groups) * WEIGHT_OUTPUTS;
    const int32_t first_input = (int32_t)(index % job->groups) * job->panels * PANEL;
    int32_t outputs = product->outputs - first_output, inputs = product->inputs - first_input;
    outputs = min(outputs, WEIGHT_OUTPUTS);
    inputs = inputs < job->panels * PANEL ? inputs : job->panels * PANEL;
    float *sums = cpu_own(job->cpu, ALL_FLOATS * sizeof(float));
    float *x = sums + SUMS_FLOATS, *dy = x + X_FLOATS;
    const struct mask *mask = product->x_mask.dropout.keys ? &product->x_mask : NULL;
    cpu_bf16_begin(job->cpu);
    for (int32_t first = 0; first < product->rows; first += SUM_ROWS) {
        const int32_t rows = min(product->rows - first, SUM_ROWS);
        const struct weight_block block = {
            .dy = factor_of(&product->dy, job->exchanged ? mask : NULL, first, first_output),
            .x = factor_of(&product->x, job->exchanged ? NULL : mask, first, first_input),
            .packed_dy = dy,
            .packed_x = x,
            .masked = dy + DY_FLOATS,
            .sums = sums,
            .rows = rows,
            .outputs = outputs,
            .inputs = inputs,
            .go_on = first > 0,
        };
        (cpu_multiplies_bf16(job->cpu) ? weight_block_bf16 : weight_block_f32)(job, &block);
    }
    cpu_bf16_end(job->cpu);
    if (job->exchanged) {
        add_transposed(product, sums, first_output, outputs, first_input, inputs);
        return;
    }
    kernels->finish(&(struct finish){
        .sums = sums,
        .sums_stride = WEIGHT_INPUTS,
        .y = product->dw + (size_t)first_output * product->dw_stride + first_input,
        .y_stride = product->dw_stride,
        .rows = outputs,
        .columns = inputs,
        .scale = product->scale,
        .accumulate = true,
    });
}

void cpu_weight_product(struct cpu *cpu, const struct weight_product *product)
{
    struct weight_product turned = *product;
    /* A narrow dw [outputs, rank] would leave panels half empty: then dw^T is computed. */
    const bool exchanged = product->inputs < PANEL && product->outputs > product->inputs;
    if (exchanged) {
        turned.dy = product->x;
        turned.outputs = product->inputs;
        turned.x = product->dy;
        turned.inputs = product->outputs;
    }
    struct weight_job job = {.cpu = cpu, .product = &turned, .exchanged = exchanged};
    const int64_t strips = divide_up(turned.outputs, WEIGHT_OUTPUTS), panels = panel_count(turned.inputs);
    const int64_t groups = cpu_panel_groups(cpu, strips, panels, WEIGHT_PANELS);
    job.panels = (int32_t)divide_up(panels, groups);
    job.groups = divide_up(panels, job.panels);
    const double work = (double)product->rows * product->outputs * product->inputs / 8;
    if (product->rows > 0) {
        cpu_run(cpu, weight_task, &job, strips * job.groups, work);
    }
}

void weight_product_scratch(struct scratch_need *need, const struct backend_limits *limits)
{
    (void)limits;
    scratch_want(&need->thread, ALL_FLOATS * sizeof(float));
}

void cpu_linear_weight_backward(struct backend *backend, const struct linear_weight_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    if (arguments->dw) {
        cpu_weight_product(cpu, &(struct weight_product){
                                    .dy = {arguments->dy, (size_t)arguments->outputs, arguments->dy_dtype},
                                    .x = {arguments->x, (size_t)arguments->inputs, arguments->x_dtype},
                                    .x_mask = {arguments->dropout, arguments->stream},
                                    .dw = arguments->dw,
                                    .dw_stride = (size_t)arguments->inputs,
                                    .rows = arguments->rows,
                                    .outputs = arguments->outputs,
                                    .inputs = arguments->inputs,
                                    .scale = arguments->scale,
                                });
    }
    if (arguments->dbias) {
        cpu_split(cpu, cpu->kernels.column_sums, arguments, arguments->outputs, 64, arguments->rows);
    }
}
