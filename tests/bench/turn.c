/*
 * tests/bench/turn.c - what it would cost to keep a weight in one form only, and to turn its forward panels into the
 * backward ones whenever the backward pass wants them.
 *
 *     bench-turn [isa]      for example: bench-turn avx2
 *
 * One thread's own time, in f32; the fastest run of a second counts. Beside it the product of some rows with the
 * weight, dx = dy W, which the turning would come on top of.
 */
#include "backend/cpu/internal.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_EACH 1.0
#define ROWS_MOST    768

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void *need(size_t bytes)
{
    struct err err;
    void *memory = mem_alloc_aligned(bytes, 1, 64, &err);
    if (!memory) {
        fprintf(stderr, "bench-turn: %s\n", err.text);
        exit(1);
    }
    return memory;
}

struct bench {
    struct backend *backend;
    struct weight *weight;
    float *turned, *dy, *dx;
    int32_t rows;
};

/* A block of PANEL columns of the forward panel is a matrix, whose transpose is a piece of a backward panel. */
static void turn(const struct bench *bench)
{
    const struct panels *forward = &bench->weight->forward, *backward = &bench->weight->backward;
    const struct cpu_kernels *kernels = &cpu_of(bench->backend)->kernels;
    for (int32_t k = 0; k < forward->inner; k += PANEL) {
        float *to = bench->turned + (size_t)(k / PANEL) * panels_stride(backward) / sizeof *to;
        for (int32_t n = 0; n < forward->outputs; n += PANEL) {
            const unsigned char *panel =
                (const unsigned char *)forward->data + (size_t)(n / PANEL) * panels_stride(forward);
            kernels->panel_of_rows(to + (size_t)n * PANEL, (const float *)(const void *)panel + (size_t)k * PANEL,
                                   PANEL, PANEL, PANEL);
        }
    }
}

static void multiply(const struct bench *bench)
{
    bench->backend->linear_backward(
        bench->backend,
        &(struct linear_backward_args){
            .layers = {{.dy = bench->dy, .w = bench->weight}}, .dx = bench->dx, .layer_count = 1, .rows = bench->rows});
}

static double fastest(void (*run)(const struct bench *bench), const struct bench *bench)
{
    double least = 1e30;
    for (double begin = seconds_now(); seconds_now() - begin < SECONDS_EACH;) {
        double start = seconds_now();
        run(bench);
        double seconds = seconds_now() - start;
        least = seconds < least ? seconds : least;
    }
    return least;
}

/* Sizes are multiples of PANEL. */
static void measure(struct backend *backend, int32_t outputs, int32_t inputs)
{
    static const int32_t rows[] = {ROWS_MOST, 192, 64};
    struct err err;
    const struct weight_shape shape = {outputs, inputs, DTYPE_F32, WEIGHT_FORWARD | WEIGHT_BACKWARD};
    const size_t count = (size_t)outputs * (size_t)inputs;
    float *source = need(count * sizeof *source);
    void *memory = need(backend->weight_size(backend, &shape));
    struct bench bench = {.backend = backend,
                          .turned = need(count * sizeof(float)),
                          .dy = need(ROWS_MOST * (size_t)outputs * sizeof(float)),
                          .dx = need(ROWS_MOST * (size_t)inputs * sizeof(float))};
    for (size_t i = 0; i < count; i++) {
        source[i] = 1e-3f * (float)(i % 1009);
    }
    for (size_t i = 0; i < ROWS_MOST * (size_t)outputs; i++) {
        bench.dy[i] = 1e-3f * (float)(i % 97);
    }
    if (backend->weight_create(backend, &bench.weight, &shape, memory, source, &err) != 0) {
        fprintf(stderr, "bench-turn: %s\n", err.text);
        exit(1);
    }
    turn(&bench);
    if (memcmp(bench.turned, bench.weight->backward.data, count * sizeof(float)) != 0) {
        fprintf(stderr, "bench-turn: what was turned are not the backward panels\n");
        exit(1);
    }
    const double turning = fastest(turn, &bench);
    printf("[%d, %d]  %.2f ns a value\n", outputs, inputs, 1e9 * turning / (double)count);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench.rows = rows[i];
        const double product = fastest(multiply, &bench);
        printf("    %3d rows: %.1f GFLOP/s, turning takes %.1f %% of that time\n", rows[i],
               2e-9 * rows[i] * (double)count / product, 100 * turning / product);
    }
    backend->weight_free(backend, bench.weight);
    mem_free(source);
    mem_free(memory);
    mem_free(bench.turned);
    mem_free(bench.dy);
    mem_free(bench.dx);
}

int main(int argc, char **argv)
{
    struct err err;
    struct backend *backend;
    struct cpu_options options = {.isa = CPU_AUTO, .compute = DTYPE_F32, .threads = 1};
    for (int isa = CPU_PLAIN; argc > 1 && isa <= CPU_AMX; isa++) {
        if (strcmp(argv[1], cpu_isa_name((enum cpu_isa)isa)) == 0) {
            options.isa = (enum cpu_isa)isa;
        }
    }
    const struct backend_limits limits = {
        .rows = ROWS_MOST, .columns = 49152, .spans = 1, .heads = 1, .kv_heads = 1, .head_size = 64};
    if (cpu_backend_create(&backend, &options, &err) != 0 || backend->reserve(backend, &limits, &err) != 0) {
        fprintf(stderr, "bench-turn: %s\n", err.text);
        return 1;
    }
    printf("%s\n", backend->name);
    measure(backend, 1536, 576);
    measure(backend, 576, 1536);
    measure(backend, 49152, 576);
    backend->free(backend);
    return 0;
}
