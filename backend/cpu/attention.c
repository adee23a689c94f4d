/* backend/cpu/attention.c - attention cut into tasks; body_attention.h does the work. */
#include "backend/cpu/internal.h"

/* ---- scratch: what body_attention.h and body_attention_backward.h take ---- */

static size_t task_scratch(int32_t heads, int32_t kv_heads, int32_t head_size)
{
    const int32_t group = heads / kv_heads;
    const size_t rows = (size_t)divide_up((int64_t)attention_queries(group) * group, PAIR_ALIGNMENT) * PAIR_ALIGNMENT;
    const size_t width = (size_t)panel_count(head_size) * PANEL;
    const size_t pieces = 24 * (STRIP_GAP * (1 + width / PANEL)); /* gaps and alignment, for each piece taken */
    const size_t forward = 4 * rows * width + 2 * width * ATTENTION_KEYS + 2 * ATTENTION_TILE_ROWS * ATTENTION_KEYS;
    const size_t backward = 7 * rows * width + 5 * width * ATTENTION_KEYS + 3 * rows * ATTENTION_KEYS +
                            ATTENTION_TILE_ROWS * ATTENTION_KEYS;
    return ((forward > backward ? forward : backward) + 2 * rows + pieces) * sizeof(float);
}

void attention_scratch(struct scratch_need *need, const struct backend_limits *limits)
{
    if (limits->kv_heads > 0) {
        scratch_want(&need->thread, task_scratch(limits->heads, limits->kv_heads, limits->head_size));
    }
}

/* ---- forward: a task is a key head and a block of queries of a span ---- */

struct forward {
    struct cpu *cpu;
    const struct attention_args *arguments;
    int32_t queries; /* of a task */
    int64_t tasks;
    size_t scratch;
};

/* Task number -> span: a search over the running count of tasks would want memory, so spans are walked. */
static void forward_task(void *context, int64_t index)
{
    const struct forward *forward = context;
    const struct attention_args *attention = forward->arguments;
    const struct attention_span *span = attention->spans;
    /* The last queries see most keys: their tasks come first, so that no long one is left at the end. */
    int64_t block = (forward->tasks - 1 - index) / attention->kv_heads;
    for (; block >= divide_up(span->queries, forward->queries); span++) {
        block -= divide_up(span->queries, forward->queries);
    }
    const int32_t first = (int32_t)block * forward->queries, left = span->queries - first;
    const struct attention_task task = {
        .arguments = attention,
        .bf16 = cpu_multiplies_bf16(forward->cpu) ? &forward->cpu->kernels : NULL,
        .span = span,
        .kv_head = (int32_t)(index % attention->kv_heads),
        .first_query = first,
        .queries = left < forward->queries ? left : forward->queries,
        .scratch = cpu_own(forward->cpu, forward->scratch),
        .scratch_size = forward->scratch,
    };
    cpu_bf16_begin(forward->cpu);
    forward->cpu->kernels.attention(&task);
    cpu_bf16_end(forward->cpu);
}

void cpu_attention(struct backend *backend, const struct attention_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    assert(arguments->heads % arguments->kv_heads == 0);
    struct forward forward = {
        .cpu = cpu,
        .arguments = arguments,
        .queries = attention_queries(arguments->heads / arguments->kv_heads),
        .scratch = task_scratch(arguments->heads, arguments->kv_heads, arguments->head_size),
    };
    int64_t blocks = 0;
    double pairs = 0;
    for (int32_t i = 0; i < arguments->span_count; i++) {
        const struct attention_span *span = &arguments->spans[i];
        assert(span->keys >= span->queries);
        blocks += divide_up(span->queries, forward.queries);
        pairs += (double)span->queries * ((double)span->keys + span->parent_keys);
    }
    forward.tasks = blocks * arguments->kv_heads;
    cpu_run(cpu, forward_task, &forward, forward.tasks, pairs * arguments->heads * arguments->head_size / 8);
}

/* ---- backward: a task is a key head and a square of keys and queries ---- */

/*
 * The queries that see a span's keys are its own and behind them, where it is a parent, those of its children laid end
 * to end. Both are cut into blocks of ATTENTION_KEYS; in round r, key block j of every span meets block j + r of its
 * queries. So keys meet their queries in order, the children's as they stand; a query meets its own keys from the last
 * to the first, then its parent's likewise; and in one round no two tasks share a key or a query: they may run side by
 * side and sum in place, in an order that depends on the spans alone.
 *
 * (A child's query that is in block b of the child is in block b or later of all children. It meets its own keys up to
 * round b and its parent's after that: there, the parent's own blocks, as many as key blocks, come first.)
 */
struct backward {
    struct cpu *cpu;
    const struct attention_backward_args *arguments;
    size_t scratch;
    int64_t round;
};

/* Of one span: the children behind it, the blocks of its own keys (and queries), and those of its children's queries.
 */
struct squares {
    int32_t children;
    int64_t own, childrens;
};

static struct squares squares_of(const struct attention_backward_args *attention, int32_t number)
{
    const struct attention_span *span = &attention->spans[number];
    struct squares squares = {.own = divide_up(span->keys, ATTENTION_KEYS)};
    int64_t queries = 0;
    assert(span->key == span->query && span->keys == span->queries);
    for (int32_t i = number + 1; span->parent_keys == 0 && i < attention->span_count; i++) {
        const struct attention_span *child = &attention->spans[i];
        if (child->parent_keys == 0) {
            break;
        }
        assert(child->parent == span->key && child->parent_keys == span->keys);
        queries += child->queries;
        squares.children++;
    }
    squares.childrens = divide_up(queries, ATTENTION_KEYS);
    return squares;
}

/* How many key blocks of the span meet queries in the round. */
static int64_t squares_in_round(const struct squares *squares, int64_t round)
{
    const int64_t left = squares->own + squares->childrens - round;
    return left < 0 ? 0 : left < squares->own ? left : squares->own;
}

static void backward_task(void *context, int64_t index)
{
    const struct backward *backward = context;
    const struct attention_backward_args *attention = backward->arguments;
    int64_t key_block = index / attention->kv_heads;
    int32_t number = 0;
    struct squares squares = squares_of(attention, number);
    for (int64_t there; key_block >= (there = squares_in_round(&squares, backward->round)); key_block -= there) {
        squares = squares_of(attention, ++number);
    }
    const struct attention_span *span = &attention->spans[number];
    const int64_t query_block = key_block + backward->round;
    const bool own = query_block < squares.own;
    const struct attention_backward_task task = {
        .arguments = attention,
        .bf16 = cpu_multiplies_bf16(backward->cpu) ? &backward->cpu->kernels : NULL,
        .span = span,
        .asking = own ? span : span + 1,
        .asking_count = own ? 1 : squares.children,
        .first_key = (int32_t)key_block * ATTENTION_KEYS,
        .first_query = (own ? query_block : query_block - squares.own) * ATTENTION_KEYS,
        .kv_head = (int32_t)(index % attention->kv_heads),
        .scratch = cpu_own(backward->cpu, backward->scratch),
        .scratch_size = backward->scratch,
    };
    cpu_bf16_begin(backward->cpu);
    backward->cpu->kernels.attention_backward(&task);
    cpu_bf16_end(backward->cpu);
}

void cpu_attention_backward(struct backend *backend, const struct attention_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    assert(arguments->heads % arguments->kv_heads == 0 && arguments->spans[0].parent_keys == 0);
    struct backward backward = {
        .cpu = cpu,
        .arguments = arguments,
        .scratch = task_scratch(arguments->heads, arguments->kv_heads, arguments->head_size),
    };
    double pairs = 0;
    for (int32_t i = 0; i < arguments->span_count; i++) {
        const struct attention_span *span = &arguments->spans[i];
        pairs += (double)span->queries * ((double)span->keys + span->parent_keys);
    }
    for (int64_t tasks = 1; tasks > 0; backward.round++) {
        tasks = 0;
        for (int32_t i = 0; i < arguments->span_count; i++) {
            const struct squares squares = squares_of(arguments, i);
            tasks += squares_in_round(&squares, backward.round) * arguments->kv_heads;
        }
        cpu_run(cpu, backward_task, &backward, tasks, pairs * arguments->heads * arguments->head_size / 2);
    }
}
