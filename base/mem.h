/*
 * base/mem.h - the one door for heap memory.
 *
 * Everything returned is zeroed and is freed with mem_free(). NULL means failure, with *err set. Sizes are multiplied
 * with an overflow check. Tests make the n-th allocation fail through mem_fail_at(). Libraries that take allocator
 * hooks (jansson) are pointed here by mem_hook_libraries(), called once at the start of main().
 */
#ifndef ATTUNE_BASE_MEM_H
#define ATTUNE_BASE_MEM_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t count, size_t size, struct err *err);
/* The same, at an address that is a multiple of `alignment` (a power of two). */
void *mem_alloc_aligned(size_t count, size_t size, size_t alignment, struct err *err);

/*
 * Makes room for at least `need` elements of `size` bytes in the array `old` (NULL at first) whose capacity is
 * *capacity: returns the array, perhaps moved, and sets *capacity; new bytes are zero. On failure returns NULL and
 * leaves `old` valid.
 */
void *mem_grow(void *old, size_t *capacity, size_t need, size_t size, struct err *err);

/* A zero-terminated copy of `length` bytes. */
char *mem_copy_string(const char *text, size_t length, struct err *err);

void mem_free(void *pointer);

void mem_hook_libraries(void);
/* How many allocations of any kind have failed so far: tells a failed allocation from another failure where both look
 * alike.
 */
long mem_failures(void);
/* How many allocations of those libraries have failed so far: jansson takes some for errors of syntax. */
long mem_library_failures(void);

/*
 * Memory set aside for a library that cannot handle a failed allocation: while it is there, the first allocation of the
 * calling thread's libraries that fails (and is counted as failed) is served from it if it fits. Ends before `memory`
 * is freed.
 */
struct mem_reserve {
    void *memory;
    size_t size;
    bool taken;
};
void mem_reserve_begin(struct mem_reserve *reserve);
void mem_reserve_end(void);

/* For tests: the n-th allocation from now (1 is the next) and only it fails; 0 turns that off. */
void mem_fail_at(long n);
/* For tests: allocations made since mem_fail_at(). */
long mem_count(void);

#endif
