/*
 * backend/cpu/body_attention.h - attention by blocks of queries and keys. Compiled once for each instruction set.
 *
 * The rows of a block are queries times the query heads that share a key head: row = query * group + head. Blocks of
 * keys are counted from the first key of the parent and from the first own key, so what a row adds up, and in which
 * order, does not depend on the queries beside it: keys that another row of the block sees, but this one does not,
 * weigh exactly 0.
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_ATTENTION_H
#define ATTUNE_BACKEND_CPU_BODY_ATTENTION_H

#include "backend/cpu/body_multiply.h"
#include "base/minmax.h"

#define LOG2_E 1.44269504f
#define LN_2   0.69314718f

/* What the two directions share about a block of rows. */
struct attention_rows {
    struct multiplier multiplier;
    int32_t rows, group;
    int32_t size, width; /* head size, and that filled up to whole panels */
};

/*
 * How many of a block's keys a row sees: `seen` by row 0 (negative: the block begins so many keys behind its last), and
 * `step` more every query.
 */
struct sight {
    int32_t seen, step, keys;
};
SIMD int32_t seen_by(const struct attention_rows *block, struct sight sight, int32_t row)
{
    const int32_t n = sight.seen + row / block->group * sight.step;
    return n < 0 ? 0 : n < sight.keys ? n : sight.keys;
}

/* The tile of rows that begins at `row`: how many rows, and the keys that the last, which sees most, sees. */
struct attention_tile {
    int32_t row, rows, keys;
};
SIMD struct attention_tile attention_tile(const struct attention_rows *block, struct sight sight, int32_t row)
{
    const int32_t left = block->rows - row, most = block->multiplier.tile_rows, rows = min(left, most);
    return (struct attention_tile){row, rows, seen_by(block, sight, row + rows - 1)};
}

/* sums [rows of the tile, ATTENTION_KEYS] = a b^T, b the panels of the keys' rows */
static void tile_scores(const struct attention_rows *block, struct attention_tile tile, float *sums, struct left a,
                        struct right b)
{
    multiply(&block->multiplier, &(struct tile){
                                     .x = left_row(&block->multiplier, a, tile.row),
                                     .x_stride = a.stride,
                                     .panels = b.panels,
                                     .panel_stride = b.panel_stride,
                                     .inner_stride = b.inner_stride,
                                     .rows = tile.rows,
                                     .inner = block->size,
                                     .columns = tile.keys,
                                     .sums = sums,
                                     .sums_stride = ATTENTION_KEYS,
                                     .ahead = b.panels,
                                 });
}

/* sums [rows of the tile, width] += weights values; weights: of the tile's rows alone, values: panels of the columns */
static void tile_weigh(const struct attention_rows *block, struct attention_tile tile, float *sums, struct left weights,
                       struct right values)
{
    multiply(&block->multiplier, &(struct tile){
                                     .x = weights.rows,
                                     .x_stride = weights.stride,
                                     .panels = values.panels,
                                     .panel_stride = values.panel_stride,
                                     .inner_stride = values.inner_stride,
                                     .rows = tile.rows,
                                     .inner = tile.keys,
                                     .columns = block->size,
                                     .sums = sums + (size_t)tile.row * (size_t)block->width,
                                     .sums_stride = (size_t)block->width,
                                     .go_on = true,
                                     .ahead = values.panels,
                                 });
}

/* How many heads behind the block's first a row is: heads of a query lie side by side, queries a row of all heads
 * apart. */
SIMD size_t row_place(int32_t heads, int32_t group, int32_t row)
{
    return (size_t)(row / group) * (size_t)heads + (size_t)(row % group);
}

/* ---- forward ---- */

struct attention_state {
    struct attention_rows block;
    struct left queries;
    float *out;                         /* [rows, width] */
    float *scores;                      /* [tile_rows, KEYS] */
    float *largest, *sum;               /* [rows]; largest: times scale and log2 e */
    void *weights_room, *keys, *values; /* for the forms of operands */
};

/*
 * One row: the running maximum of scaled scores, weights 2^(score - maximum), their sum, and the old output scaled to
 * the new maximum. Scores count in powers of two: `scale` is the given one times log2 e.
 */
static void softmax_row(struct attention_state *state, int32_t row, float *score, int32_t seen, float scale)
{
    float *out = state->out + (size_t)row * (size_t)state->block.width;
    vec most = vec_set(-INFINITY);
    for (int32_t i = 0; i < seen; i += VEC) {
        const vec scores = vec_load(score + i);
        most = vec_max(most, seen - i >= VEC ? scores : vec_first(seen - i, scores, most));
    }
    const float old = state->largest[row];
    const float found = vec_largest(most) * scale;
    const float largest = old > found ? old : found;
    vec sum = vec_zero();
    for (int32_t i = 0; i < seen; i += VEC) {
        vec weight = vec_exp2_below_one(vec_fma(vec_load(score + i), vec_set(scale), vec_set(-largest)));
        weight = seen - i >= VEC ? weight : vec_first(seen - i, weight, vec_zero());
        vec_store(score + i, weight);
        sum = vec_add(sum, weight);
    }
    if (largest != old) {
        const vec shrink = vec_exp2_below_one(vec_set(old - largest));
        for (int32_t i = 0; i < state->block.width; i += VEC) {
            vec_store(out + i, vec_mul(vec_load(out + i), shrink));
        }
        float lanes[VEC];
        vec_store(lanes, shrink);
        state->sum[row] *= lanes[0];
    }
    state->largest[row] = largest;
    state->sum[row] += vec_sum(sum);
}

/* Keys in rows first .. first + sight.keys - 1. */
static void attend(const struct attention_task *task, struct attention_state *state, int32_t first, struct sight sight)
{
    const struct attention_args *attention = task->arguments;
    const struct attention_rows *block = &state->block;
    const struct multiplier *multiplier = &block->multiplier;
    const size_t stride = (size_t)attention->kv_heads * (size_t)block->size;
    const size_t at = (size_t)first * stride + (size_t)task->kv_head * (size_t)block->size;
    const struct right keys =
        panels_of_rows(multiplier, state->keys, attention->k + at, stride, sight.keys, block->size);
    const struct operand_rows value_rows = {attention->v + at, stride, DTYPE_F32};
    const struct right values = panels_of_columns(multiplier, state->values, &value_rows, sight.keys, block->size);
    for (int32_t first_row = 0; first_row < block->rows; first_row += multiplier->tile_rows) {
        const struct attention_tile tile = attention_tile(block, sight, first_row);
        tile_scores(block, tile, state->scores, state->queries, keys);
        for (int32_t row = 0; row < tile.rows; row++) {
            float *score = state->scores + (size_t)row * ATTENTION_KEYS;
            const int32_t seen = seen_by(block, sight, first_row + row);
            if (seen > 0) {
                softmax_row(state, first_row + row, score, seen, attention->scale * LOG2_E);
            }
            for (int32_t i = (seen + VEC - 1) / VEC * VEC; i < tile.keys; i += VEC) {
                vec_store(score + i, vec_zero());
            }
        }
        const struct left weights =
            left_rows(multiplier, state->weights_room, state->scores, ATTENTION_KEYS, tile.rows, tile.keys);
        tile_weigh(block, tile, state->out, weights, values);
    }
}

static void store_outputs(const struct attention_task *task, const struct attention_state *state, size_t at,
                          size_t lse_at)
{
    const struct attention_args *attention = task->arguments;
    const struct attention_rows *block = &state->block;
    for (int32_t row = 0; row < block->rows; row++) {
        const size_t skipped = row_place(attention->heads, block->group, row);
        float *out = attention->out + at + skipped * (size_t)block->size;
        const vec sum = vec_set(state->sum[row]);
        for (int32_t i = 0; i < block->size; i += VEC) {
            const vec weighed = vec_load(state->out + (size_t)row * (size_t)block->width + i);
            vec_store_left(out + i, vec_div(weighed, sum), block->size - i);
        }
        if (attention->lse) {
            attention->lse[lse_at + skipped] = state->largest[row] * LN_2 + logf(state->sum[row]);
        }
    }
}

static void attention_forward(const struct attention_task *task)
{
    const struct attention_args *attention = task->arguments;
    const struct attention_span *span = task->span;
    const int32_t size = attention->head_size, group = attention->heads / attention->kv_heads;
    const int32_t rows = task->queries * group, width = padded(size, PANEL);
    struct scratch room = {task->scratch, task->scratch + task->scratch_size};
    struct attention_state state = {
        .block = {.multiplier = multiplier_of(task->bf16), .rows = rows, .group = group, .size = size, .width = width},
        .out = take(&room, (size_t)rows * (size_t)width),
        .scores = take(&room, (size_t)ATTENTION_TILE_ROWS * ATTENTION_KEYS),
        .largest = take(&room, (size_t)rows),
        .sum = take(&room, (size_t)rows),
        .weights_room = take(&room, (size_t)ATTENTION_TILE_ROWS * ATTENTION_KEYS),
        .keys = take(&room, (size_t)width * ATTENTION_KEYS),
        .values = take(&room, (size_t)width * ATTENTION_KEYS + (size_t)(width / PANEL) * STRIP_GAP),
    };
    const int64_t first = span->query + task->first_query;
    const size_t lse_at = (size_t)first * (size_t)attention->heads + (size_t)(task->kv_head * group);
    const size_t at = lse_at * (size_t)size;
    float *q = take(&room, (size_t)padded(rows, PAIR_ALIGNMENT) * (size_t)width);
    for (int32_t row = 0; row < rows; row++) {
        const float *from = attention->q + at + row_place(attention->heads, group, row) * (size_t)size;
        set_left_row(&state.block.multiplier, q, width, row, from, size);
    }
    state.queries = left_of(&state.block.multiplier, q, width, rows);
    memset(state.out, 0, (size_t)rows * (size_t)width * sizeof(float));
    for (int32_t row = 0; row < rows; row++) {
        state.largest[row] = -INFINITY;
        state.sum[row] = 0;
    }
    for (int32_t key = 0; key < span->parent_keys; key += ATTENTION_KEYS) {
        const int32_t left = span->parent_keys - key, keys = min(left, ATTENTION_KEYS);
        attend(task, &state, span->parent + key, (struct sight){.seen = keys, .step = 0, .keys = keys});
    }
    const int32_t seen = span->keys - span->queries + task->first_query + 1; /* by the first query */
    const int32_t most = seen + task->queries - 1;
    for (int32_t key = 0; key < most; key += ATTENTION_KEYS) {
        const int32_t left = most - key, keys = min(left, ATTENTION_KEYS);
        attend(task, &state, span->key + key, (struct sight){.seen = seen - key, .step = 1, .keys = keys});
    }
    store_outputs(task, &state, at, lse_at);
}

#endif
