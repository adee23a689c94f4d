/* tests/support/guarded_backend.c - memory, queue and table; see guarded_backend.h. guarded_checks.c holds the checks.
 */
#include "support/guarded_backend.h"
#include "base/mem.h"
#include "support/guarded_checks.h"
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT  64
#define RED        0xa5 /* what the bytes around an allocation hold */
#define QUEUE_MAX  ((size_t)1 << 20)
#define BLOCKS_MAX ((size_t)1 << 16)

/* An operation; or, where `operation` is BACKEND_OPERATION_COUNT, an upload of `bytes`, or a download to `host`. */
struct queued {
    enum backend_operation operation;
    union guarded_arguments arguments;
    void *device, *bytes, *host;
    size_t size;
};

struct guarded {
    struct backend table; /* first: a struct backend * is a struct guarded * */
    struct backend *inner;
    struct guarded_book book;
    struct queued *queue;
    size_t queue_count, queue_capacity;
    int64_t allocations, operations, break_at;
    struct guarded_transfers transfers;
    const char *broken; /* why, or NULL */
};

static struct guarded *guarded(struct backend *backend)
{
    return (struct guarded *)(void *)backend;
}

/* ---- memory ---- */

static void protect(const struct guarded *self, int protection)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < self->book.block_count; i++) {
        const struct guarded_block *block = &self->book.blocks[i];
        if (mprotect(block->region + page, block->region_size - 2 * page, protection) != 0) {
            guarded_breach("mprotect", "block", "of %zu bytes cannot be %s", block->size,
                           protection ? "opened" : "closed");
        }
    }
}

static bool all_red(const char *start, const char *end)
{
    for (; start < end; start++) {
        if (*(const unsigned char *)start != RED) {
            return false;
        }
    }
    return true;
}

static void check_red_zones(const struct guarded *self, const char *operation)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < self->book.block_count; i++) {
        const struct guarded_block *block = &self->book.blocks[i];
        if (!all_red(block->region + page, block->data)) {
            guarded_breach(operation, "block", "of %zu bytes was written to in front of its start", block->size);
        }
        if (!all_red(block->data + block->size, block->region + block->region_size - page)) {
            guarded_breach(operation, "block", "of %zu bytes was written to behind its end", block->size);
        }
    }
}

/* The data end where the guard page begins, but for the alignment. */
static int guarded_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    struct guarded *self = guarded(backend);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), aligned = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t middle = (aligned + page) / page * page;
    assert(size < SIZE_MAX / 2 && self->book.block_count < BLOCKS_MAX);
    struct guarded_block *blocks =
        mem_grow(self->book.blocks, &self->book.block_capacity, self->book.block_count + 1, sizeof *blocks, err);
    if (blocks == NULL) {
        return -1;
    }
    self->book.blocks = blocks;
    struct guarded_block block = {.region_size = middle + 2 * page, .size = size};
    block.region = mmap(NULL, block.region_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block.region == MAP_FAILED) {
        return err_set_errno(err, "cannot map %zu bytes of guarded memory", size);
    }
    block.data = block.region + page + middle - aligned;
    if (mprotect(block.region + page, middle, PROT_READ | PROT_WRITE) != 0) {
        munmap(block.region, block.region_size);
        return err_set_errno(err, "cannot open %zu bytes of guarded memory", size);
    }
    memset(block.region + page, RED, (size_t)(block.data - block.region) - page);
    memset(block.data + size, RED, aligned - size);
    mprotect(block.region + page, middle, PROT_NONE);
    self->book.blocks[self->book.block_count++] = block;
    self->allocations++;
    *out = block.data;
    return 0;
}

static size_t guarded_memory_free(struct backend *backend)
{
    return guarded(backend)->inner->memory_free(guarded(backend)->inner);
}

/* ---- the queue ---- */

static void run_one(struct guarded *self, struct queued *queued)
{
    if (queued->operation == BACKEND_OPERATION_COUNT) {
        memcpy(queued->host ? queued->host : queued->device, queued->host ? queued->device : queued->bytes,
               queued->size);
        return;
    }
    if (self->break_at > 0 && --self->break_at == 0) {
        self->broken = "as it was told to be";
        return;
    }
    guarded_check(&self->book, queued->operation, &queued->arguments, true);
    switch (queued->operation) {
#define X(name, args)                                                                                                  \
    case BACKEND_##name:                                                                                               \
        self->inner->name(self->inner, &queued->arguments.name);                                                       \
        break;
        BACKEND_OPERATIONS(X)
#undef X
    case BACKEND_OPERATION_COUNT:
        break;
    }
    self->operations++;
}

/* Runs what is queued, with the memory open. The memory stays open. */
static int run_queue(struct guarded *self, const char *cause, struct err *err)
{
    protect(self, PROT_READ | PROT_WRITE);
    for (size_t i = 0; i < self->queue_count; i++) {
        if (self->broken == NULL) {
            run_one(self, &self->queue[i]);
        }
        mem_free(self->queue[i].bytes);
    }
    self->queue_count = 0;
    int result = self->inner->synchronize(self->inner, err);
    check_red_zones(self, cause);
    return self->broken != NULL ? err_set(err, "the guarded device is broken: %s", self->broken) : result;
}

/* Room for one more, or NULL where memory ran out: then the device is broken. */
static struct queued *queue_push(struct guarded *self)
{
    struct err err;
    struct queued *queue = NULL;
    if (self->queue_count < QUEUE_MAX) {
        queue = mem_grow(self->queue, &self->queue_capacity, self->queue_count + 1, sizeof *queue, &err);
    }
    if (queue == NULL) {
        self->broken = "its queue found no memory";
        return NULL;
    }
    self->queue = queue;
    queue[self->queue_count] = (struct queued){.operation = BACKEND_OPERATION_COUNT};
    return &queue[self->queue_count++];
}

#define X(name, args)                                                                                                  \
    static void guarded_##name(struct backend *backend, const struct args *arguments)                                  \
    {                                                                                                                  \
        union guarded_arguments copy = {.name = *arguments};                                                           \
        guarded_check(&guarded(backend)->book, BACKEND_##name, &copy, false);                                          \
        struct queued *queued = queue_push(guarded(backend));                                                          \
        if (queued != NULL) {                                                                                          \
            queued->operation = BACKEND_##name;                                                                        \
            queued->arguments = copy;                                                                                  \
        }                                                                                                              \
    }
BACKEND_OPERATIONS(X)
#undef X

static void guarded_upload(struct backend *backend, void *device, const void *host, size_t size)
{
    struct guarded *self = guarded(backend);
    self->transfers.uploads++;
    if (size == 0) {
        return;
    }
    guarded_check_extent(&self->book, "upload", "device", device, size);
    if (guarded_touches(&self->book, host, size)) {
        guarded_breach("upload", "host", "is device memory");
    }
    struct err err;
    void *bytes = mem_alloc(size, 1, &err);
    if (bytes == NULL) {
        self->broken = "an upload found no memory";
        return;
    }
    memcpy(bytes, host, size);
    struct queued *queued = queue_push(self);
    if (queued == NULL) {
        mem_free(bytes);
        return;
    }
    queued->device = device;
    queued->bytes = bytes;
    queued->size = size;
}

static int guarded_synchronize(struct backend *backend, struct err *err)
{
    int result = run_queue(guarded(backend), "synchronize", err);
    guarded(backend)->transfers.waits++;
    protect(guarded(backend), PROT_NONE);
    return result;
}

/* What is read before it has arrived is garbage. */
static void guarded_download_begin(struct backend *backend, void *host, const void *device, size_t size)
{
    struct guarded *self = guarded(backend);
    self->transfers.downloads++;
    if (size == 0) {
        return;
    }
    guarded_check_extent(&self->book, "download_begin", "device", device, size);
    if (guarded_touches(&self->book, host, size)) {
        guarded_breach("download_begin", "host", "is device memory");
    }
    memset(host, RED, size);
    struct queued *queued = queue_push(self);
    if (queued != NULL) {
        queued->device = (void *)(uintptr_t)device;
        queued->host = host;
        queued->size = size;
    }
}

static int guarded_wait(struct backend *backend, struct err *err)
{
    int result = run_queue(guarded(backend), "wait", err);
    guarded(backend)->transfers.waits++;
    protect(guarded(backend), PROT_NONE);
    return result;
}

/* Waits for the queue, as cudaFree does. */
static void guarded_release(struct backend *backend, void *memory)
{
    struct guarded *self = guarded(backend);
    struct err err;
    if (memory == NULL) {
        return;
    }
    (void)guarded_synchronize(backend, &err);
    for (size_t i = 0; i < self->book.weight_count; i++) {
        const struct guarded_block *block = guarded_block_of(&self->book, self->book.weights[i].memory, 1);
        if (block != NULL && block->data == memory) {
            guarded_breach("release", "memory", "is still the memory of a weight");
        }
    }
    for (size_t i = 0; i < self->book.block_count; i++) {
        if (self->book.blocks[i].data == memory) {
            munmap(self->book.blocks[i].region, self->book.blocks[i].region_size);
            self->book.blocks[i] = self->book.blocks[--self->book.block_count];
            return;
        }
    }
    guarded_breach("release", "memory", "was not given by alloc(), or is released twice");
}

/* ---- weights ---- */

static size_t guarded_weight_size(struct backend *backend, const struct weight_shape *shape)
{
    return guarded(backend)->inner->weight_size(guarded(backend)->inner, shape);
}

static int guarded_weight_create(struct backend *backend, struct weight **out, const struct weight_shape *shape,
                                 void *memory, const void *source, struct err *err)
{
    struct guarded *self = guarded(backend);
    size_t size = guarded_weight_size(backend, shape);
    size_t source_size = (size_t)shape->rows * (size_t)shape->columns * dtype_size(shape->dtype);
    guarded_check_extent(&self->book, "weight_create", "memory", memory, size);
    if (source != NULL && guarded_touches(&self->book, source, source_size)) {
        guarded_breach("weight_create", "source", "is device memory");
    }
    struct guarded_weight *weights =
        mem_grow(self->book.weights, &self->book.weight_capacity, self->book.weight_count + 1, sizeof *weights, err);
    if (weights == NULL) {
        return -1;
    }
    self->book.weights = weights;
    int result = run_queue(self, "weight_create", err);
    if (result == 0) {
        result = self->inner->weight_create(self->inner, out, shape, memory, source, err);
    }
    if (result == 0) {
        result = self->inner->synchronize(self->inner, err);
        weights[self->book.weight_count++] = (struct guarded_weight){*out, memory, size};
    }
    check_red_zones(self, "weight_create");
    protect(self, PROT_NONE);
    return result;
}

static void guarded_weight_free(struct backend *backend, struct weight *weight)
{
    struct guarded *self = guarded(backend);
    struct err err;
    if (weight == NULL) {
        return;
    }
    (void)run_queue(self, "weight_free", &err);
    for (size_t i = 0; i < self->book.weight_count; i++) {
        if (self->book.weights[i].weight == weight) {
            self->book.weights[i] = self->book.weights[--self->book.weight_count];
            self->inner->weight_free(self->inner, weight);
            protect(self, PROT_NONE);
            return;
        }
    }
    guarded_breach("weight_free", "weight", "is not a living weight");
}

/* ---- scratch, end ---- */

static size_t guarded_scratch_size(struct backend *backend, const struct backend_limits *limits)
{
    return guarded(backend)->inner->scratch_size(guarded(backend)->inner, limits);
}

static int guarded_reserve(struct backend *backend, const struct backend_limits *limits, struct err *err)
{
    struct guarded *self = guarded(backend);
    if (guarded_synchronize(backend, err) != 0 || self->inner->reserve(self->inner, limits, err) != 0) {
        return -1;
    }
    backend_limits_widen(&self->book.limits, limits);
    self->book.reserved = true;
    self->allocations++;
    return 0;
}

static void guarded_free(struct backend *backend)
{
    struct guarded *self = guarded(backend);
    struct err err;
    (void)guarded_synchronize(backend, &err);
    if (self->book.weight_count > 0) {
        guarded_breach("free", "weights", "are left: %zu", self->book.weight_count);
    }
    if (self->book.block_count > 0) {
        guarded_breach("free", "blocks", "of memory are left: %zu", self->book.block_count);
    }
    self->inner->free(self->inner);
    mem_free(self->book.blocks);
    mem_free(self->book.weights);
    mem_free(self->queue);
    mem_free(self);
}

int guarded_backend_create(struct backend **out, struct backend *inner, struct err *err)
{
    struct guarded *self = mem_alloc(1, sizeof *self, err);
    if (self == NULL) {
        return -1;
    }
    self->inner = inner;
    self->book.compute = inner->compute;
    self->table = (struct backend){.name = inner->name,
                                   .numerics = inner->numerics,
                                   .pool = inner->pool,
                                   .compute = inner->compute,
                                   .traits = inner->traits,
                                   .memory_free = guarded_memory_free,
                                   .alloc = guarded_alloc,
                                   .release = guarded_release,
                                   .upload = guarded_upload,
                                   .download_begin = guarded_download_begin,
                                   .wait = guarded_wait,
                                   .synchronize = guarded_synchronize,
                                   .weight_size = guarded_weight_size,
                                   .weight_create = guarded_weight_create,
                                   .weight_free = guarded_weight_free,
                                   .scratch_size = guarded_scratch_size,
                                   .reserve = guarded_reserve,
                                   .free = guarded_free,
#define X(name, args) .name = guarded_##name,
                                   BACKEND_OPERATIONS(X)
#undef X
    };
    *out = &self->table;
    return 0;
}

void guarded_backend_break_at(struct backend *backend, int64_t n)
{
    guarded(backend)->break_at = n;
}

int64_t guarded_backend_allocations(const struct backend *backend)
{
    return ((const struct guarded *)(const void *)backend)->allocations;
}

int64_t guarded_backend_operations(const struct backend *backend)
{
    return ((const struct guarded *)(const void *)backend)->operations;
}

struct guarded_transfers guarded_backend_transfers(const struct backend *backend)
{
    return ((const struct guarded *)(const void *)backend)->transfers;
}
