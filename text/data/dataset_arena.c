#include "text/data/dataset_arena.h"

#include "base/mem.h"
#include "base/minmax.h"
#include <stdint.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)1 << 20)

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    int64_t bytes[]; /* `size` bytes */
};

struct dataset_arena {
    struct arena_block *blocks; /* the one in use first */
    size_t bytes;
    int users;
};

int arena_create(struct dataset_arena **out, struct err *err)
{
    struct dataset_arena *arena = mem_alloc(1, sizeof *arena, err);
    if (!arena) {
        return -1;
    }
    arena->users = 1;
    *out = arena;
    return 0;
}

static struct arena_block *add_block(struct dataset_arena *arena, size_t size, struct err *err)
{
    struct arena_block *block = mem_alloc(1, sizeof *block + size, err);
    if (!block) {
        return NULL;
    }
    block->size = size;
    arena->bytes += size;
    if (arena->blocks && size > BLOCK_SIZE) { /* a large piece of its own leaves the block in use where it is */
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *arena_take(struct dataset_arena *arena, size_t size, struct err *err)
{
    if (size > PTRDIFF_MAX - BLOCK_SIZE) {
        err_set(err, "out of memory: %zu bytes could not be allocated", size);
        return NULL;
    }
    size_t rounded = (size + sizeof(int64_t) - 1) / sizeof(int64_t) * sizeof(int64_t);
    struct arena_block *block = arena->blocks;
    if (!block || block->size - block->used < rounded) {
        block = add_block(arena, max(rounded, BLOCK_SIZE), err);
        if (!block) {
            return NULL;
        }
    }
    void *taken = (char *)block->bytes + block->used;
    block->used += rounded;
    return taken;
}

char *arena_copy_string(struct dataset_arena *arena, const char *text, size_t length, struct err *err)
{
    char *copy = arena_take(arena, length + 1, err);
    if (copy && length > 0) {
        memcpy(copy, text, length);
    }
    return copy;
}

size_t arena_bytes(const struct dataset_arena *arena)
{
    return arena->bytes;
}

struct dataset_arena *arena_share(struct dataset_arena *arena)
{
    arena->users++;
    return arena;
}

void arena_release(struct dataset_arena *arena)
{
    if (!arena || --arena->users > 0) {
        return;
    }
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        mem_free(block);
    }
    mem_free(arena);
}
