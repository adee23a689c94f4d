/* Blocks that double in size, filled from the front. */
#include "text/jinja/arena.h"
#include "base/mem.h"
#include "text/jinja/jinja.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BLOCK ((size_t)16 << 10)
#define LARGE_BLOCK ((size_t)4 << 20) /* doubling stops here */

struct jinja_block {
    struct jinja_block *next;
    size_t size, filled; /* of `bytes` */
    max_align_t bytes[];
};

static size_t rounded(size_t size)
{
    return (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
}

static void add_block(struct jinja_arena *arena, size_t need)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
    if (size > LARGE_BLOCK) {
        size = LARGE_BLOCK;
    }
    if (size < need) {
        size = need;
    }
    if (size > arena->limit - arena->used) {
        size = need;
    }
    if (size > arena->limit - arena->used) {
        jinja_fail(arena, "the template needs more than %zu MiB of memory", arena->limit >> 20);
    }
    struct jinja_block *block = mem_alloc(1, sizeof *block + size, arena->err);
    if (!block) {
        longjmp(arena->escape, 1);
    }
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used += size;
}

void *jinja_new(struct jinja_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > arena->limit) {
        jinja_fail(arena, "the template needs more than %zu MiB of memory", arena->limit >> 20);
    }
    bytes = rounded(bytes ? bytes : 1);
    if (!arena->blocks || arena->blocks->size - arena->blocks->filled < bytes) {
        add_block(arena, bytes);
    }
    struct jinja_block *block = arena->blocks;
    void *memory = (char *)block->bytes + block->filled;
    block->filled += bytes;
    return memory;
}

void *jinja_enlarge(struct jinja_arena *arena, void *old, size_t capacity, size_t larger, size_t size)
{
    assert(capacity <= larger);
    if (old && larger <= arena->limit / size) {
        struct jinja_block *block = arena->blocks;
        size_t had = rounded(capacity * size), want = rounded(larger * size);
        const char *end = (char *)block->bytes + block->filled;
        if ((const char *)old + had == end && want - had <= block->size - block->filled) {
            block->filled += want - had;
            return old;
        }
    }
    void *memory = jinja_new(arena, larger, size);
    if (old) {
        memcpy(memory, old, capacity * size);
    }
    return memory;
}

void jinja_charge(struct jinja_arena *arena, size_t steps)
{
    if (steps > (uint64_t)arena->steps) {
        jinja_fail(arena, "the template takes more than %lld steps", (long long)JINJA_STEPS_MAX);
    }
    arena->steps -= (int64_t)steps;
}

void jinja_charge_bytes(struct jinja_arena *arena, size_t bytes)
{
    jinja_charge(arena, bytes / 64 + 1);
}

void jinja_enter(struct jinja_arena *arena)
{
    if (++arena->depth > JINJA_DEPTH_MAX) {
        jinja_fail(arena, "expressions, blocks, calls or values are nested more than %d deep", JINJA_DEPTH_MAX);
    }
}

void jinja_leave(struct jinja_arena *arena)
{
    arena->depth--;
}

void jinja_fail(struct jinja_arena *arena, const char *format, ...)
{
    char sentence[ERR_TEXT_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (arena->line > 0) {
        err_set(arena->err, "%s, line %d: %s", arena->name, arena->line, sentence);
    } else {
        err_set(arena->err, "%s: %s", arena->name, sentence);
    }
    longjmp(arena->escape, 1);
}

void jinja_arena_free(struct jinja_arena *arena)
{
    while (arena->blocks) {
        struct jinja_block *next = arena->blocks->next;
        mem_free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}
