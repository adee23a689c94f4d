/* backend/cpu/attention.c - attention cut into tasks; body_attention.h does the work. */
#include "backend/cpu/internal.h"
#include "base/minmax.h"

/* ---- scratch: what body_attention.h and body_attention_backward.h take ---- */

/* Rows of a block, up to a multiple of what a product in bf16 sums over. */
static size_t task_rows(int32_t most, int32_t group)
{
    return (size_t)divide_up((int64_t)attention_queries(most, group) * group, PAIR_ALIGNMENT) * PAIR_ALIGNMENT;
}

static size_t task_scratch(int32_t heads, int32_t kv_heads, int32_t head_size)
{
    const int32_t group = heads / kv_heads;
    const size_t rows = task_rows(ATTENTION_ROWS, group), back_rows = task_rows(ATTENTION_BACK_ROWS, group);
    const size_t width = (size_t)panel_count(head_size) * PANEL;
    const size_t pieces = 24 * (STRIP_GAP * (1 + width / PANEL)); /* gaps and alignment, for each piece taken */
    const size_t forward = 2 * rows * width + 2 * width * ATTENTION_KEYS + 2 * ATTENTION_TILE_ROWS * ATTENTION_KEYS;
    const size_t backward = 5 * back_rows * width + 5 * width * ATTENTION_KEYS + 3 * back_rows * ATTENTION_KEYS +
                            ATTENTION_TILE_ROWS * ATTENTION_KEYS;
    return (max(forward, backward) + 2 * rows + pieces) * sizeof(float);
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
        .queries = attention_queries(ATTENTION_ROWS, arguments->heads / arguments->kv_heads),
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
 * The queries that see the keys of a span are its own and behind them, where it is a parent, those of its children laid
 * end to end. Keys, own queries and children's queries are each cut into groups of `side` blocks of ATTENTION_KEYS. In
 * round r, key group j of every span meets the query group r places behind its own. So
 *
 *     keys meet their queries in order, those of children as these stand;
 *     a query meets its own keys from the last group to the first, and then its parent's likewise;
 *     no two tasks of a round share a key or a query: side by side, they add to the sums where these are.
 *
 * That a child's query has met its own keys before its parent's: in group g of the child, it meets the last of its own
 * in round g. Among all children it is in group g or a later one, which has all groups of the parent's queries before
 * it, as many as there are groups of keys: their last meets it in round g + 1 at the earliest.
 *
 * Inside a task, blocks meet in that order too. Which sums are taken in which order depends on the spans alone, and
 * `side` may be chosen by what is quick.
 */
#define SIDE_MOST 2 /* large squares load each block of keys less often */
#define PLENTY    4 /* tasks for every thread in the first round, or the squares are made smaller */

struct backward {
    struct cpu *cpu;
    const struct attention_backward_args *arguments;
    size_t scratch;
    int32_t side;
    int64_t round;
};

/* Of one span: the groups of its own queries, as many as of its keys; its children, their queries and groups of these.
 */
struct groups {
    int64_t own, childrens, childrens_queries;
    int32_t children;
};

static int64_t group_size(const struct backward *backward)
{
    return (int64_t)backward->side * ATTENTION_KEYS;
}

static struct groups groups_of(const struct backward *backward, int32_t number)
{
    const struct attention_backward_args *attention = backward->arguments;
    const struct attention_span *span = &attention->spans[number];
    struct groups groups = {.own = divide_up(span->keys, group_size(backward))};
    assert(span->key == span->query && span->keys == span->queries);
    for (int32_t i = number + 1; span->parent_keys == 0 && i < attention->span_count; i++) {
        const struct attention_span *child = &attention->spans[i];
        if (child->parent_keys == 0) {
            break;
        }
        assert(child->parent == span->key && child->parent_keys == span->keys);
        groups.childrens_queries += child->queries;
        groups.children++;
    }
    groups.childrens = divide_up(groups.childrens_queries, group_size(backward));
    return groups;
}

/* How many of the span's key groups meet queries in the round. */
static int64_t squares_in_round(const struct groups *groups, int64_t round)
{
    const int64_t left = groups->own + groups->childrens - round;
    return clamp(left, 0, groups->own);
}

static void backward_task(void *context, int64_t index)
{
    const struct backward *backward = context;
    const struct attention_backward_args *attention = backward->arguments;
    int64_t key_group = index / attention->kv_heads;
    int32_t number = 0;
    struct groups groups = groups_of(backward, number);
    for (int64_t squares; key_group >= (squares = squares_in_round(&groups, backward->round)); key_group -= squares) {
        groups = groups_of(backward, ++number);
    }
    const struct attention_span *span = &attention->spans[number];
    const bool own = key_group + backward->round < groups.own;
    const int64_t query_group = key_group + backward->round - (own ? 0 : groups.own);
    const int64_t queries = own ? span->queries : groups.childrens_queries;
    const int64_t first_key = key_group * group_size(backward), end_key = first_key + group_size(backward);
    const int64_t first_query = query_group * group_size(backward), end_query = first_query + group_size(backward);
    const struct attention_backward_task task = {
        .arguments = attention,
        .bf16 = cpu_multiplies_bf16(backward->cpu) ? &backward->cpu->kernels : NULL,
        .span = span,
        .asking = own ? span : span + 1,
        .asking_count = own ? 1 : groups.children,
        .first_key = (int32_t)first_key,
        .end_key = (int32_t)(end_key < span->keys ? end_key : span->keys),
        .first_query = first_query,
        .end_query = min(end_query, queries),
        .kv_head = (int32_t)(index % attention->kv_heads),
        .scratch = cpu_own(backward->cpu, backward->scratch),
        .scratch_size = backward->scratch,
    };
    cpu_bf16_begin(backward->cpu);
    backward->cpu->kernels.attention_backward(&task);
    cpu_bf16_end(backward->cpu);
}

static int64_t tasks_in_round(const struct backward *backward)
{
    int64_t squares = 0;
    for (int32_t i = 0; i < backward->arguments->span_count; i++) {
        const struct groups groups = groups_of(backward, i);
        squares += squares_in_round(&groups, backward->round);
    }
    return squares * backward->arguments->kv_heads;
}

void cpu_attention_backward(struct backend *backend, const struct attention_backward_args *arguments)
{
    struct cpu *cpu = cpu_of(backend);
    assert(arguments->heads % arguments->kv_heads == 0 && arguments->spans[0].parent_keys == 0);
    struct backward backward = {
        .cpu = cpu,
        .arguments = arguments,
        .scratch = task_scratch(arguments->heads, arguments->kv_heads, arguments->head_size),
        .side = SIDE_MOST,
    };
    while (backward.side > 1 && tasks_in_round(&backward) < (int64_t)PLENTY * pool_threads(cpu->pool)) {
        backward.side /= 2;
    }
    double pairs = 0;
    for (int32_t i = 0; i < arguments->span_count; i++) {
        const struct attention_span *span = &arguments->spans[i];
        pairs += (double)span->queries * ((double)span->keys + span->parent_keys);
    }
    for (int64_t tasks; (tasks = tasks_in_round(&backward)) > 0; backward.round++) {
        cpu_run(cpu, backward_task, &backward, tasks, pairs * arguments->heads * arguments->head_size / 2);
    }
}
