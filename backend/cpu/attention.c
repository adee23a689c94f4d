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

/* ---- backward: a task is a key head and a family of spans ---- */

struct backward {
    struct cpu *cpu;
    const struct attention_backward_args *arguments;
    size_t scratch;
};

/* Spans of the family that begins at `first`. */
static int32_t family_size(const struct attention_backward_args *attention, int32_t first)
{
    const struct attention_span *parent = &attention->spans[first];
    assert(parent->parent_keys == 0);
    int32_t size = 1;
    while (first + size < attention->span_count && parent[size].parent_keys > 0) {
        assert(parent[size].parent == parent->key && parent[size].parent_keys == parent->keys);
        size++;
    }
    return size;
}

static void backward_task(void *context, int64_t index)
{
    const struct backward *backward = context;
    const struct attention_backward_args *attention = backward->arguments;
    int32_t first = 0;
    for (int64_t family = index / attention->kv_heads; family > 0; family--) {
        first += family_size(attention, first);
    }
    const struct attention_backward_task task = {
        .arguments = attention,
        .bf16 = cpu_multiplies_bf16(backward->cpu) ? &backward->cpu->kernels : NULL,
        .spans = attention->spans + first,
        .span_count = family_size(attention, first),
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
    assert(arguments->heads % arguments->kv_heads == 0);
    struct backward backward = {
        .cpu = cpu,
        .arguments = arguments,
        .scratch = task_scratch(arguments->heads, arguments->kv_heads, arguments->head_size),
    };
    int64_t families = 0;
    double pairs = 0;
    for (int32_t first = 0; first < arguments->span_count; families++) {
        const int32_t size = family_size(arguments, first);
        for (int32_t i = first; i < first + size; i++) {
            const struct attention_span *span = &arguments->spans[i];
            assert(span->key == span->query && span->keys == span->queries);
            pairs += (double)span->queries * ((double)span->keys + span->parent_keys);
        }
        first += size;
    }
    cpu_run(cpu, backward_task, &backward, families * arguments->kv_heads,
            pairs * arguments->heads * arguments->head_size / 2);
}
