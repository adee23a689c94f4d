/* backend/cpu/cpu.c - the backend itself: which instruction set, memory, scratch, threads, and the table. */
#include "backend/cpu/internal.h"
#include "base/cgroup.h"
#include "base/mem.h"
#include "base/minmax.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20)
/* A product over so many rows is as fast as a longer one, and what a pass keeps for its gradients is a run's memory. */
#define PASS_TOKENS 768
#define SMALL_WORK  100000.0 /* operations that are over before a second thread has woken */

/* ---- memory ---- */

/* The pointer that mem_free() wants stands in front of the aligned memory. Pages are touched by whoever writes them. */
static void *aligned_alloc_zeroed(size_t size, struct err *err)
{
    assert(size <= SIZE_MAX - 2 * HUGE_PAGE);
    const size_t alignment = size >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    unsigned char *block = mem_alloc(1, size + alignment + ALIGNMENT, err);
    if (!block) {
        return NULL;
    }
    const uintptr_t after = (uintptr_t)block + ALIGNMENT;
    unsigned char *memory = block + ALIGNMENT + (alignment - after % alignment) % alignment;
    memcpy(memory - sizeof block, &block, sizeof block);
    if (alignment == HUGE_PAGE) {
        /* Advice only: with small pages everything works, slower. */
        (void)madvise(memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    return memory;
}

static void aligned_free(void *memory)
{
    if (memory) {
        void *block;
        memcpy(&block, (unsigned char *)memory - sizeof block, sizeof block);
        mem_free(block);
    }
}

/* MemAvailable of /proc/meminfo, in bytes. */
static size_t system_available(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[256];
    unsigned long long kib = 0;
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    }
    if (file) {
        fclose(file);
    }
    return found ? (size_t)kib << 10 : SIZE_MAX;
}

/* The least of free memory and the cgroup's limit less its use. */
static size_t cpu_memory_free(struct backend *backend)
{
    (void)backend;
    struct cgroup group = cgroup_here();
    size_t available = system_available();
    int64_t left = cgroup_memory_left(&group);
    return left >= 0 ? min((size_t)left, available) : available;
}

static int cpu_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    (void)backend;
    void *memory = aligned_alloc_zeroed(size, err);
    if (!memory) {
        return -1;
    }
    *out = memory;
    return 0;
}

static void cpu_release(struct backend *backend, void *memory)
{
    (void)backend;
    aligned_free(memory);
}

static void cpu_upload(struct backend *backend, void *device, const void *host, size_t size)
{
    (void)backend;
    if (size > 0) {
        memcpy(device, host, size);
    }
}

static void cpu_download_begin(struct backend *backend, void *host, const void *device, size_t size)
{
    (void)backend;
    if (size > 0) {
        memcpy(host, device, size);
    }
}

/* Operations are done when their call returns. */
static int cpu_synchronize(struct backend *backend, struct err *err)
{
    (void)backend;
    (void)err;
    return 0;
}

/* ---- scratch ---- */

static struct scratch_need scratch_need(const struct backend_limits *limits)
{
    struct scratch_need need = {0};
    product_scratch(&need, limits);
    weight_product_scratch(&need, limits);
    attention_scratch(&need, limits);
    vocabulary_scratch(&need, limits);
    need.shared = scratch_align(need.shared);
    need.thread = scratch_align(need.thread);
    return need;
}

static size_t cpu_scratch_size(struct backend *backend, const struct backend_limits *limits)
{
    struct scratch_need need = scratch_need(limits);
    return need.shared + need.thread * (size_t)pool_threads(cpu_of(backend)->pool);
}

static int cpu_reserve(struct backend *backend, const struct backend_limits *limits, struct err *err)
{
    struct cpu *cpu = cpu_of(backend);
    struct backend_limits all = cpu->limits;
    backend_limits_widen(&all, limits);
    void *scratch = aligned_alloc_zeroed(cpu_scratch_size(backend, &all), err);
    if (!scratch) {
        return -1;
    }
    struct scratch_need need = scratch_need(&all);
    cpu->limits = all;
    aligned_free(cpu->scratch);
    cpu->scratch = scratch;
    cpu->shared_size = need.shared;
    cpu->thread_size = need.thread;
    return 0;
}

void scratch_want(size_t *most, size_t size)
{
    *most = size > *most ? size : *most;
}

void *cpu_shared(struct cpu *cpu, size_t size)
{
    assert(size <= cpu->shared_size);
    (void)size;
    return cpu->scratch;
}

void *cpu_own(struct cpu *cpu, size_t size)
{
    assert(size <= cpu->thread_size);
    (void)size;
    return cpu->scratch + cpu->shared_size + cpu->thread_size * (size_t)pool_thread_index();
}

/* ---- threads ---- */

void cpu_run(struct cpu *cpu, void (*task)(void *context, int64_t index), void *context, int64_t count, double work)
{
    if (work >= SMALL_WORK) {
        pool_run(cpu->pool, task, context, count);
        return;
    }
    for (int64_t index = 0; index < count; index++) {
        task(context, index);
    }
}

struct range_split {
    range_kernel *kernel;
    const void *arguments;
    int64_t count, size;
};

static void split_task(void *context, int64_t index)
{
    const struct range_split *split = context;
    int64_t first = index * split->size, end = first + split->size;
    split->kernel(split->arguments, first, min(end, split->count));
}

void cpu_split(struct cpu *cpu, range_kernel *kernel, const void *arguments, int64_t count, int64_t grain, double work)
{
    /* Four pieces a thread even out what else the machine does. */
    int64_t pieces = (int64_t)pool_threads(cpu->pool) * 4;
    int64_t size = divide_up(divide_up(count, pieces), grain) * grain;
    struct range_split split = {.kernel = kernel, .arguments = arguments, .count = count, .size = size};
    if (count > 0) {
        cpu_run(cpu, split_task, &split, divide_up(count, size), work * (double)count);
    }
}

/* ---- making and freeing ---- */

static void cpu_free(struct backend *backend)
{
    struct cpu *cpu = cpu_of(backend);
    pool_free(cpu->pool);
    aligned_free(cpu->scratch);
    mem_free(cpu);
}

static const struct backend table = {.memory_free = cpu_memory_free,
                                     .alloc = cpu_alloc,
                                     .release = cpu_release,
                                     .upload = cpu_upload,
                                     .download_begin = cpu_download_begin,
                                     .wait = cpu_synchronize,
                                     .synchronize = cpu_synchronize,
                                     .weight_size = cpu_weight_size,
                                     .weight_create = cpu_weight_create,
                                     .weight_free = cpu_weight_free,
                                     .scratch_size = cpu_scratch_size,
                                     .reserve = cpu_reserve,
                                     .free = cpu_free,
#define X(name, args) .name = cpu_##name,
                                     BACKEND_OPERATIONS(X)
#undef X
};

int cpu_backend_create(struct backend **out, const struct cpu_options *options, struct err *err)
{
    assert(options->compute == DTYPE_F32 || options->compute == DTYPE_BF16);
    const enum cpu_isa widest = cpu_detect();
    if (options->isa > widest) {
        return err_set(err, "this CPU has no %s; choose %s, the widest it has, or auto", cpu_isa_name(options->isa),
                       cpu_isa_name(widest));
    }
    struct cpu *cpu = mem_alloc(1, sizeof *cpu, err);
    if (!cpu) {
        return -1;
    }
    cpu->backend = table;
    cpu->isa = options->isa == CPU_AUTO ? widest : options->isa;
    cpu->kernels = cpu_kernels_of(cpu->isa);
    if (pool_create(&cpu->pool, options->threads, err) != 0) {
        mem_free(cpu);
        return -1;
    }
    const int threads = pool_threads(cpu->pool);
    snprintf(cpu->name, sizeof cpu->name, "cpu (%s, %s, %d thread%s)", cpu_isa_name(cpu->isa),
             dtype_name(options->compute), threads, threads == 1 ? "" : "s");
    cpu->backend.name = cpu->name;
    /* In f32 a CPU with AMX computes as one with AVX-512 does. */
    const enum cpu_isa deciding = options->compute == DTYPE_F32 && cpu->isa == CPU_AMX ? CPU_AVX512 : cpu->isa;
    snprintf(cpu->numerics, sizeof cpu->numerics, "cpu %s %s", cpu_isa_name(deciding), dtype_name(options->compute));
    cpu->backend.numerics = cpu->numerics;
    cpu->backend.compute = options->compute;
    cpu->backend.traits = (struct backend_traits){PASS_TOKENS, true, options->compute};
    cpu->backend.pool = cpu->pool;
    *out = &cpu->backend;
    return 0;
}
