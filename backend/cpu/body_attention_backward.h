/*
 * backend/cpu/body_attention_backward.h - gradients of attention (FlashAttention-2, Dao 2023, section 3.1.2): the
 * scores are computed again from q, k and the log-sum-exp. Compiled once for each instruction set.
 *
 * One task is a piece of the keys of a span against a piece of the queries that see them, both in blocks of
 * ATTENTION_KEYS. Sums over queries, dk and dv, and those over keys, dq, go on in these outputs from one task to the
 * next (attention.c says in which order they come).
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_ATTENTION_BACKWARD_H
#define ATTUNE_BACKEND_CPU_BODY_ATTENTION_BACKWARD_H

#include "backend/cpu/body_attention.h"
#include "base/minmax.h"

struct attention_gradient {
    struct attention_rows block;
    /* of the block of keys: operands, their rooms, and gradients [KEYS, width] */
    struct right key_rows, value_rows, key_columns;
    void *key_rows_room, *value_rows_room, *key_columns_room;
    float *dkeys, *dvalues;
    /* of the block of queries: left operands and dq [rows, width], other forms of operands, [rows, KEYS], [rows] */
    void *q, *dout;
    float *dq;
    void *q_columns_room, *dout_columns_room, *turned_room, *dscores_room;
    float *weights, *dscores;
    float *lse, *along; /* along: sum over i of dout out */
};

/* Where row 0 of a block of queries begins in lse, and, times the head size, in q. */
static size_t query_place(const struct attention_backward_task *task, int64_t first)
{
    const struct attention_backward_args *attention = task->arguments;
    return (size_t)first * (size_t)attention->heads +
           (size_t)(task->kv_head * (attention->heads / attention->kv_heads));
}

/* Sums so far, as copy_rows() takes them; zeros where nothing was added to them yet. */
static void resume_rows(float *to, size_t to_stride, const float *from, size_t from_stride, int64_t rows,
                        int64_t columns, bool begins)
{
    if (begins) {
        memset(to, 0, (size_t)rows * to_stride * sizeof *to);
    } else {
        copy_rows(to, to_stride, from, from_stride, rows, columns);
    }
}

static void load_queries(const struct attention_backward_task *task, struct attention_gradient *state, int64_t first,
                         bool begins)
{
    const struct attention_backward_args *attention = task->arguments;
    const struct attention_rows *block = &state->block;
    const size_t width = (size_t)block->width, size = (size_t)block->size, begin = query_place(task, first);
    for (int32_t row = 0; row < block->rows; row++) {
        const size_t place = begin + row_place(attention->heads, block->group, row), from = place * size;
        set_left_row(&block->multiplier, state->q, block->width, row, attention->q + from, block->size);
        set_left_row(&block->multiplier, state->dout, block->width, row, attention->dout + from, block->size);
        resume_rows(state->dq + (size_t)row * width, width, attention->dq + from, 0, 1, block->size, begins);
        vec along = vec_zero();
        for (int32_t i = 0; i < block->size; i += VEC) {
            along = vec_fma(vec_load_left(attention->dout + from + i, block->size - i),
                            vec_load_left(attention->out + from + i, block->size - i), along);
        }
        state->along[row] = vec_sum(along);
        state->lse[row] = attention->lse[place];
    }
}

static void store_queries(const struct attention_backward_task *task, const struct attention_gradient *state,
                          int64_t first)
{
    const struct attention_rows *block = &state->block;
    const size_t begin = query_place(task, first), size = (size_t)block->size;
    for (int32_t row = 0; row < block->rows; row++) {
        float *dq = task->arguments->dq + (begin + row_place(task->arguments->heads, block->group, row)) * size;
        memcpy(dq, state->dq + (size_t)row * (size_t)block->width, size * sizeof(float));
    }
}

/* sums [keys, width] += weights^T values: the rows of `weights` [rows, ATTENTION_KEYS] are summed over. */
static void weigh_transposed(struct attention_gradient *state, float *sums, const float *weights, struct right values,
                             struct sight sight)
{
    const struct attention_rows *block = &state->block;
    const struct multiplier *multiplier = &block->multiplier;
    const int32_t inner = multiplier->bf16 ? padded(block->rows, PAIR_ALIGNMENT) : block->rows;
    if (multiplier->bf16) {
        const struct operand_rows from = {weights, ATTENTION_KEYS, DTYPE_F32};
        pack_turned(state->turned_room, &from, block->rows, sight.keys, inner);
    }
    for (int32_t key = 0; key < sight.keys; key += multiplier->tile_rows) {
        /* The first rows may not see this tile's keys yet. */
        int32_t from = 0;
        while (from < block->rows && seen_by(block, sight, from) <= key) {
            from += block->group;
        }
        if (from >= block->rows) {
            break;
        }
        const int32_t left = sight.keys - key, rows = left < multiplier->tile_rows ? left : multiplier->tile_rows;
        struct tile tile = {
            .rows = rows,
            .panel_stride = values.panel_stride,
            .inner_stride = values.inner_stride,
            .columns = block->size,
            .sums = sums + (size_t)key * (size_t)block->width,
            .sums_stride = (size_t)block->width,
            .go_on = true,
            .ahead = values.panels,
        };
        if (multiplier->bf16) {
            from = from / PAIR_ALIGNMENT * PAIR_ALIGNMENT;
            tile.x = (const uint16_t *)state->turned_room + (size_t)key * (size_t)inner + (size_t)from;
            tile.x_stride = (size_t)inner;
            tile.panels = (const uint32_t *)values.panels + (size_t)from / 2 * PANEL;
            tile.inner = inner - from;
            multiplier->bf16->bf16(&tile);
        } else {
            tile.x = weights + (size_t)from * ATTENTION_KEYS + key;
            tile.x_stride = ATTENTION_KEYS;
            tile.panels = (const float *)values.panels + (size_t)from * values.inner_stride;
            tile.inner = inner - from;
            tile_transposed(&tile);
        }
    }
}

/* A row of scores and of dout v^T become weights and gradients of scores. */
static void softmax_gradient_row(float *weights, float *dscores, float lse, float along, int32_t seen, int32_t keys,
                                 float scale)
{
    const vec power = vec_set(scale * LOG2_E), offset = vec_set(-lse * LOG2_E);
    for (int32_t i = 0; i < keys; i += VEC) {
        if (i >= seen) {
            vec_store(weights + i, vec_zero());
            vec_store(dscores + i, vec_zero());
            continue;
        }
        vec weight = vec_exp2_below_one(vec_fma(vec_load(weights + i), power, offset));
        vec dscore = vec_mul(vec_mul(weight, vec_sub(vec_load(dscores + i), vec_set(along))), vec_set(scale));
        if (seen - i < VEC) {
            weight = vec_first(seen - i, weight, vec_zero());
            dscore = vec_first(seen - i, dscore, vec_zero());
        }
        vec_store(weights + i, weight);
        vec_store(dscores + i, dscore);
    }
}

/* One block of queries against the block of keys in the state. */
static void attend_backward(const struct attention_backward_task *task, struct attention_gradient *state, int64_t first,
                            struct sight sight, bool begins)
{
    const struct attention_rows *block = &state->block;
    const struct multiplier *multiplier = &block->multiplier;
    const int32_t rows = block->rows, width = block->width;
    load_queries(task, state, first, begins);
    const struct left q = left_of(multiplier, state->q, width, rows);
    const struct left dout = left_of(multiplier, state->dout, width, rows);
    const struct operand_rows q_rows = rows_of_left(multiplier, q), dout_rows = rows_of_left(multiplier, dout);
    for (int32_t first_row = 0; first_row < rows; first_row += multiplier->tile_rows) {
        const struct attention_tile tile = attention_tile(block, sight, first_row);
        float *weights = state->weights + (size_t)first_row * ATTENTION_KEYS;
        float *dscores = state->dscores + (size_t)first_row * ATTENTION_KEYS;
        tile_scores(block, tile, weights, q, state->key_rows);
        tile_scores(block, tile, dscores, dout, state->value_rows);
        for (int32_t row = 0; row < tile.rows; row++) {
            const size_t at = (size_t)row * ATTENTION_KEYS;
            softmax_gradient_row(weights + at, dscores + at, state->lse[first_row + row], state->along[first_row + row],
                                 seen_by(block, sight, first_row + row), padded(sight.keys, PANEL),
                                 task->arguments->scale);
        }
        const struct left gradients =
            left_rows(multiplier, state->dscores_room, dscores, ATTENTION_KEYS, tile.rows, tile.keys);
        tile_weigh(block, tile, state->dq, gradients, state->key_columns);
    }
    store_queries(task, state, first);
    const struct right dout_columns = panels_of_columns(multiplier, state->dout_columns_room, &dout_rows, rows, width);
    weigh_transposed(state, state->dvalues, state->weights, dout_columns, sight);
    const struct right q_columns = panels_of_columns(multiplier, state->q_columns_room, &q_rows, rows, width);
    weigh_transposed(state, state->dkeys, state->dscores, q_columns, sight);
}

/* The block of queries that begins at `first` against the block of keys at `key`, which is in the state. */
static void attend_queries(const struct attention_backward_task *task, struct attention_gradient *state, int32_t key,
                           int32_t keys, int64_t first)
{
    const int32_t most = attention_queries(ATTENTION_BACK_ROWS, state->block.group);
    int64_t end = first + ATTENTION_KEYS; /* this and `first`: counted from the first query of the span */
    for (int32_t i = 0; i < task->asking_count && end > 0; i++) {
        const struct attention_span *span = &task->asking[i];
        const bool own = span == task->span;
        const int32_t last = (int32_t)(end < span->queries ? end : span->queries);
        for (int32_t query = (int32_t)(first > 0 ? first : 0); query < last; query += most) {
            const int32_t queries = min(last - query, most);
            state->block.rows = queries * state->block.group;
            /* Own keys are seen up to the query, a parent's all. The last of its own come first. */
            const int32_t own_keys = min(query - key + queries, keys);
            const struct sight sight = own ? (struct sight){.seen = query - key + 1, .step = 1, .keys = own_keys}
                                           : (struct sight){.seen = keys, .step = 0, .keys = keys};
            attend_backward(task, state, span->query + query, sight, own && first == key);
        }
        first -= span->queries;
        end -= span->queries;
    }
}

/* The block of keys at `key` against all queries of the task. */
static void key_block_backward(const struct attention_backward_task *task, struct attention_gradient *state,
                               int32_t key)
{
    const struct attention_backward_args *attention = task->arguments;
    const struct multiplier *multiplier = &state->block.multiplier;
    const int32_t size = attention->head_size, left = task->end_key - key;
    const int32_t keys = min(left, ATTENTION_KEYS);
    const size_t width = (size_t)state->block.width, stride = (size_t)attention->kv_heads * (size_t)size;
    const size_t at = (size_t)(task->span->key + key) * stride + (size_t)task->kv_head * (size_t)size;
    const float *k = attention->k + at, *v = attention->v + at;
    state->key_rows = panels_of_rows(multiplier, state->key_rows_room, k, stride, keys, size);
    state->value_rows = panels_of_rows(multiplier, state->value_rows_room, v, stride, keys, size);
    const struct operand_rows key_rows = {k, stride, DTYPE_F32};
    state->key_columns = panels_of_columns(multiplier, state->key_columns_room, &key_rows, keys, size);
    const bool own = task->asking == task->span, begins = own && task->first_query <= key;
    resume_rows(state->dkeys, width, attention->dk + at, stride, keys, size, begins);
    resume_rows(state->dvalues, width, attention->dv + at, stride, keys, size, begins);
    for (int64_t first = begins ? key : task->first_query; first < task->end_query; first += ATTENTION_KEYS) {
        attend_queries(task, state, key, keys, first);
    }
    for (int32_t row = 0; row < keys; row++) {
        const size_t to = at + (size_t)row * stride, from = (size_t)row * width;
        memcpy(attention->dk + to, state->dkeys + from, (size_t)size * sizeof(float));
        memcpy(attention->dv + to, state->dvalues + from, (size_t)size * sizeof(float));
    }
}

static void attention_backward(const struct attention_backward_task *task)
{
    const struct attention_backward_args *attention = task->arguments;
    const int32_t size = attention->head_size, group = attention->heads / attention->kv_heads;
    const size_t width = (size_t)padded(size, PANEL), gaps = width / PANEL * STRIP_GAP;
    /* Rooms for operands hold rows up to a multiple of what a product in bf16 sums over. */
    const size_t rows = (size_t)padded(attention_queries(ATTENTION_BACK_ROWS, group) * group, PAIR_ALIGNMENT);
    struct scratch room = {task->scratch, task->scratch + task->scratch_size};
    struct attention_gradient state = {
        .block = {.multiplier = multiplier_of(task->bf16), .group = group, .size = size, .width = (int32_t)width},
        .key_rows_room = take(&room, width * ATTENTION_KEYS),
        .value_rows_room = take(&room, width * ATTENTION_KEYS),
        .key_columns_room = take(&room, width * ATTENTION_KEYS + gaps),
        .dkeys = take(&room, width * ATTENTION_KEYS),
        .dvalues = take(&room, width * ATTENTION_KEYS),
        .q = take(&room, rows * width),
        .dout = take(&room, rows * width),
        .dq = take(&room, rows * width),
        .q_columns_room = take(&room, rows * width + gaps),
        .dout_columns_room = take(&room, rows * width + gaps),
        .turned_room = take(&room, rows * ATTENTION_KEYS),
        .dscores_room = take(&room, ATTENTION_TILE_ROWS * ATTENTION_KEYS),
        .weights = take(&room, rows * ATTENTION_KEYS),
        .dscores = take(&room, rows * ATTENTION_KEYS),
        .lse = take(&room, rows),
        .along = take(&room, rows),
    };
    int32_t key = (task->end_key - 1) / ATTENTION_KEYS * ATTENTION_KEYS;
    for (; key >= task->first_key; key -= ATTENTION_KEYS) {
        key_block_backward(task, &state, key);
    }
}

#endif
