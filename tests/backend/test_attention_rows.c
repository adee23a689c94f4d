/*
 * tests/backend/test_attention_rows.c - a query's result depends on its keys, not on where they stand or who else is
 * there.
 *
 * A small tree of tokens (a prompt, two answers to it, a stranger) is attended in many layouts: packed with strangers,
 * alone, one query at a time over a cache, in pieces. Each token must get the same bits in every layout.
 */
#include "base/random.h"
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include <string.h>

/* Tokens by number: the prompt, its answers A and B, and a stranger. */
enum {
    PROMPT = 0,
    PROMPT_LENGTH = 70,
    A = 70,
    A_LENGTH = 45,
    B = 115,
    B_LENGTH = 9,
    STRANGER = 124,
    STRANGER_LENGTH = 37
};
#define TOKENS   161
#define ROWS_MAX 512

/* Which token stands in which row of q and of k, and who attends to what. */
struct layout {
    int32_t queries[ROWS_MAX], keys[ROWS_MAX];
    int32_t query_count, key_count, span_count;
    int32_t
        partial; /* first rows of k that not all who see them stand in the layout with: their gradients are not held */
    struct attention_span spans[ROWS_MAX];
};

/* Puts keys of tokens first .. first + count - 1 into the next rows; returns the first row. */
static int32_t put_keys(struct layout *layout, int32_t first, int32_t count)
{
    int32_t row = layout->key_count;
    for (int32_t i = 0; i < count; i++) {
        layout->keys[layout->key_count++] = first + i;
    }
    return row;
}

/* Adds a span: tokens first .. first + count - 1 ask, the last `queries` of them. */
static void put_span(struct layout *layout, int32_t first, int32_t count, int32_t queries, int32_t key, int32_t parent,
                     int32_t parent_keys)
{
    layout->spans[layout->span_count++] =
        (struct attention_span){layout->query_count, queries, key, count, parent, parent_keys};
    for (int32_t i = count - queries; i < count; i++) {
        layout->queries[layout->query_count++] = first + i;
    }
}

/* A segment of a training batch; returns its row. */
static int32_t put_segment(struct layout *layout, int32_t first, int32_t count, int32_t parent, int32_t parent_keys)
{
    int32_t row = put_keys(layout, first, count);
    put_span(layout, first, count, count, row, parent, parent_keys);
    return row;
}

static void put_family(struct layout *layout)
{
    int32_t prompt = put_segment(layout, PROMPT, PROMPT_LENGTH, 0, 0);
    put_segment(layout, A, A_LENGTH, prompt, PROMPT_LENGTH);
    put_segment(layout, B, B_LENGTH, prompt, PROMPT_LENGTH);
}

struct shape {
    int32_t heads, kv_heads, head_size;
};
static const struct shape shapes[] = {{1, 1, 8}, {4, 2, 16}, {9, 3, 64}, {2, 1, 80}, {2, 2, 128}};
#define SHAPES (sizeof shapes / sizeof *shapes)

/* One number of a token: what it asks, offers, holds, or is told. */
static void put_rows(float *values, const int32_t *tokens, int32_t count, int32_t columns, uint64_t what)
{
    for (int32_t row = 0; row < count; row++) {
        for (int32_t i = 0; i < columns; i++) {
            uint64_t number = (uint64_t)tokens[row] << 32 | (uint64_t)i;
            values[(int64_t)row * columns + i] = (float)random_normal(23, RANDOM_INIT, what, number);
        }
    }
}

/* The case of a layout: arguments as case_attention() makes them, values by token. */
static void build(struct op_case *c, const struct layout *layout, const struct shape *shape)
{
    op_begin(c, BACKEND_attention, "%d spans, %d / %d heads of %d", layout->span_count, shape->heads, shape->kv_heads,
             shape->head_size);
    struct attention_args *a = &c->arguments.attention;
    int32_t q_columns = shape->heads * shape->head_size, k_columns = shape->kv_heads * shape->head_size;
    *a = (struct attention_args){.span_count = layout->span_count,
                                 .extent = attention_extent(layout->spans, layout->span_count),
                                 .heads = shape->heads,
                                 .kv_heads = shape->kv_heads,
                                 .head_size = shape->head_size,
                                 .scale = 0.3F};
    put_rows(OP_ARRAY(c, a, q, OP_INPUT, (int64_t)layout->query_count * q_columns), layout->queries,
             layout->query_count, q_columns, 1);
    put_rows(OP_ARRAY(c, a, k, OP_INPUT, (int64_t)layout->key_count * k_columns), layout->keys, layout->key_count,
             k_columns, 2);
    put_rows(OP_ARRAY(c, a, v, OP_INPUT, (int64_t)layout->key_count * k_columns), layout->keys, layout->key_count,
             k_columns, 3);
    memcpy(OP_ARRAY(c, a, spans, OP_INPUT, layout->span_count), layout->spans,
           (size_t)layout->span_count * sizeof *layout->spans);
    OP_ARRAY(c, a, out, OP_SET, (int64_t)layout->query_count * q_columns);
    OP_ARRAY(c, a, lse, OP_SET, (int64_t)layout->query_count * shape->heads);
    c->limits = (struct backend_limits){.rows = ROWS_MAX,
                                        .columns = q_columns,
                                        .spans = layout->span_count,
                                        .heads = shape->heads,
                                        .kv_heads = shape->kv_heads,
                                        .head_size = shape->head_size};
}

/* Results by token, taken from the first layout that has the token, and held against every later one. */
struct seen {
    float rows[TOKENS][9 * 64 + 9]; /* the largest heads * head_size, and its lse */
    bool known[TOKENS];
};

static void hold(struct seen *seen, const float *rows, const int32_t *tokens, int32_t count, int32_t columns,
                 const char *what, const struct backend *backend)
{
    for (int32_t row = 0; row < count; row++) {
        float *known = seen->rows[tokens[row]];
        const float *now = rows + (int64_t)row * columns;
        if (!seen->known[tokens[row]]) {
            memcpy(known, now, (size_t)columns * sizeof *known);
            seen->known[tokens[row]] = true;
        } else if (memcmp(known, now, (size_t)columns * sizeof *known) != 0) {
            fail_msg("%s of token %d depends on the layout, on %s", what, tokens[row], backend->name);
        }
    }
}

struct pass {
    struct seen out, lse, dq, dk, dv;
};

static void attend(struct pass *pass, struct backend *backend, const struct layout *layout, const struct shape *shape)
{
    struct op_case c;
    struct op_result result;
    build(&c, layout, shape);
    op_run(&result, backend, &c, 0);
    hold(&pass->out, op_output(&result, &c, "out"), layout->queries, layout->query_count,
         shape->heads * shape->head_size, "out", backend);
    hold(&pass->lse, op_output(&result, &c, "lse"), layout->queries, layout->query_count, shape->heads, "lse", backend);
    op_result_free(&result);
    op_free(&c);
}

static void check_forward(struct backend *backend, const struct shape *shape)
{
    static struct pass pass;
    struct layout layout = {.query_count = 0};
    memset(&pass, 0, sizeof pass);
    put_family(&layout);
    put_segment(&layout, STRANGER, STRANGER_LENGTH, 0, 0);
    attend(&pass, backend, &layout, shape);

    layout = (struct layout){.query_count = 0}; /* behind a stranger */
    put_segment(&layout, STRANGER, STRANGER_LENGTH, 0, 0);
    put_family(&layout);
    attend(&pass, backend, &layout, shape);

    layout = (struct layout){.query_count = 0}; /* an only child */
    put_segment(&layout, B, B_LENGTH, put_segment(&layout, PROMPT, PROMPT_LENGTH, 0, 0), PROMPT_LENGTH);
    attend(&pass, backend, &layout, shape);

    layout = (struct layout){.query_count = 0}; /* all prefixes of all three, one query each, over one cache */
    int32_t prompt = put_keys(&layout, PROMPT, PROMPT_LENGTH), a = put_keys(&layout, A, A_LENGTH);
    int32_t stranger = put_keys(&layout, STRANGER, STRANGER_LENGTH);
    for (int32_t keys = 1; keys <= PROMPT_LENGTH; keys++) {
        put_span(&layout, PROMPT, keys, 1, prompt, 0, 0);
    }
    for (int32_t keys = 1; keys <= A_LENGTH; keys++) {
        put_span(&layout, A, keys, 1, a, prompt, PROMPT_LENGTH);
    }
    for (int32_t keys = 1; keys <= STRANGER_LENGTH; keys++) {
        put_span(&layout, STRANGER, keys, 1, stranger, 0, 0);
    }
    attend(&pass, backend, &layout, shape);

    layout = (struct layout){.query_count = 0}; /* a prompt taken in pieces, and one query alone */
    a = put_keys(&layout, A, A_LENGTH);
    prompt = put_keys(&layout, PROMPT, PROMPT_LENGTH);
    put_span(&layout, PROMPT, 33, 33, prompt, 0, 0);
    put_span(&layout, PROMPT, 64, 31, prompt, 0, 0);
    put_span(&layout, PROMPT, PROMPT_LENGTH, 6, prompt, 0, 0);
    put_span(&layout, A, A_LENGTH, 17, a, prompt, PROMPT_LENGTH);
    attend(&pass, backend, &layout, shape);

    layout = (struct layout){.query_count = 0};
    a = put_keys(&layout, A, A_LENGTH);
    prompt = put_keys(&layout, PROMPT, PROMPT_LENGTH);
    put_span(&layout, A, A_LENGTH, 1, a, prompt, PROMPT_LENGTH);
    attend(&pass, backend, &layout, shape);
}

/* ---- backward ---- */

static void attend_backward(struct pass *pass, struct backend *backend, const struct layout *layout,
                            const struct shape *shape)
{
    int32_t q_columns = shape->heads * shape->head_size, k_columns = shape->kv_heads * shape->head_size;
    int64_t queries = (int64_t)layout->query_count * q_columns, keys = (int64_t)layout->key_count * k_columns;
    struct op_case forward, c;
    struct op_result outputs, result;
    build(&forward, layout, shape);
    op_run(&outputs, backend, &forward, 0);

    op_begin(&c, BACKEND_attention_backward, "%s", forward.name);
    struct attention_backward_args *a = &c.arguments.attention_backward;
    *a = (struct attention_backward_args){.span_count = layout->span_count,
                                          .extent = attention_extent(layout->spans, layout->span_count),
                                          .heads = shape->heads,
                                          .kv_heads = shape->kv_heads,
                                          .head_size = shape->head_size,
                                          .scale = 0.3F};
    memcpy(OP_ARRAY(&c, a, q, OP_INPUT, queries), op_values(&forward, "q"), (size_t)queries * sizeof(float));
    memcpy(OP_ARRAY(&c, a, k, OP_INPUT, keys), op_values(&forward, "k"), (size_t)keys * sizeof(float));
    memcpy(OP_ARRAY(&c, a, v, OP_INPUT, keys), op_values(&forward, "v"), (size_t)keys * sizeof(float));
    memcpy(OP_ARRAY(&c, a, out, OP_INPUT, queries), op_output(&outputs, &forward, "out"),
           (size_t)queries * sizeof(float));
    memcpy(OP_ARRAY(&c, a, lse, OP_INPUT, (int64_t)layout->query_count * shape->heads),
           op_output(&outputs, &forward, "lse"), (size_t)(layout->query_count * shape->heads) * sizeof(float));
    put_rows(OP_ARRAY(&c, a, dout, OP_INPUT, queries), layout->queries, layout->query_count, q_columns, 4);
    memcpy(OP_ARRAY(&c, a, spans, OP_INPUT, layout->span_count), layout->spans,
           (size_t)layout->span_count * sizeof *layout->spans);
    OP_ARRAY(&c, a, dq, OP_SET, queries);
    OP_ARRAY(&c, a, dk, OP_SET, keys);
    OP_ARRAY(&c, a, dv, OP_SET, keys);
    c.limits = forward.limits;
    op_run(&result, backend, &c, 0);
    hold(&pass->dq, op_output(&result, &c, "dq"), layout->queries, layout->query_count, q_columns, "dq", backend);
    int64_t skipped = (int64_t)layout->partial * k_columns;
    hold(&pass->dk, op_output(&result, &c, "dk") + skipped, layout->keys + layout->partial,
         layout->key_count - layout->partial, k_columns, "dk", backend);
    hold(&pass->dv, op_output(&result, &c, "dv") + skipped, layout->keys + layout->partial,
         layout->key_count - layout->partial, k_columns, "dv", backend);

    op_result_free(&outputs);
    op_result_free(&result);
    op_free(&forward);
    op_free(&c);
}

/* Strangers come and go. Where a sibling does, only the gradients of the parent's keys may change. */
static void check_backward(struct backend *backend, const struct shape *shape)
{
    static struct pass pass;
    struct layout layout = {.query_count = 0};
    memset(&pass, 0, sizeof pass);
    put_family(&layout);
    attend_backward(&pass, backend, &layout, shape);

    layout = (struct layout){.query_count = 0};
    put_segment(&layout, STRANGER, STRANGER_LENGTH, 0, 0);
    attend_backward(&pass, backend, &layout, shape);
    put_family(&layout);
    put_segment(&layout, STRANGER, STRANGER_LENGTH, 0, 0);
    attend_backward(&pass, backend, &layout, shape);

    layout = (struct layout){.partial = PROMPT_LENGTH};
    put_segment(&layout, B, B_LENGTH, put_segment(&layout, PROMPT, PROMPT_LENGTH, 0, 0), PROMPT_LENGTH);
    attend_backward(&pass, backend, &layout, shape);
}

static void on_all(void (*check)(struct backend *backend, const struct shape *shape))
{
    for (int threads = 1; threads <= 2; threads++) {
        struct backends backends;
        backends_open(&backends, threads, false);
        for (int i = 0; i < backends.count; i++) {
            for (size_t s = 0; s < SHAPES; s++) {
                check(backends.list[i], &shapes[s]);
            }
        }
        backends_close(&backends);
    }
}

static void test_forward(void **state)
{
    (void)state;
    on_all(check_forward);
}

static void test_backward(void **state)
{
    (void)state;
    on_all(check_backward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forward), cmocka_unit_test(test_backward)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
