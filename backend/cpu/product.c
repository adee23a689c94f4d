/*
 * backend/cpu/product.c - products of many rows, cut into tasks and those into tiles.
 *
 * A task is a block of rows and a group of panels. Inside it the inner dimension goes by in blocks: a block of a panel
 * stays in the first-level cache while all rows of the task pass by, the rows' block in the second. Sums wait in y or
 * in scratch between the inner blocks, in f32 as they were in the registers, so an element is one chain of additions
 * whatever the cuts.
 */
#include "backend/cpu/internal.h"
#include <string.h>

#define ROW_BLOCK     96  /* a multiple of every tile's rows */
#define INNER_BLOCK   512 /* a multiple of PAIR_ALIGNMENT */
#define PANEL_GROUP   16
#define GROUP_COLUMNS (PANEL_GROUP * PANEL)

/* ---- tasks ---- */

struct job {
    struct cpu *cpu;
    const struct product *product;
    int32_t rows, panels; /* of a task */
    int64_t groups;
};

/* A thread's scratch: sums, and x in bf16 or rounded to it. */
#define SUMS_BYTES    ((size_t)ROW_BLOCK * GROUP_COLUMNS * sizeof(float))
#define ROUNDED_BYTES ((size_t)ROW_BLOCK * INNER_BLOCK * sizeof(float))

/* What one task works on. */
struct block {
    const struct job *job;
    int32_t first_row, rows;
    int32_t first_panel, panels;
    int32_t columns; /* of y: the last panel may reach further */
    bool direct;     /* the sums are y itself */
    float *sums;
    size_t sums_stride;
    void *rounded;
};

/* An inner range of one of the products x panels^T and u low^T. */
struct pass {
    const float *x;
    size_t x_stride;
    const struct panels *panels;
    int32_t first, count; /* of inner */
    bool go_on;
};

/* x of the pass in the form the tiles want it: as it is, or rounded, in rows of *stride elements. */
static const void *operand(const struct block *block, const struct pass *pass, size_t *stride)
{
    const struct cpu *cpu = block->job->cpu;
    const float *x = pass->x + (size_t)block->first_row * pass->x_stride + pass->first;
    if (cpu->backend.compute == DTYPE_F32) {
        *stride = pass->x_stride;
        return x;
    }
    const int64_t count = pass->count, padded = divide_up(count, PAIR_ALIGNMENT) * PAIR_ALIGNMENT;
    const bool wide = cpu->kernels.bf16 == NULL;
    const size_t size = wide ? sizeof(float) : sizeof(uint16_t);
    range_kernel *round = wide ? cpu->kernels.round : cpu->kernels.to_bf16;
    *stride = (size_t)padded;
    const int64_t multiple = wide ? 1 : cpu->kernels.bf16_multiple;
    const int64_t filled = divide_up(block->rows, multiple) * multiple;
    for (int64_t row = 0; row < filled; row++) {
        unsigned char *to = (unsigned char *)block->rounded + (size_t)(row * padded) * size;
        if (row >= block->rows) {
            memset(to, 0, (size_t)padded * size);
            continue;
        }
        round(&(struct convert_args){.src = x + (size_t)row * pass->x_stride, .dst = to, .count = count}, 0, count);
        memset(to + (size_t)count * size, 0, (size_t)(padded - count) * size);
    }
    return block->rounded;
}

static void finish_sums(const struct block *block, int32_t row, int32_t rows, int32_t column, int32_t columns)
{
    const struct product *product = block->job->product;
    const size_t at = (size_t)block->first_panel * PANEL + (size_t)column;
    block->job->cpu->kernels.finish(&(struct finish){
        .sums = block->sums + (size_t)row * block->sums_stride + column,
        .bias = product->bias ? product->bias + at : NULL,
        .sums_stride = block->sums_stride,
        .y = product->y + (size_t)(block->first_row + row) * product->y_stride + at,
        .y_stride = product->y_stride,
        .rows = rows,
        .columns = columns,
        .scale = product->scale,
        .accumulate = product->accumulate,
    });
}

static void run_pass(const struct block *block, const struct pass *pass, bool last)
{
    const struct cpu_kernels *kernels = &block->job->cpu->kernels;
    const bool bf16 = cpu_multiplies_bf16(block->job->cpu);
    const bool pairs = pass->panels->form == PANEL_PAIRS;
    tile_kernel *kernel = bf16 ? kernels->bf16 : pairs ? kernels->pairs : kernels->f32;
    const size_t stride = panels_stride(pass->panels);
    const size_t into = (size_t)pass->first * PANEL * (pairs ? sizeof(uint16_t) : sizeof(float));
    const int32_t most = bf16 ? kernels->bf16_rows : kernels->tile_rows;
    const int32_t tiles = (int32_t)divide_up(block->rows, most);
    const int32_t multiple = bf16 ? kernels->bf16_multiple : 1;
    const int32_t tile_rows = (int32_t)divide_up(divide_up(block->rows, tiles), multiple) * multiple;
    const size_t element = bf16 ? sizeof(uint16_t) : sizeof(float);
    size_t x_stride;
    const unsigned char *x = operand(block, pass, &x_stride);
    /* With one tile of rows a panel is used once: then all panels go in one call, which may take several side by side.
     */
    const size_t bytes = (size_t)pass->count * PANEL * (pairs ? sizeof(uint16_t) : sizeof(float));
    const int32_t steps = pairs ? (pass->count + 1) / 2 : pass->count;
    const int32_t strip = tiles == 1 ? block->columns : PANEL;
    for (int32_t column = 0; column < block->columns; column += strip) {
        const int32_t columns = block->columns - column < strip ? block->columns - column : strip;
        const int32_t index = block->first_panel + column / PANEL;
        const unsigned char *panel = (const unsigned char *)pass->panels->data + (size_t)index * stride + into;
        /* Tile by tile, the panel that comes next is brought near. */
        const bool next = tiles > 1 && index + 1 < panel_count(pass->panels->outputs);
        const unsigned char *ahead = next ? panel + stride : panel;
        const size_t ahead_step = next ? bytes / (size_t)(tiles * steps) : 0;
        for (int32_t row = 0; row < block->rows; row += tile_rows) {
            const int32_t rows = block->rows - row < tile_rows ? block->rows - row : tile_rows;
            kernel(&(struct tile){
                .x = x + (size_t)row * x_stride * element,
                .x_stride = x_stride,
                .panels = panel,
                .panel_stride = stride,
                .inner_stride = PANEL,
                .rows = rows,
                .inner = pass->count,
                .columns = columns,
                .sums = block->sums + (size_t)row * block->sums_stride + column,
                .sums_stride = block->sums_stride,
                .go_on = pass->go_on,
                .ahead = ahead + ahead_step * (size_t)(row / tile_rows * steps),
                .ahead_step = ahead_step,
            });
            if (last && !block->direct) {
                finish_sums(block, row, rows, column, columns);
            }
        }
    }
}

static void run_block(const struct block *block)
{
    const struct product *product = block->job->product;
    const int32_t inner = product->panels.inner;
    for (int32_t first = 0; first < inner; first += INNER_BLOCK) {
        const int32_t left = inner - first;
        const struct pass pass = {
            .x = product->x,
            .x_stride = product->x_stride,
            .panels = &product->panels,
            .first = first,
            .count = left < INNER_BLOCK ? left : INNER_BLOCK,
            .go_on = first > 0,
        };
        run_pass(block, &pass, left <= INNER_BLOCK && !product->u);
    }
    if (product->u) {
        const struct pass pass = {
            .x = product->u,
            .x_stride = product->u_stride,
            .panels = &product->low,
            .count = product->low.inner,
            .go_on = true,
        };
        assert(pass.count <= INNER_BLOCK);
        run_pass(block, &pass, true);
    }
}

static void bf16_begin(const struct cpu *cpu)
{
    if (cpu_multiplies_bf16(cpu) && cpu->kernels.bf16_begin) {
        cpu->kernels.bf16_begin();
    }
}

static void bf16_end(const struct cpu *cpu)
{
    if (cpu_multiplies_bf16(cpu) && cpu->kernels.bf16_end) {
        cpu->kernels.bf16_end();
    }
}

static void product_task(void *context, int64_t index)
{
    const struct job *job = context;
    const struct product *product = job->product;
    const int64_t group = index % job->groups;
    const int32_t first_row = (int32_t)(index / job->groups) * job->rows;
    const int32_t first_panel = (int32_t)group * job->panels;
    const int32_t rows = product->rows - first_row, panels = panel_count(product->panels.outputs) - first_panel;
    unsigned char *scratch = cpu_own(job->cpu, SUMS_BYTES + ROUNDED_BYTES);
    struct block block = {
        .job = job,
        .first_row = first_row,
        .rows = rows < job->rows ? rows : job->rows,
        .first_panel = first_panel,
        .panels = panels < job->panels ? panels : job->panels,
        .rounded = scratch + SUMS_BYTES,
    };
    const int32_t columns = product->panels.outputs - first_panel * PANEL;
    block.columns = columns < block.panels * PANEL ? columns : block.panels * PANEL;
    /* Tiles write whole vectors, which here are at most 16 floats. */
    block.direct = !product->bias && product->scale == 1 && !product->accumulate && block.columns % 16 == 0;
    block.sums = (float *)(void *)scratch;
    block.sums_stride = GROUP_COLUMNS;
    if (block.direct) {
        block.sums = product->y + (size_t)first_row * product->y_stride + (size_t)first_panel * PANEL;
        block.sums_stride = product->y_stride;
    }
    bf16_begin(job->cpu);
    run_block(&block);
    bf16_end(job->cpu);
}

/* Groups of at most `most` panels, and so many that `blocks` times groups keeps all threads busy to the end. */
static int64_t groups_of(const struct cpu *cpu, int64_t blocks, int64_t panels, int64_t most)
{
    const int64_t wanted = divide_up((int64_t)pool_threads(cpu->pool) * 4, blocks);
    const int64_t least = divide_up(panels, most);
    const int64_t groups = wanted > least ? wanted : least;
    return groups < panels ? groups : panels;
}

void cpu_product(struct cpu *cpu, const struct product *product)
{
    assert(product->panels.data && (!product->u || product->low.data));
    const int64_t panels = panel_count(product->panels.outputs);
    const int64_t row_blocks = divide_up(product->rows, ROW_BLOCK);
    const int64_t groups = groups_of(cpu, row_blocks, panels, PANEL_GROUP);
    struct job job = {.cpu = cpu, .product = product};
    const int32_t tile_rows = cpu_multiplies_bf16(cpu) ? cpu->kernels.bf16_rows : cpu->kernels.tile_rows;
    job.rows = (int32_t)(divide_up(divide_up(product->rows, row_blocks), tile_rows) * tile_rows);
    job.rows = job.rows < ROW_BLOCK ? job.rows : ROW_BLOCK;
    job.panels = (int32_t)divide_up(panels, groups);
    job.groups = divide_up(panels, job.panels);
    const double work = (double)product->rows * product->panels.inner * product->panels.outputs / 8;
    cpu_run(cpu, product_task, &job, divide_up(product->rows, job.rows) * job.groups, work);
}

/* ---- gradients by weights ---- */

#define SUM_ROWS       256 /* rows of dy and x packed at a time */
#define WEIGHT_OUTPUTS 192 /* outputs of a task */
#define WEIGHT_PANELS  8   /* panels of inputs of a task */
#define WEIGHT_INPUTS  (WEIGHT_PANELS * PANEL)
#define WEIGHT_FLOATS  (SUM_ROWS * (WEIGHT_OUTPUTS + WEIGHT_INPUTS) + WEIGHT_OUTPUTS * WEIGHT_INPUTS)

struct weight_job {
    struct cpu *cpu;
    const struct weight_product *product; /* as given, or with dy and x exchanged */
    bool exchanged;
    int32_t panels; /* of a task */
    int64_t groups;
};

static void round_in_place(const struct cpu_kernels *kernels, float *values, int64_t count)
{
    kernels->round(&(struct convert_args){.src = values, .dst = values, .count = count}, 0, count);
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

/* What the rows of one block add to the sums of a task. */
struct weight_block {
    const float *dy, *x;
    float *packed_dy, *packed_x, *sums;
    int32_t rows, outputs, inputs;
    bool go_on;
};

static void weight_block_f32(const struct weight_job *job, const struct weight_block *block)
{
    const struct cpu_kernels *kernels = &job->cpu->kernels;
    const int32_t rows = block->rows, outputs = block->outputs, inputs = block->inputs;
    const int32_t tile_rows = (int32_t)divide_up(outputs, divide_up(outputs, kernels->tile_rows));
    kernels->pack_strips(block->packed_dy, block->dy, job->product->dy_stride, rows, outputs, tile_rows);
    /* One or two tiles of outputs use x too seldom to repay its packing; but tiles read whole panels. */
    const bool rounded = job->cpu->backend.compute == DTYPE_BF16;
    const bool in_place = outputs <= 2 * kernels->tile_rows && inputs % PANEL == 0 && !rounded;
    if (!in_place) {
        kernels->pack_strips(block->packed_x, block->x, job->product->x_stride, rows, inputs, PANEL);
    }
    if (rounded) {
        round_in_place(kernels, block->packed_dy, (int64_t)rows * divide_up(outputs, tile_rows) * tile_rows);
        round_in_place(kernels, block->packed_x, (int64_t)rows * panel_count(inputs) * PANEL);
    }
    for (int32_t column = 0; column < inputs; column += PANEL) {
        for (int32_t row = 0; row < outputs; row += tile_rows) {
            kernels->transposed(&(struct tile){
                .x = block->packed_dy + (size_t)row * (size_t)rows,
                .x_stride = (size_t)tile_rows,
                .panels = in_place ? block->x + column : block->packed_x + (size_t)column * (size_t)rows,
                .inner_stride = in_place ? job->product->x_stride : PANEL,
                .rows = outputs - row < tile_rows ? outputs - row : tile_rows,
                .inner = rows,
                .columns = inputs - column < PANEL ? inputs - column : PANEL,
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
    kernels->pack_turned(dy, block->dy, job->product->dy_stride, block->rows, outputs, rows);
    kernels->pack_pairs(x, block->x, job->product->x_stride, block->rows, inputs, PANEL, rows);
    for (int32_t column = 0; column < inputs; column += PANEL) {
        for (int32_t row = 0; row < outputs; row += kernels->bf16_rows) {
            kernels->bf16(&(struct tile){
                .x = dy + (size_t)row * (size_t)rows / 2,
                .x_stride = (size_t)rows,
                .panels = x + (size_t)column * (size_t)rows / 2,
                .rows = outputs - row < kernels->bf16_rows ? outputs - row : kernels->bf16_rows,
                .inner = rows,
                .columns = inputs - column < PANEL ? inputs - column : PANEL,
                .sums = block->sums + (size_t)row * WEIGHT_INPUTS + column,
                .sums_stride = WEIGHT_INPUTS,
                .go_on = block->go_on,
            });
        }
    }
}

static void weight_task(void *context, int64_t index)
{
    const struct weight_job *job = context;
    const struct weight_product *product = job->product;
    const struct cpu_kernels *kernels = &job->cpu->kernels;
    const int32_t first_output = (int32_t)(index / job->groups) * WEIGHT_OUTPUTS;
    const int32_t first_input = (int32_t)(index % job->groups) * job->panels * PANEL;
    int32_t outputs = product->outputs - first_output, inputs = product->inputs - first_input;
    outputs = outputs < WEIGHT_OUTPUTS ? outputs : WEIGHT_OUTPUTS;
    inputs = inputs < job->panels * PANEL ? inputs : job->panels * PANEL;
    float *sums = cpu_own(job->cpu, WEIGHT_FLOATS * sizeof(float));
    float *dy = sums + WEIGHT_OUTPUTS * WEIGHT_INPUTS, *x = dy + SUM_ROWS * WEIGHT_OUTPUTS;
    bf16_begin(job->cpu);
    for (int32_t first = 0; first < product->rows; first += SUM_ROWS) {
        const int32_t rows = product->rows - first < SUM_ROWS ? product->rows - first : SUM_ROWS;
        const struct weight_block block = {
            .dy = product->dy + (size_t)first * product->dy_stride + first_output,
            .x = product->x + (size_t)first * product->x_stride + first_input,
            .packed_dy = dy,
            .packed_x = x,
            .sums = sums,
            .rows = rows,
            .outputs = outputs,
            .inputs = inputs,
            .go_on = first > 0,
        };
        (cpu_multiplies_bf16(job->cpu) ? weight_block_bf16 : weight_block_f32)(job, &block);
    }
    bf16_end(job->cpu);
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
        turned.dy_stride = product->x_stride;
        turned.outputs = product->inputs;
        turned.x = product->dy;
        turned.x_stride = product->dy_stride;
        turned.inputs = product->outputs;
    }
    struct weight_job job = {.cpu = cpu, .product = &turned, .exchanged = exchanged};
    const int64_t strips = divide_up(turned.outputs, WEIGHT_OUTPUTS), panels = panel_count(turned.inputs);
    const int64_t groups = groups_of(cpu, strips, panels, WEIGHT_PANELS);
    job.panels = (int32_t)divide_up(panels, groups);
    job.groups = divide_up(panels, job.panels);
    const double work = (double)product->rows * product->outputs * product->inputs / 8;
    if (product->rows > 0) {
        cpu_run(cpu, weight_task, &job, strips * job.groups, work);
    }
}

void product_scratch(struct scratch_need *need, const struct backend_limits *limits)
{
    (void)limits;
    scratch_want(&need->thread, SUMS_BYTES + ROUNDED_BYTES);
    scratch_want(&need->thread, WEIGHT_FLOATS * sizeof(float));
}

/* ---- the slots ---- */

void cpu_linear(struct backend *backend, const struct linear_args *arguments)
{
    const struct weight *w = arguments->w, *b = arguments->b;
    assert((arguments->u == NULL) == (b == NULL));
    assert(!b || (b->shape.rows == w->shape.rows && arguments->scale == 1));
    cpu_product(cpu_of(backend), &(struct product){
                                     .x = arguments->x,
                                     .x_stride = (size_t)w->shape.columns,
                                     .panels = w->forward,
                                     .u = arguments->u,
                                     .u_stride = b ? (size_t)b->shape.columns : 0,
                                     .low = b ? b->forward : (struct panels){0},
                                     .bias = arguments->bias,
                                     .y = arguments->y,
                                     .y_stride = (size_t)w->shape.rows,
                                     .rows = arguments->rows,
                                     .scale = arguments->scale,
                                     .accumulate = arguments->accumulate,
                                 });
}

void cpu_linear_backward(struct backend *backend, const struct linear_backward_args *arguments)
{
    const struct weight *w = arguments->w, *a = arguments->a;
    assert((arguments->du == NULL) == (a == NULL));
    assert(!a || (a->shape.columns == w->shape.columns && arguments->scale == 1));
    cpu_product(cpu_of(backend), &(struct product){
                                     .x = arguments->dy,
                                     .x_stride = (size_t)w->shape.rows,
                                     .panels = w->backward,
                                     .u = arguments->du,
                                     .u_stride = a ? (size_t)a->shape.rows : 0,
                                     .low = a ? a->backward : (struct panels){0},
                                     .y = arguments->dx,
                                     .y_stride = (size_t)w->shape.columns,
                                     .rows = arguments->rows,
                                     .scale = arguments->scale,
                                     .accumulate = arguments->accumulate,
                                 });
}

void cpu_linear_weight_backward(struct backend *backend, const struct linear_weight_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    if (arguments->dw) {
        cpu_weight_product(cpu, &(struct weight_product){
                                    .dy = arguments->dy,
                                    .dy_stride = (size_t)arguments->outputs,
                                    .x = arguments->x,
                                    .x_stride = (size_t)arguments->inputs,
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
