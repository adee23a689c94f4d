/*
 * tests/bench/product.c - how fast the CPU's products are, by shape, against what its multiply-adds could do.
 *
 *     bench-product [isa] [f32|bf16] [threads] [csv]      for example: bench-product avx512 f32 2
 *
 * Shapes are rows x inputs x outputs: layers of SmolLM2-135M on a batch of 2048 tokens and in decoding, LoRA's narrow
 * products, its vocabulary, and a square one. The fastest of the runs of half a second counts, since others may share
 * the machine; with one thread it is that thread's own time. "of peak" compares with f32 multiply-adds that touch
 * registers only, on as many threads. With csv it prints lines for product.csv.
 */
#include "backend/cpu/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_EACH 0.5

static void fail(const struct err *err)
{
    fprintf(stderr, "bench-product: %s\n", err->text);
    exit(1);
}

/* With one thread its own time, which other programs lengthen less. */
static double seconds_now(int threads)
{
    struct timespec now;
    if (threads > 1) {
        return clock_seconds();
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- the peak ---- */

#if defined(__x86_64__)
#include <immintrin.h>

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define CHAINS 16
#define ROUNDS 200000

__attribute__((target("avx512f"))) static float peak_avx512(void)
{
    __m512 sums[CHAINS];
    for (int i = 0; i < CHAINS; i++) {
        sums[i] = _mm512_set1_ps((float)i);
    }
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int round = 0; round < ROUNDS; round++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) {
            sums[i] = _mm512_fmadd_ps(sums[i], x, y);
        }
    }
    float total = 0;
    for (int i = 0; i < CHAINS; i++) {
        total += _mm512_reduce_add_ps(sums[i]);
    }
    return total;
}

__attribute__((target("avx2,fma"))) static float peak_avx2(void)
{
    __m256 sums[12];
    for (int i = 0; i < 12; i++) {
        sums[i] = _mm256_set1_ps((float)i);
    }
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    for (int round = 0; round < ROUNDS; round++) {
        UNROLL
        for (int i = 0; i < 12; i++) {
            sums[i] = _mm256_fmadd_ps(sums[i], x, y);
        }
    }
    float total = 0;
    for (int i = 0; i < 12; i++) {
        total += _mm256_cvtss_f32(sums[i]);
    }
    return total;
}

struct peak {
    float (*run)(void);
    volatile float kept;
};

static void peak_task(void *context, int64_t index)
{
    struct peak *peak = context;
    (void)index;
    peak->kept = peak->run();
}

/* f32 GFLOP/s of `threads` threads; 0 where it is not known how to tell. */
static double peak_rate(enum cpu_isa isa, int threads)
{
    struct err err;
    struct pool *pool;
    struct peak peak = {.run = isa >= CPU_AVX512 ? peak_avx512 : peak_avx2};
    if (isa < CPU_AVX2) {
        return 0;
    }
    const double flops = isa >= CPU_AVX512 ? 2.0 * 16 * CHAINS * ROUNDS : 2.0 * 8 * 12 * ROUNDS;
    if (pool_create(&pool, threads, &err) != 0) {
        fail(&err);
    }
    double fastest = 1e30;
    for (double begin = clock_seconds(); clock_seconds() - begin < SECONDS_EACH;) {
        double start = seconds_now(threads);
        pool_run(pool, peak_task, &peak, threads);
        double seconds = seconds_now(threads) - start;
        fastest = seconds < fastest ? seconds : fastest;
    }
    pool_free(pool);
    return flops * threads / fastest * 1e-9;
}
#else
static double peak_rate(enum cpu_isa isa, int threads)
{
    (void)isa;
    (void)threads;
    return 0;
}
#endif

/* ---- products ---- */

struct shape {
    int32_t rows, inputs, outputs;
    int32_t rank; /* of a low-rank term, or 0 */
};

static const struct shape shapes[] = {
    {2048, 576, 576, 0}, {2048, 576, 576, 16}, {2048, 576, 1536, 0}, {2048, 1536, 576, 0}, {2048, 2048, 2048, 0},
    {1024, 768, 768, 0}, {2048, 576, 16, 0},   {2048, 16, 576, 0},   {256, 576, 49152, 0}, {16, 576, 576, 0},
    {16, 576, 1536, 0},  {16, 1536, 576, 0},   {16, 576, 49152, 0},  {1, 576, 576, 0},     {1, 576, 1536, 0},
    {1, 1536, 576, 0},   {1, 576, 49152, 0},   {2048, 2048, 16, 0},  {2048, 16, 8192, 0},
};

static void *device_memory(struct backend *backend, size_t size)
{
    struct err err;
    void *memory;
    if (backend->alloc(backend, &memory, size, &err) != 0) {
        fail(&err);
    }
    return memory;
}

static float *random_matrix(struct backend *backend, int64_t count)
{
    struct err err;
    float *host = mem_alloc((size_t)count, sizeof *host, &err);
    if (!host) {
        fail(&err);
    }
    for (int64_t i = 0; i < count; i++) {
        host[i] = (float)random_uniform(1, 0, (uint64_t)i, 0) - 0.5f;
    }
    float *device = device_memory(backend, (size_t)count * sizeof *host);
    backend->upload(backend, device, host, (size_t)count * sizeof *host);
    mem_free(host);
    return device;
}

/* A bf16 weight, as models have them. */
static struct weight *random_weight(struct backend *backend, void **memory, int32_t rows, int32_t columns)
{
    struct err err;
    const struct weight_shape shape = {rows, columns, DTYPE_BF16, WEIGHT_FORWARD | WEIGHT_BACKWARD};
    const size_t count = (size_t)rows * (size_t)columns;
    uint16_t *values = mem_alloc(count, sizeof *values, &err);
    struct weight *weight;
    *memory = device_memory(backend, backend->weight_size(backend, &shape));
    if (!values) {
        fail(&err);
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = (uint16_t)(0x3f00 + (i * 2654435761u >> 7) % 128 + i % 2 * 0x8000); /* +-0.5 .. 1 */
    }
    if (backend->weight_create(backend, &weight, &shape, *memory, values, &err) != 0) {
        fail(&err);
    }
    mem_free(values);
    return weight;
}

struct operands {
    const struct shape *shape;
    int threads;
    float *x, *y, *u, *dw;
    struct weight *w, *b, *a;
};

static void forward(struct backend *backend, const struct operands *o)
{
    const struct linear_layer layer = {.w = o->w, .a = o->a, .b = o->b, .u = o->u, .y = o->y, .scale = 1};
    backend->linear(backend,
                    &(struct linear_args){.x = o->x, .layers = {layer}, .layer_count = 1, .rows = o->shape->rows});
}

static void backward(struct backend *backend, const struct operands *o)
{
    const struct linear_gradient layer = {.dy = o->y, .w = o->w, .b = o->b, .a = o->a, .du = o->u, .scale = 1};
    backend->linear_backward(backend, &(struct linear_backward_args){
                                          .layers = {layer}, .dx = o->x, .layer_count = 1, .rows = o->shape->rows});
}

static void weight_backward(struct backend *backend, const struct operands *o)
{
    backend->linear_weight_backward(backend, &(struct linear_weight_backward_args){.dy = o->y,
                                                                                   .x = o->x,
                                                                                   .dw = o->dw,
                                                                                   .rows = o->shape->rows,
                                                                                   .outputs = o->shape->outputs,
                                                                                   .inputs = o->shape->inputs,
                                                                                   .scale = 1});
}

static double fastest(struct backend *backend, void (*run)(struct backend *, const struct operands *),
                      const struct operands *operands)
{
    double best = 1e30;
    run(backend, operands);
    for (double begin = clock_seconds(); clock_seconds() - begin < SECONDS_EACH;) {
        double start = seconds_now(operands->threads);
        run(backend, operands);
        double seconds = seconds_now(operands->threads) - start;
        best = seconds < best ? seconds : best;
    }
    return best;
}

struct print {
    bool csv;
    char prefix[96]; /* of each line */
};

static void bench(struct backend *backend, int threads, const struct shape *shape, double peak,
                  const struct print *print)
{
    const int64_t rows = shape->rows, inputs = shape->inputs, outputs = shape->outputs, rank = shape->rank;
    void *w_memory, *b_memory = NULL, *a_memory = NULL;
    struct operands operands = {
        .shape = shape,
        .threads = threads,
        .x = random_matrix(backend, rows * inputs),
        .y = random_matrix(backend, rows * outputs),
        .dw = device_memory(backend, (size_t)(inputs * outputs) * sizeof(float)),
        .w = random_weight(backend, &w_memory, shape->outputs, shape->inputs),
    };
    if (rank > 0) {
        operands.u = random_matrix(backend, rows * rank);
        operands.b = random_weight(backend, &b_memory, shape->outputs, shape->rank);
        operands.a = random_weight(backend, &a_memory, shape->rank, shape->inputs);
    }
    const double flops = 2.0 * (double)rows * (double)(inputs * outputs);
    double rates[3], seconds = fastest(backend, forward, &operands);
    const double low_rank = 2.0 * (double)rows * (double)(rank * (inputs + outputs));
    rates[0] = (flops + low_rank) / seconds * 1e-9;
    rates[1] = flops / fastest(backend, backward, &operands) * 1e-9;
    rates[2] = flops / fastest(backend, weight_backward, &operands) * 1e-9;
    const double share = peak > 0 ? rates[0] / peak * 100 : 0, bytes = 2.0 * (double)(inputs * outputs);
    printf(print->csv ? "%s,%d,%d,%d,%d,%.1f,%.1f,%.1f,%.1f,%.0f,%.1f\n"
                      : "%s%5d x %5d x %5d %4d %10.1f us %8.1f %8.1f %8.1f %6.0f %% %7.1f GB/s\n",
           print->prefix, shape->rows, shape->inputs, shape->outputs, shape->rank, seconds * 1e6, rates[0], rates[1],
           rates[2], share, bytes / seconds * 1e-9);
    fflush(stdout);
    backend->release(backend, operands.x);
    backend->release(backend, operands.y);
    backend->release(backend, operands.dw);
    backend->weight_free(backend, operands.w);
    backend->release(backend, w_memory);
    if (rank > 0) {
        backend->release(backend, operands.u);
        backend->weight_free(backend, operands.b);
        backend->weight_free(backend, operands.a);
        backend->release(backend, b_memory);
        backend->release(backend, a_memory);
    }
}

static enum cpu_isa isa_by_name(const char *name)
{
    for (int isa = CPU_PLAIN; isa <= CPU_AMX; isa++) {
        if (strcmp(name, cpu_isa_name((enum cpu_isa)isa)) == 0) {
            return (enum cpu_isa)isa;
        }
    }
    return cpu_detect();
}

int main(int count, char **arguments)
{
    struct err err;
    struct backend *backend;
    const struct cpu_options options = {
        .isa = count > 1 ? isa_by_name(arguments[1]) : cpu_detect(),
        .compute = count > 2 && strcmp(arguments[2], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32,
        .threads = count > 3 ? atoi(arguments[3]) : threads_available(),
    };
    const struct backend_limits limits = {.rows = 2048, .columns = 49152};
    if (cpu_backend_create(&backend, &options, &err) != 0 || backend->reserve(backend, &limits, &err) != 0) {
        fail(&err);
    }
    const double peak = peak_rate(options.isa, options.threads);
    struct print print = {.csv = count > 4 && strcmp(arguments[4], "csv") == 0};
    if (print.csv) {
        snprintf(print.prefix, sizeof print.prefix, "%s,%s,%d,%.0f", cpu_isa_name(options.isa),
                 dtype_name(options.compute), options.threads, peak);
        printf("isa,compute,threads,f32 peak GFLOP/s,rows,inputs,outputs,rank,forward us,forward GFLOP/s,backward "
               "GFLOP/s,weights GFLOP/s,forward %% of peak,weight GB/s\n");
    } else {
        printf("%s, f32 peak %.1f GFLOP/s\n", backend->name, peak);
        printf(" rows x input x outpt rank       forward  GFLOP/s backward  weights of peak  weights read\n");
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bench(backend, options.threads, &shapes[i], peak, &print);
    }
    backend->free(backend);
    return 0;
}
