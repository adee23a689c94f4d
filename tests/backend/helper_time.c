/* tests/backend/helper_time.c - see helper_time.h. */
#include "helper_time.h"
#include "base/log.h"
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include <stdio.h>

/* Each case runs at least so long and so often; the fastest run counts, since others share the machine. */
#define SECONDS_LEAST 0.3
#define RUNS_LEAST    3

static double fastest_run(struct backend *backend, const struct op_case *c)
{
    struct op_device device;
    struct err err;
    double fastest = 1e30, begin = clock_seconds();
    op_prepare(&device, backend, c, 0);
    op_call(&device);
    assert_int_equal(backend->synchronize(backend, &err), 0);
    for (int run = 0; run < RUNS_LEAST || clock_seconds() - begin < SECONDS_LEAST; run++) {
        double start = clock_seconds();
        op_call(&device);
        assert_int_equal(backend->synchronize(backend, &err), 0);
        double seconds = clock_seconds() - start;
        fastest = seconds < fastest ? seconds : fastest;
    }
    op_drop(&device);
    return fastest;
}

static void time_case(struct op_case *c, void *context)
{
    const struct backends *backends = context;
    printf("%s\n", c->name);
    for (int i = 0; i < backends->count; i++) {
        if (!op_fits(c, backends->list[i])) {
            continue;
        }
        double seconds = fastest_run(backends->list[i], c);
        double rate = (c->flops > 0 ? c->flops : c->bytes) / seconds * 1e-9;
        printf("    %-36s %10.3f ms  %8.1f %s\n", backends->list[i]->name, seconds * 1e3, rate,
               c->flops > 0 ? "GFLOP/s" : "GB/s");
        fflush(stdout);
    }
}

static void time_products(case_visit visit, void *context)
{
    const struct linear_spec specs[] = {
        {.rows = 2048, .inputs = 576, .outputs = 576, .dtype = DTYPE_BF16},
        {.rows = 2048, .inputs = 576, .outputs = 576, .dtype = DTYPE_BF16, .rank = 16},
        {.rows = 2048, .inputs = 576, .outputs = 1536, .dtype = DTYPE_BF16},
        {.rows = 2048, .inputs = 1536, .outputs = 576, .dtype = DTYPE_BF16},
        {.rows = 2048, .inputs = 576, .outputs = 576, .more_outputs = {192, 192}, .dtype = DTYPE_BF16, .rank = 16},
        {.rows = 2048,
         .inputs = 576,
         .outputs = 576,
         .more_outputs = {192, 192},
         .dtype = DTYPE_BF16,
         .rank = 16,
         .x_dtype = DTYPE_BF16,
         .dy_dtype = DTYPE_BF16},
        {.rows = 2048, .inputs = 576, .outputs = 16},
        {.rows = 1024, .inputs = 768, .outputs = 768},
        {.rows = 16, .inputs = 576, .outputs = 1536, .dtype = DTYPE_BF16},
        {.rows = 1, .inputs = 576, .outputs = 576, .dtype = DTYPE_BF16},
        {.rows = 1, .inputs = 576, .outputs = 1536, .dtype = DTYPE_BF16},
    };
    CASES(linear, specs);
    CASES(linear_backward, specs);
    const struct linear_spec weights[] = {
        {.rows = 2048, .inputs = 576, .outputs = 576},
        {.rows = 2048, .inputs = 576, .outputs = 1536},
        {.rows = 2048, .inputs = 1536, .outputs = 576},
        {.rows = 2048, .inputs = 576, .outputs = 16},
        {.rows = 2048, .inputs = 16, .outputs = 1536},
        {.rows = 2048, .inputs = 576, .outputs = 1536, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16}};
    CASES(linear_weight_backward, weights);
    const struct vocabulary_spec vocabulary[] = {
        {.rows = 256, .columns = 576, .vocabulary = 49152, .dtype = DTYPE_BF16}};
    CASES(vocabulary, vocabulary);
    CASES(vocabulary_both, vocabulary);
}

static void time_attention(case_visit visit, void *context)
{
    const struct rope_spec rope[] = {{.rows = 2048, .heads = 9, .head_size = 64, .rotary = 64}};
    const struct rotation_spec rotation[] = {{.rows = 2048, .rotary = 64}};
    CASES(rotation, rotation);
    CASES(rope, rope);
    const struct attention_spec specs[] = {
        {.heads = 9, .kv_heads = 3, .head_size = 64, .spans = SPANS_ONE(512)},
        {.heads = 9, .kv_heads = 3, .head_size = 64, .spans = SPANS_ONE(2048)},
        {.heads = 9, .kv_heads = 3, .head_size = 64, .spans = SPANS_DECODE},
    };
    CASES(attention, specs);
    /* The naive forward pass that a backward case begins with takes seconds for the long one. */
    const struct attention_spec backward[] = {
        {.heads = 9,
         .kv_heads = 3,
         .head_size = 64,
         .spans = {{0, 512, 0, 512, 0, 0},
                   {512, 512, 512, 512, 0, 0},
                   {1024, 512, 1024, 512, 0, 0},
                   {1536, 512, 1536, 512, 0, 0}}},
        {.heads = 9, .kv_heads = 3, .head_size = 64, .spans = SPANS_ONE(2048)},
    };
    CASES(attention_backward, backward);
}

static void time_elements(case_visit visit, void *context)
{
    const struct norm_spec norm[] = {
        {.rows = 2048, .columns = 576, .residual = true, .rstd = true, .dweight = true, .place = NORM_SUM}};
    const struct norm_spec norm_bf16[] = {{.rows = 2048, .columns = 576, .rstd = true, .y_dtype = DTYPE_BF16}};
    CASES(norm, norm);
    CASES(norm, norm_bf16);
    CASES(norm_backward, norm);
    const struct score_spec score[] = {{.rows = 2048, .columns = 576, .dw = true}};
    CASES(score, score);
    CASES(score_backward, score);
    const struct gated_spec gated[] = {{.count = (int64_t)2048 * 1536},
                                       {.count = (int64_t)2048 * 1536, .out = true, .out_dtype = DTYPE_BF16}};
    CASES(gated, gated);
    CASES(gated_backward, gated);
    const struct arena_spec arena[] = {ARENA_OF_ONE((int64_t)1 << 22)};
    const struct adamw_spec adamw[] = {{arena[0], 7, 0, 1, 1}};
    CASES(adamw, adamw);
    CASES(sum_squares, arena);
}

int time_operations(void)
{
    struct backends backends;
    backends_open(&backends, 0, false);
    time_products(time_case, &backends);
    time_attention(time_case, &backends);
    time_elements(time_case, &backends);
    backends_close(&backends);
    return 0;
}
