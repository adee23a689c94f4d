/*
 * backend/cpu/body_attention.h - attention by blocks of queries and keys. Compiled once for each instruction set.
 *
 * The rows of a block are queries times the query heads that share a key head: row = query * group + head. Blocks of
 * keys are counted from the first key of the parent and from the first own key, so what a row adds up, and in which
 * order, does not depend on the queries beside it: keys that another row of the block sees, but this one does not,
 * weigh exactly 0.
 */
#include "backend/cpu/body_tile.h"

#define LOG2_E 1.44269504f
#define LN_2   0.69314718f

/* A piece of scratch, handed out from the front. */
SIMD float *take(unsigned char **scratch, size_t floats)
{
    float *piece = (float *)(void *)*scratch;
    *scratch += scratch_align(floats * sizeof(float));
    return piece;
}

SIMD int32_t padded(int32_t columns)
{
    return (columns + PANEL - 1) / PANEL * PANEL;
}

/* Copies `rows` rows of `columns` floats into rows of `to_stride`, the rest of each zero. */
static void copy_rows(float *to, size_t to_stride, const float *from, size_t from_stride, int64_t rows, int64_t columns)
{
    for (int64_t row = 0; row < rows; row++) {
        memcpy(to + (size_t)row * to_stride, from + (size_t)row * from_stride, (size_t)columns * sizeof(float));
        memset(to + (size_t)row * to_stride + columns, 0, (to_stride - (size_t)columns) * sizeof(float));
    }
}

/* Panels [keys / PANEL][size][PANEL] of `keys` rows, each `stride` apart: the rows become columns; missing ones are
 * zero. */
static void transpose_rows(float *panels, const float *from, size_t stride, int32_t keys, int32_t size)
{
    for (int32_t key = 0; key < keys; key += PANEL) {
        panel_of_rows(panels + (size_t)key * (size_t)size, from + (size_t)key * stride, stride, keys - key, size);
    }
}

/* What the two directions share about a block of rows. */
struct attention_rows {
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
    const int32_t left = block->rows - row, rows = left < TILE_ROWS ? left : TILE_ROWS;
    return (struct attention_tile){row, rows, seen_by(block, sight, row + rows - 1)};
}

/* sums [rows of the tile, ATTENTION_KEYS] = a b^T, b in panels */
static void tile_scores(const struct attention_rows *block, struct attention_tile tile, float *sums, const float *a,
                        size_t a_stride, const float *panels)
{
    tile_f32(&(struct tile){
        .x = a + (size_t)tile.row * a_stride,
        .x_stride = a_stride,
        .panels = panels,
        .panel_stride = (size_t)block->size * PANEL * sizeof(float),
        .inner_stride = PANEL,
        .rows = tile.rows,
        .inner = block->size,
        .columns = tile.keys,
        .sums = sums,
        .sums_stride = ATTENTION_KEYS,
        .ahead = (const unsigned char *)panels,
    });
}

/* sums [rows of the tile, width] += weights [rows of the tile, ATTENTION_KEYS] values [keys, size] */
static void tile_weigh(const struct attention_rows *block, struct attention_tile tile, float *sums,
                       const float *weights, const float *values, size_t values_stride)
{
    tile_f32(&(struct tile){
        .x = weights,
        .x_stride = ATTENTION_KEYS,
        .panels = values,
        .panel_stride = PANEL * sizeof(float),
        .inner_stride = values_stride,
        .rows = tile.rows,
        .inner = tile.keys,
        .columns = block->size,
        .sums = sums + (size_t)tile.row * (size_t)block->width,
        .sums_stride = (size_t)block->width,
        .go_on = true,
        .ahead = (const unsigned char *)values,
    });
}

/* ---- forward ---- */

struct attention_state {
    struct attention_rows block;
    float *q, *out, *keys, *values; /* [rows, size], [rows, width], panels, [KEYS, width] */
    float *scores;                  /* [TILE_ROWS, KEYS] */
    float *largest, *sum;           /* [rows]; largest: times scale and log2 e */
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
    const size_t stride = (size_t)attention->kv_heads * (size_t)block->size;
    const size_t at = (size_t)first * stride + (size_t)task->kv_head * (size_t)block->size;
    transpose_rows(state->keys, attention->k + at, stride, sight.keys, block->size);
    const float *values = attention->v + at;
    size_t values_stride = stride;
    if (block->width != block->size) {
        copy_rows(state->values, (size_t)block->width, values, stride, sight.keys, block->size);
        values = state->values;
        values_stride = (size_t)block->width;
    }
    for (int32_t first_row = 0; first_row < block->rows; first_row += TILE_ROWS) {
        const struct attention_tile tile = attention_tile(block, sight, first_row);
        tile_scores(block, tile, state->scores, state->q, (size_t)block->size, state->keys);
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
        tile_weigh(block, tile, state->out, state->scores, values, values_stride);
    }
}

static void attention_forward(const struct attention_task *task)
{
    const struct attention_args *attention = task->arguments;
    const struct attention_span *span = task->span;
    const int32_t size = attention->head_size, group = attention->heads / attention->kv_heads;
    const int32_t rows = task->queries * group, width = padded(size);
    unsigned char *scratch = task->scratch;
    struct attention_state state = {.block = {.rows = rows, .group = group, .size = size, .width = width}};
    state.q = take(&scratch, (size_t)rows * (size_t)size);
    state.out = take(&scratch, (size_t)rows * (size_t)width);
    state.scores = take(&scratch, (size_t)TILE_ROWS * ATTENTION_KEYS);
    state.keys = take(&scratch, (size_t)size * ATTENTION_KEYS);
    state.values = take(&scratch, (size_t)width * ATTENTION_KEYS);
    state.largest = take(&scratch, (size_t)rows);
    state.sum = take(&scratch, (size_t)rows);

    const int64_t first = span->query + task->first_query;
    const size_t q_stride = (size_t)attention->heads * (size_t)size, head = (size_t)(task->kv_head * group);
    const size_t at = (size_t)first * q_stride + head * (size_t)size;
    copy_rows(state.q, (size_t)(group * size), attention->q + at, q_stride, task->queries, group * size);
    memset(state.out, 0, (size_t)rows * (size_t)width * sizeof(float));
    for (int32_t row = 0; row < rows; row++) {
        state.largest[row] = -INFINITY;
        state.sum[row] = 0;
    }
    for (int32_t key = 0; key < span->parent_keys; key += ATTENTION_KEYS) {
        const int32_t left = span->parent_keys - key, keys = left < ATTENTION_KEYS ? left : ATTENTION_KEYS;
        attend(task, &state, span->parent + key, (struct sight){.seen = keys, .step = 0, .keys = keys});
    }
    const int32_t seen = span->keys - span->queries + task->first_query + 1; /* by the first query */
    const int32_t most = seen + task->queries - 1;
    for (int32_t key = 0; key < most; key += ATTENTION_KEYS) {
        const int32_t left = most - key, keys = left < ATTENTION_KEYS ? left : ATTENTION_KEYS;
        attend(task, &state, span->key + key, (struct sight){.seen = seen - key, .step = 1, .keys = keys});
    }
    for (int32_t row = 0; row < rows; row++) {
        float *out = attention->out + at + (size_t)(row / group) * q_stride + (size_t)(row % group * size);
        const vec sum = vec_set(state.sum[row]);
        for (int32_t i = 0; i < size; i += VEC) {
            vec_store_left(out + i, vec_div(vec_load(state.out + (size_t)row * (size_t)width + i), sum), size - i);
        }
        if (attention->lse) {
            const size_t to = (size_t)(first + row / group) * (size_t)attention->heads + head + (size_t)(row % group);
            attention->lse[to] = state.largest[row] * LN_2 + logf(state.sum[row]);
        }
    }
}

/* ---- backward ---- */

struct attention_gradient {
    struct attention_rows block;
    float *keys, *values;     /* panels of the block's keys and values, transposed */
    float *key_rows;          /* [KEYS, width] */
    float *dkeys, *dvalues;   /* [KEYS, width] */
    float *q, *dout, *dq;     /* [rows, width] */
    float *weights, *dscores; /* [rows, KEYS] */
    float *lse, *along;       /* [rows]; along: sum over i of dout out */
};

/* Where row 0 of a block of queries begins in q, and in lse. */
struct query_place {
    size_t q, lse;
};

static struct query_place query_place(const struct attention_backward_task *task, int64_t first)
{
    const struct attention_backward_args *attention = task->arguments;
    const size_t head = (size_t)(task->kv_head * (attention->heads / attention->kv_heads));
    const size_t lse = (size_t)first * (size_t)attention->heads + head;
    return (struct query_place){.q = lse * (size_t)attention->head_size, .lse = lse};
}

static void load_queries(const struct attention_backward_task *task, struct attention_gradient *state, int64_t first)
{
    const struct attention_backward_args *attention = task->arguments;
    const struct attention_rows *block = &state->block;
    const struct query_place place = query_place(task, first);
    const size_t width = (size_t)block->width, size = (size_t)block->size;
    for (int32_t row = 0; row < block->rows; row++) {
        const size_t skipped = (size_t)(row / block->group) * (size_t)attention->heads + (size_t)(row % block->group);
        const size_t from = place.q + skipped * size;
        copy_rows(state->q + (size_t)row * width, width, attention->q + from, 0, 1, block->size);
        copy_rows(state->dout + (size_t)row * width, width, attention->dout + from, 0, 1, block->size);
        copy_rows(state->dq + (size_t)row * width, width, attention->dq + from, 0, 1, block->size);
        vec along = vec_zero();
        for (int32_t i = 0; i < block->size; i += VEC) {
            along = vec_fma(vec_load_left(attention->dout + from + i, block->size - i),
                            vec_load_left(attention->out + from + i, block->size - i), along);
        }
        state->along[row] = vec_sum(along);
        state->lse[row] = attention->lse[place.lse + skipped];
    }
}

static void store_queries(const struct attention_backward_task *task, const struct attention_gradient *state,
                          int64_t first)
{
    const struct attention_backward_args *attention = task->arguments;
    const struct attention_rows *block = &state->block;
    const struct query_place place = query_place(task, first);
    for (int32_t row = 0; row < block->rows; row++) {
        const size_t skipped = (size_t)(row / block->group) * (size_t)attention->heads + (size_t)(row % block->group);
        memcpy(attention->dq + place.q + skipped * (size_t)block->size, state->dq + (size_t)row * (size_t)block->width,
               (size_t)block->size * sizeof(float));
    }
}

/* sums [keys, width] += weights^T values: the rows of `weights` are summed over. */
static void weigh_transposed(const struct attention_rows *block, float *sums, const float *weights, const float *values,
                             struct sight sight)
{
    for (int32_t key = 0; key < sight.keys; key += TILE_ROWS) {
        int32_t from = 0;
        while (from < block->rows && seen_by(block, sight, from) <= key) {
            from += block->group;
        }
        if (from >= block->rows) {
            break;
        }
        tile_transposed(&(struct tile){
            .x = weights + (size_t)from * ATTENTION_KEYS + key,
            .x_stride = ATTENTION_KEYS,
            .panels = values + (size_t)from * (size_t)block->width,
            .panel_stride = PANEL * sizeof(float),
            .inner_stride = (size_t)block->width,
            .rows = sight.keys - key < TILE_ROWS ? sight.keys - key : TILE_ROWS,
            .inner = block->rows - from,
            .columns = block->size,
            .sums = sums + (size_t)key * (size_t)block->width,
            .sums_stride = (size_t)block->width,
            .go_on = true,
        });
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
                            struct sight sight)
{
    const struct attention_rows *block = &state->block;
    const size_t width = (size_t)block->width;
    load_queries(task, state, first);
    for (int32_t first_row = 0; first_row < block->rows; first_row += TILE_ROWS) {
        const struct attention_tile tile = attention_tile(block, sight, first_row);
        float *weights = state->weights + (size_t)first_row * ATTENTION_KEYS;
        float *dscores = state->dscores + (size_t)first_row * ATTENTION_KEYS;
        tile_scores(block, tile, weights, state->q, width, state->keys);
        tile_scores(block, tile, dscores, state->dout, width, state->values);
        for (int32_t row = 0; row < tile.rows; row++) {
            const size_t at = (size_t)row * ATTENTION_KEYS;
            softmax_gradient_row(weights + at, dscores + at, state->lse[first_row + row], state->along[first_row + row],
                                 seen_by(block, sight, first_row + row), padded(sight.keys), task->arguments->scale);
        }
        tile_weigh(block, tile, state->dq, dscores, state->key_rows, width);
    }
    weigh_transposed(block, state->dvalues, state->weights, state->dout, sight);
    weigh_transposed(block, state->dkeys, state->dscores, state->q, sight);
    store_queries(task, state, first);
}

/* Keys key .. + keys - 1 (counted in the first span of `spans`) against the queries of all spans: dk and dv of them. */
static void key_block_backward(const struct attention_backward_task *task, struct attention_gradient *state,
                               const struct attention_span *spans, int32_t span_count, int32_t key, int32_t keys)
{
    const struct attention_backward_args *attention = task->arguments;
    const int32_t size = attention->head_size, group = state->block.group;
    const size_t width = (size_t)state->block.width, stride = (size_t)attention->kv_heads * (size_t)size;
    const size_t at = (size_t)(spans->key + key) * stride + (size_t)task->kv_head * (size_t)size;
    transpose_rows(state->keys, attention->k + at, stride, keys, size);
    transpose_rows(state->values, attention->v + at, stride, keys, size);
    copy_rows(state->key_rows, width, attention->k + at, stride, keys, size);
    memset(state->dkeys, 0, (size_t)keys * width * sizeof(float));
    memset(state->dvalues, 0, (size_t)keys * width * sizeof(float));
    const int32_t most = attention_queries(group);
    for (int32_t i = 0; i < span_count; i++) {
        const struct attention_span *span = &spans[i];
        /* The span's own queries before the first key of the block see none of it. */
        for (int32_t query = i == 0 ? key : 0; query < span->queries; query += most) {
            const int32_t queries = span->queries - query < most ? span->queries - query : most;
            state->block.rows = queries * group;
            /* Own keys are seen up to the query, a parent's all. */
            const struct sight sight = {.seen = i == 0 ? query - key + 1 : keys, .step = i == 0, .keys = keys};
            attend_backward(task, state, span->query + query, sight);
        }
    }
    for (int32_t row = 0; row < keys; row++) {
        memcpy(attention->dk + at + (size_t)row * stride, state->dkeys + (size_t)row * width,
               (size_t)size * sizeof(float));
        memcpy(attention->dv + at + (size_t)row * stride, state->dvalues + (size_t)row * width,
               (size_t)size * sizeof(float));
    }
}

static void attention_gradients(const struct attention_backward_task *task)
{
    const struct attention_backward_args *attention = task->arguments;
    const int32_t size = attention->head_size, group = attention->heads / attention->kv_heads;
    const size_t rows = (size_t)(attention_queries(group) * group), width = (size_t)padded(size);
    unsigned char *scratch = task->scratch;
    struct attention_gradient state = {.block = {.group = group, .size = size, .width = padded(size)}};
    state.keys = take(&scratch, (size_t)size * ATTENTION_KEYS);
    state.values = take(&scratch, (size_t)size * ATTENTION_KEYS);
    state.key_rows = take(&scratch, width * ATTENTION_KEYS);
    state.dkeys = take(&scratch, width * ATTENTION_KEYS);
    state.dvalues = take(&scratch, width * ATTENTION_KEYS);
    state.q = take(&scratch, rows * width);
    state.dout = take(&scratch, rows * width);
    state.dq = take(&scratch, rows * width);
    state.weights = take(&scratch, rows * ATTENTION_KEYS);
    state.dscores = take(&scratch, rows * ATTENTION_KEYS);
    state.lse = take(&scratch, rows);
    state.along = take(&scratch, rows);

    for (int32_t i = 0; i < task->span_count; i++) {
        for (int32_t query = 0; query < task->spans[i].queries; query++) {
            memset(attention->dq + query_place(task, task->spans[i].query + query).q, 0,
                   (size_t)(group * size) * sizeof(float));
        }
    }
    for (int32_t i = 0; i < task->span_count; i++) {
        for (int32_t key = 0; key < task->spans[i].keys; key += ATTENTION_KEYS) {
            const int32_t left = task->spans[i].keys - key, keys = left < ATTENTION_KEYS ? left : ATTENTION_KEYS;
            /* The first span's keys are seen by the whole family. */
            key_block_backward(task, &state, task->spans + i, i == 0 ? task->span_count : 1, key, keys);
        }
    }
}
