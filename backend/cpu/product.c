/*
 * backend/cpu/product.c - products of many rows with a weight, cut into tasks and those into tiles.
 *
 * A task is a block of rows and a group of panels. Inside it the inner dimension goes by in passes: a pass's piece of a
 * panel stays in the first-level cache while all rows of the task go by, its piece of the rows in the second. Between
 * passes sums wait in y or in scratch, in f32 as they were in the registers, so an element is one chain of additions
 * whatever the cuts.
 *
 * In bf16, where rows are many, a task takes all groups of panels, one after the other: its rows are rounded once.
 */
#include "backend/cpu/internal.h"
#include "base/minmax.h"
#include <string.h>

#define ROW_BLOCK        96  /* a multiple of every tile's rows */
#define INNER_BLOCK      640 /* a multiple of PAIR_ALIGNMENT */
#define PANEL_GROUP      16
#define TASKS_PER_THREAD 4 /* they even out what else the machine does */
#define GROUP_COLUMNS    (PANEL_GROUP * PANEL)

/* A thread's scratch: the sums, and rows of x copied. Copied rows are a cache line more than INNER_BLOCK apart. */
#define COPY_STRIDE (INNER_BLOCK + 16)
#define SUMS_BYTES  ((size_t)ROW_BLOCK * GROUP_COLUMNS * sizeof(float))
#define COPY_BYTES  ((size_t)ROW_BLOCK * COPY_STRIDE * sizeof(float))

/* Rows of x rounded for all groups of a task, if they are no longer than this: they stay in the second-level cache. */
#define ROUNDED_INNER  2048
#define ROUNDED_STRIDE (ROUNDED_INNER + 32)
#define ROUNDED_BYTES  ((size_t)ROW_BLOCK * ROUNDED_STRIDE * sizeof(uint16_t))

/* Rows a multiple of this many floats (a page) apart would share a few sets of the caches. */
#define PAGE_FLOATS 1024

struct job {
    struct cpu *cpu;
    const struct product *products;
    int count;
    int32_t all_rows;
    int32_t rows;   /* of a task */
    int32_t panels; /* of a task, where there is one product; 0: all of each product, x rounded once */
    int64_t groups;
};

/* What one task works on. */
struct block {
    const struct job *job;
    const struct product *product;
    int32_t first_row, rows;
    int32_t first_panel, columns; /* columns of y: the last panel may reach further */
    bool direct;                  /* the sums are y itself */
    float *sums;
    size_t sums_stride;
    void *copy;
    bool go_on;        /* the sums begin with what y holds */
    uint16_t *rounded; /* the block's rows of `rounded_from`, ROUNDED_STRIDE apart; NULL: rounded by each pass */
    const void *rounded_from;
};

/* x of a pass as the tiles want it. */
struct tile_operand {
    const unsigned char *x;
    size_t stride, size; /* elements from row to row, bytes of an element */
};

/* Inner values first .. first + count - 1 of x panels^T or of u low^T. */
struct inner_pass {
    struct operand_rows x;   /* from row 0 of the block, value `first`, on */
    const uint16_t *rounded; /* the same where x is rounded already, or NULL */
    const struct mask *mask; /* what x passes, or NULL */
    const struct panels *panels;
    int32_t first, count;
    bool go_on, last;
};

static bool has_mask(const struct mask *mask)
{
    return mask->dropout.keys != NULL;
}

/* What a pass reads of a product's x, to be masked into `to`. */
static struct masked_rows masked_pass(const struct block *block, const struct inner_pass *pass, float *to)
{
    return (struct masked_rows){
        .mask = pass->mask,
        .x = pass->x,
        .to = to,
        .to_stride = COPY_STRIDE,
        .first_row = block->first_row,
        .first_column = pass->first,
        .rows = block->rows,
        .columns = pass->count,
    };
}

/* The row of `x` in f32, masked; `x` begins where the pass does. */
static void mask_row(const struct block *block, const struct inner_pass *pass, float *to, int64_t row)
{
    struct masked_rows masked = masked_pass(block, pass, to);
    masked.x.data = operand_at(&pass->x, (size_t)row, 0);
    masked.first_row += (int32_t)row;
    masked.rows = 1;
    block->job->cpu->kernels.mask_rows(&masked);
}

/* From f32 or bf16 to what products in bf16 read. Rows of bf16 that a mask made f32 are rounded as bf16 rows are. */
static range_kernel *rounding(const struct cpu_kernels *kernels, enum dtype from, bool masked)
{
    if (!kernels->bf16) {
        return from == DTYPE_BF16 && !masked ? kernels->from_bf16 : kernels->round;
    }
    return from == DTYPE_F32 ? kernels->bf16_operand : masked ? kernels->to_bf16 : NULL; /* NULL: they are */
}

/*
 * Rows of x [count] as products in bf16 read them: filled up with zeros, in bf16, or in f32 where there is no
 * arithmetic for that. masked_for: the pass whose mask they pass, no longer than INNER_BLOCK; or NULL.
 */
static void round_rows(const struct block *block, void *to, size_t to_stride, const struct operand_rows *x,
                       int64_t count, const struct inner_pass *masked_for)
{
    const struct cpu_kernels *kernels = &block->job->cpu->kernels;
    const bool bf16 = kernels->bf16 != NULL;
    const size_t size = bf16 ? sizeof(uint16_t) : sizeof(float);
    const int64_t padded = divide_up(count, PAIR_ALIGNMENT) * PAIR_ALIGNMENT;
    const int64_t multiple = bf16 ? kernels->bf16_multiple : 1;
    const int64_t rows = divide_up(block->rows, multiple) * multiple;
    range_kernel *convert = rounding(kernels, x->dtype, masked_for != NULL);
    float masked[INNER_BLOCK];
    for (int64_t row = 0; row < rows; row++) {
        unsigned char *values = (unsigned char *)to + (size_t)row * to_stride * size;
        const int64_t there = row < block->rows ? count : 0;
        const void *from = operand_at(x, (size_t)row, 0);
        if (masked_for && there > 0) {
            mask_row(block, masked_for, masked, row);
            from = masked;
        }
        if (!convert) {
            memcpy(values, from, (size_t)there * size);
        } else {
            convert(&(struct conversion){.src = from, .dst = values}, 0, there);
        }
        memset(values + (size_t)there * size, 0, (size_t)(padded - there) * size);
    }
}

static struct tile_operand rounded_rows(const struct block *block, const struct inner_pass *pass)
{
    const bool bf16 = block->job->cpu->kernels.bf16 != NULL;
    if (pass->rounded) {
        return (struct tile_operand){(const unsigned char *)pass->rounded, ROUNDED_STRIDE, sizeof *pass->rounded};
    }
    round_rows(block, block->copy, COPY_STRIDE, &pass->x, pass->count, pass->mask ? pass : NULL);
    return (struct tile_operand){block->copy, COPY_STRIDE, bf16 ? sizeof(uint16_t) : sizeof(float)};
}

static struct tile_operand rows_of(const struct block *block, const struct inner_pass *pass)
{
    const struct cpu *cpu = block->job->cpu;
    if (cpu->backend.compute == DTYPE_BF16) {
        return rounded_rows(block, pass);
    }
    assert(pass->x.dtype == DTYPE_F32);
    struct tile_operand operand = {.x = pass->x.data, .stride = pass->x.stride, .size = sizeof(float)};
    if (pass->mask) {
        const struct masked_rows masked = masked_pass(block, pass, block->copy);
        cpu->kernels.mask_rows(&masked);
        operand.x = block->copy;
        operand.stride = COPY_STRIDE;
    } else if (pass->x.stride % PAGE_FLOATS == 0 && block->rows > cpu->kernels.tile_rows) {
        float *copy = block->copy;
        for (int32_t row = 0; row < block->rows; row++) {
            memcpy(copy + (size_t)row * COPY_STRIDE, operand_at(&pass->x, (size_t)row, 0),
                   (size_t)pass->count * sizeof(float));
        }
        operand.x = block->copy;
        operand.stride = COPY_STRIDE;
    }
    return operand;
}

static void finish_sums(const struct block *block, const struct tile *tile, int32_t row, int32_t column)
{
    const struct product *product = block->product;
    const size_t at = (size_t)block->first_panel * PANEL + (size_t)column;
    block->job->cpu->kernels.finish(&(struct finish){
        .sums = tile->sums,
        .sums_stride = tile->sums_stride,
        .bias = product->bias ? product->bias + at : NULL,
        .y = product->y + (size_t)(block->first_row + row) * product->y_stride + at,
        .y_stride = product->y_stride,
        .rows = tile->rows,
        .columns = tile->columns,
        .scale = product->scale,
        .accumulate = product->accumulate,
    });
}

/* All rows of the block against `columns` columns that begin at `column`, a tile after the other. */
static void run_strip(const struct block *block, const struct inner_pass *pass, const struct tile_operand *operand,
                      int32_t column, int32_t columns)
{
    const struct cpu_kernels *kernels = &block->job->cpu->kernels;
    const bool bf16 = cpu_multiplies_bf16(block->job->cpu), pairs = pass->panels->form == PANEL_PAIRS;
    tile_kernel *kernel = bf16 ? kernels->bf16 : pairs ? kernels->pairs : kernels->f32;
    const int32_t most = bf16 ? kernels->bf16_rows : kernels->tile_rows;
    const int32_t multiple = bf16 ? kernels->bf16_multiple : 1;
    const int64_t tiles = divide_up(block->rows, most);
    const int32_t tile_rows = (int32_t)divide_up(divide_up(block->rows, tiles), multiple) * multiple;

    const size_t stride = panels_stride(pass->panels);
    const size_t value = PANEL * (pairs ? sizeof(uint16_t) : sizeof(float)); /* bytes of a panel for one inner value */
    const int32_t index = block->first_panel + column / PANEL;
    const unsigned char *panel =
        (const unsigned char *)pass->panels->data + (size_t)index * stride + (size_t)pass->first * value;
    /* Where several tiles use this panel, they bring the next one near meanwhile, each a part. */
    const bool next = tiles > 1 && index + 1 < panel_count(pass->panels->outputs);
    const size_t steps = (size_t)(pairs ? (pass->count + 1) / 2 : pass->count);
    const size_t ahead_step = next ? (size_t)pass->count * value / (steps * (size_t)tiles) : 0;
    const unsigned char *ahead = next ? panel + stride : panel;

    for (int32_t row = 0; row < block->rows; row += tile_rows) {
        const struct tile tile = {
            .x = operand->x + (size_t)row * operand->stride * operand->size,
            .x_stride = operand->stride,
            .panels = panel,
            .panel_stride = stride,
            .inner_stride = PANEL,
            .rows = min(block->rows - row, tile_rows),
            .inner = pass->count,
            .columns = columns,
            .sums = block->sums + (size_t)row * block->sums_stride + column,
            .sums_stride = block->sums_stride,
            .go_on = pass->go_on,
            .ahead = ahead,
            .ahead_step = ahead_step,
        };
        kernel(&tile);
        if (pass->last && !block->direct && !has_mask(&block->product->y_mask)) {
            finish_sums(block, &tile, row, column);
        }
        ahead += steps * ahead_step;
    }
}

static void run_pass(const struct block *block, const struct inner_pass *pass)
{
    const struct cpu *cpu = block->job->cpu;
    const struct tile_operand operand = rows_of(block, pass);
    const int32_t most = cpu_multiplies_bf16(cpu) ? cpu->kernels.bf16_rows : cpu->kernels.tile_rows;
    /* One tile of rows uses a panel once: then all panels go in one call, which may take several side by side. */
    const int32_t strip = block->rows <= most ? block->columns : PANEL;
    for (int32_t column = 0; column < block->columns; column += strip) {
        const int32_t left = block->columns - column;
        run_strip(block, pass, &operand, column, min(left, strip));
    }
}

/* The passes of one of the two products; `first`, `last`: whether its sums begin at 0, and whether they are complete.
 */
static void run_passes(const struct block *block, const struct operand_rows *x, const struct panels *panels, bool first,
                       bool last)
{
    const struct mask *mask = first && has_mask(&block->product->x_mask) ? &block->product->x_mask : NULL;
    const uint16_t *rounded = first && !mask ? block->rounded : NULL;
    for (int32_t begin = 0; begin < panels->inner; begin += INNER_BLOCK) {
        const int32_t left = panels->inner - begin;
        const struct inner_pass pass = {
            .x = {operand_at(x, (size_t)block->first_row, (size_t)begin), x->stride, x->dtype},
            .rounded = rounded ? rounded + begin : NULL,
            .mask = mask,
            .panels = panels,
            .first = begin,
            .count = min(left, INNER_BLOCK),
            .go_on = !first || begin > 0 || block->go_on,
            .last = last && left <= INNER_BLOCK,
        };
        run_pass(block, &pass);
    }
}

/* The sums of a group pass the product's mask. */
static void mask_sums(const struct block *block)
{
    const struct product *product = block->product;
    const int32_t first_column = block->first_panel * PANEL;
    assert(!product->bias && product->scale == 1);
    block->job->cpu->kernels.mask_rows(&(struct masked_rows){
        .mask = &product->y_mask,
        .x = {block->sums, block->sums_stride, DTYPE_F32},
        .to = product->y + (size_t)block->first_row * product->y_stride + first_column,
        .to_stride = product->y_stride,
        .first_row = block->first_row,
        .first_column = first_column,
        .rows = block->rows,
        .columns = block->columns,
        .accumulate = product->accumulate,
    });
}

/* The block's rows against panels `panel` .. + panels - 1, no more than PANEL_GROUP. */
static void run_group(struct block *block, float *scratch, int32_t panel, int32_t panels)
{
    const struct product *product = block->product;
    const int32_t first_column = panel * PANEL, columns = product->panels.outputs - first_column;
    block->first_panel = panel;
    block->columns = columns < panels * PANEL ? columns : panels * PANEL;
    block->sums = scratch;
    block->sums_stride = GROUP_COLUMNS;
    /* Tiles write whole vectors, which are at most 16 floats. */
    const bool plain = !product->bias && product->scale == 1 && !has_mask(&product->y_mask);
    block->go_on = plain && product->accumulate && product->panels.outputs % 16 == 0;
    block->direct = plain && block->columns % 16 == 0 && (block->go_on || !product->accumulate);
    if (block->direct) {
        block->sums = product->y + (size_t)block->first_row * product->y_stride + first_column;
        block->sums_stride = product->y_stride;
    }
    const bool low_rank = product->u.data != NULL;
    run_passes(block, &product->x, &product->panels, true, !low_rank);
    if (low_rank) {
        run_passes(block, &product->u, &product->low, false, true);
    }
    if (has_mask(&product->y_mask)) {
        mask_sums(block);
    }
}

/* The block's rows of the product's x, rounded, unless the product before had the same. */
static void round_block(struct block *block)
{
    const struct product *product = block->product;
    if (block->rounded_from != product->x.data) {
        const struct operand_rows *x = &product->x;
        const struct operand_rows rows = {operand_at(x, (size_t)block->first_row, 0), x->stride, x->dtype};
        round_rows(block, block->rounded, ROUNDED_STRIDE, &rows, product->panels.inner, NULL);
        block->rounded_from = x->data;
    }
}

static int64_t tile_rows_of(const struct cpu *cpu)
{
    return cpu_multiplies_bf16(cpu) ? cpu->kernels.bf16_rows : cpu->kernels.tile_rows;
}

static void product_task(void *context, int64_t index)
{
    const struct job *job = context;
    unsigned char *scratch = cpu_own(job->cpu, SUMS_BYTES + COPY_BYTES + ROUNDED_BYTES);
    struct block block = {
        .job = job,
        .first_row = (int32_t)(index / job->groups) * job->rows,
        .copy = scratch + SUMS_BYTES,
        .rounded = job->panels == 0 ? (uint16_t *)(void *)(scratch + SUMS_BYTES + COPY_BYTES) : NULL,
    };
    const int32_t rows = job->all_rows - block.first_row;
    block.rows = rows < job->rows ? rows : job->rows;
    cpu_bf16_begin(job->cpu);
    for (int i = 0; i < job->count; i++) {
        block.product = &job->products[i];
        const int32_t all = panel_count(block.product->panels.outputs), most = job->panels > 0 ? job->panels : all;
        const int32_t first = (int32_t)(index % job->groups) * most, end = min(first + most, all);
        if (block.rounded && !has_mask(&block.product->x_mask)) {
            round_block(&block);
        }
        for (int32_t panel = first; panel < end; panel += PANEL_GROUP) {
            run_group(&block, (float *)(void *)scratch, panel, min(end - panel, PANEL_GROUP));
        }
    }
    cpu_bf16_end(job->cpu);
}

int64_t cpu_panel_groups(const struct cpu *cpu, int64_t blocks, int64_t panels, int64_t most)
{
    const int64_t wanted = divide_up((int64_t)pool_threads(cpu->pool) * TASKS_PER_THREAD, blocks);
    const int64_t least = divide_up(panels, most);
    const int64_t groups = max(wanted, least);
    return min(groups, panels);
}

static void cut_by_rows_and_panels(struct job *job)
{
    const int64_t panels = panel_count(job->products->panels.outputs), tile_rows = tile_rows_of(job->cpu);
    const int64_t row_blocks = divide_up(job->all_rows, ROW_BLOCK);
    const int64_t groups = cpu_panel_groups(job->cpu, row_blocks, panels, PANEL_GROUP);
    job->rows = (int32_t)(divide_up(divide_up(job->all_rows, row_blocks), tile_rows) * tile_rows);
    job->panels = (int32_t)divide_up(panels, groups);
    job->groups = divide_up(panels, job->panels);
}

/* Blocks of rows for all products: a multiple of the threads, and what is left over. False: they would be too few. */
static bool cut_by_rows(struct job *job)
{
    const int64_t threads = pool_threads(job->cpu->pool), tile_rows = tile_rows_of(job->cpu);
    const int64_t tiles = divide_up(job->all_rows, tile_rows);
    const int64_t blocks = divide_up(divide_up(tiles * tile_rows, ROW_BLOCK), threads) * threads;
    if (!cpu_multiplies_bf16(job->cpu) || blocks < TASKS_PER_THREAD * threads) {
        return false;
    }
    for (int i = 0; i < job->count; i++) {
        if (job->products[i].panels.inner > ROUNDED_INNER) {
            return false;
        }
    }
    job->rows = (int32_t)(tiles / blocks * tile_rows);
    job->groups = 1;
    return true;
}

static double product_work(const struct product *product, int32_t rows)
{
    return (double)rows * product->panels.inner * product->panels.outputs / 8;
}

void cpu_products(struct cpu *cpu, const struct product *products, int count, int32_t rows)
{
    struct job job = {.cpu = cpu, .products = products, .count = count, .all_rows = rows};
    if (rows == 0) {
        return;
    }
    double work = 0;
    for (int i = 0; i < count; i++) {
        assert(products[i].panels.data && (!products[i].u.data || products[i].low.data));
        work += product_work(&products[i], rows);
    }
    if (cut_by_rows(&job)) {
        cpu_run(cpu, product_task, &job, divide_up(rows, job.rows), work);
        return;
    }
    for (job.count = 1; job.products < products + count; job.products++) {
        cut_by_rows_and_panels(&job);
        cpu_run(cpu, product_task, &job, divide_up(rows, job.rows) * job.groups, product_work(job.products, rows));
    }
}

void product_scratch(struct scratch_need *need, const struct backend_limits *limits)
{
    (void)limits;
    scratch_want(&need->thread, SUMS_BYTES + COPY_BYTES + ROUNDED_BYTES);
}

/* ---- the slots ---- */

/* x times a weight's panels in one of the directions. */
static struct product product_of(const void *x, enum dtype x_dtype, const struct panels *panels, float *y, float scale)
{
    return (struct product){
        .x = {x, (size_t)panels->inner, x_dtype},
        .panels = *panels,
        .y = y,
        .y_stride = (size_t)panels->outputs,
        .scale = scale,
    };
}

static void add_low_rank(struct product *product, const float *u, const struct panels *low)
{
    product->u = (struct operand_rows){u, (size_t)low->inner, DTYPE_F32};
    product->low = *low;
}

/* The low-rank inputs first: where x is rounded for the other products, it is rounded once. */
void cpu_linear(struct backend *backend, const struct linear_args *arguments)
{
    struct product products[2 * LINEAR_GROUP];
    int count = 0;
    for (int i = 0; i < arguments->layer_count; i++) {
        const struct linear_layer *layer = &arguments->layers[i];
        if (layer->a) {
            struct product *product = &products[count++];
            *product = product_of(arguments->x, arguments->x_dtype, &layer->a->forward, layer->u, layer->scale);
            product->x_mask = (struct mask){arguments->dropout, layer->stream};
        }
    }
    for (int i = 0; i < arguments->layer_count; i++) {
        const struct linear_layer *layer = &arguments->layers[i];
        if (!layer->y) {
            continue;
        }
        struct product *product = &products[count++];
        *product = product_of(arguments->x, arguments->x_dtype, &layer->w->forward, layer->y, 1);
        product->bias = layer->bias;
        if (layer->a) {
            add_low_rank(product, layer->u, &layer->b->forward);
        }
    }
    cpu_products(cpu_of(backend), products, count, arguments->rows);
}

void cpu_linear_backward(struct backend *backend, const struct linear_backward_args *arguments)
{
    const bool dropping = arguments->dropout.keys != NULL;
    struct product products[3 * LINEAR_GROUP];
    int count = 0;
    for (int i = 0; i < arguments->layer_count; i++) {
        const struct linear_gradient *layer = &arguments->layers[i];
        if (layer->b) {
            products[count++] =
                product_of(layer->dy, arguments->dy_dtype, &layer->b->backward, layer->du, layer->scale);
        }
        if (!arguments->dx) {
            continue;
        }
        struct product *product = &products[count++];
        *product = product_of(layer->dy, arguments->dy_dtype, &layer->w->backward, arguments->dx, 1);
        product->accumulate = i > 0;
        if (layer->a && !dropping) {
            add_low_rank(product, layer->du, &layer->a->backward);
        }
    }
    for (int i = 0; i < arguments->layer_count && arguments->dx && dropping; i++) {
        const struct linear_gradient *layer = &arguments->layers[i];
        if (layer->a) {
            struct product *product = &products[count++];
            *product = product_of(layer->du, DTYPE_F32, &layer->a->backward, arguments->dx, 1);
            product->accumulate = true;
            product->y_mask = (struct mask){arguments->dropout, layer->stream};
        }
    }
    cpu_products(cpu_of(backend), products, count, arguments->rows);
}
