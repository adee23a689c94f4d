#include "base/mem.h"
#include "base/minmax.h"

#include <assert.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Fault injection of the tests. Process-wide on purpose: a library's allocations count too. */
static atomic_long allocations;
static atomic_long failing_allocation;
static atomic_long library_failures;
static atomic_long failures;

static _Thread_local struct mem_reserve *reserve;

static bool injected_failure(void)
{
    long number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    return number == atomic_load_explicit(&failing_allocation, memory_order_relaxed);
}

void mem_fail_at(long n)
{
    atomic_store(&allocations, 0);
    atomic_store(&failing_allocation, n);
}

long mem_count(void)
{
    return atomic_load(&allocations);
}

static int out_of_memory(size_t count, size_t size, struct err *err)
{
    atomic_fetch_add(&failures, 1);
    return err_set(
        err, "out of memory: %zu x %zu bytes could not be allocated; close other programs or choose smaller sizes",
        count, size);
}

void *mem_alloc(size_t count, size_t size, struct err *err)
{
    size_t bytes;
    void *memory = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX && !injected_failure()) {
        memory = calloc(bytes > 0 ? bytes : 1, 1);
    }
    if (!memory) {
        out_of_memory(count, size, err);
    }
    return memory;
}

void *mem_alloc_aligned(size_t count, size_t size, size_t alignment, struct err *err)
{
    assert(alignment > 0 && (alignment & (alignment - 1)) == 0);
    size_t bytes;
    void *memory = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX - alignment && !injected_failure()) {
        /* aligned_alloc() wants a multiple of the alignment, and no zero. */
        size_t whole = (bytes / alignment + 1) * alignment;
        memory = aligned_alloc(alignment, whole);
        if (memory) {
            memset(memory, 0, whole);
        }
    }
    if (!memory) {
        out_of_memory(count, size, err);
    }
    return memory;
}

void *mem_grow(void *old, size_t *capacity, size_t need, size_t size, struct err *err)
{
    assert(capacity && size > 0);
    if (old && need <= *capacity) {
        return old;
    }
    /* Doubling keeps the total of copied bytes linear; 16 spares tiny arrays the first few moves. */
    size_t wanted = max(need, 16);
    if (*capacity <= SIZE_MAX / 2 && wanted < *capacity * 2) {
        wanted = *capacity * 2;
    }
    size_t bytes;
    void *memory = NULL;
    if (!__builtin_mul_overflow(wanted, size, &bytes) && bytes <= PTRDIFF_MAX && !injected_failure()) {
        memory = realloc(old, bytes);
    }
    if (!memory) {
        out_of_memory(wanted, size, err);
        return NULL;
    }
    size_t used = old ? *capacity * size : 0;
    memset((char *)memory + used, 0, bytes - used);
    *capacity = wanted;
    return memory;
}

char *mem_copy_string(const char *text, size_t length, struct err *err)
{
    assert(text || length == 0);
    if (length == SIZE_MAX) {
        out_of_memory(length, 1, err);
        return NULL;
    }
    char *copy = mem_alloc(length + 1, 1, err);
    if (copy && length > 0) {
        memcpy(copy, text, length);
    }
    return copy;
}

void mem_free(void *pointer)
{
    free(pointer);
}

void mem_reserve_begin(struct mem_reserve *aside)
{
    assert(!reserve && !aside->taken);
    reserve = aside;
}

void mem_reserve_end(void)
{
    assert(reserve);
    reserve = NULL;
}

static void *take_reserve(size_t size)
{
    if (!reserve || reserve->taken || size > reserve->size) {
        return NULL;
    }
    reserve->taken = true;
    return reserve->memory;
}

static void *library_alloc(size_t size)
{
    void *memory = injected_failure() ? NULL : malloc(size);
    if (!memory) {
        atomic_fetch_add(&library_failures, 1);
        memory = take_reserve(size);
    }
    return memory;
}

static void library_free(void *pointer)
{
    if (!reserve || pointer != reserve->memory) {
        free(pointer);
    }
}

long mem_failures(void)
{
    return atomic_load(&failures) + atomic_load(&library_failures);
}

long mem_library_failures(void)
{
    return atomic_load(&library_failures);
}

void mem_hook_libraries(void)
{
    json_set_alloc_funcs(library_alloc, library_free);
}
