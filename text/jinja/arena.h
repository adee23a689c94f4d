/*
 * text/jinja/arena.h - memory and budget of one compilation or one rendering, and the one way out of it when something
 * is wrong.
 *
 * The interpreter is a recursion over nodes and values in which nearly every line may fail. So a failure sets *err and
 * leaves by longjmp() to the entry point, jinja_compile() or jinja_render(), which drops the arena: nothing else owns
 * anything. Code between must not hold resources of its own.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_TEXT_JINJA_ARENA_H
#define ATTUNE_TEXT_JINJA_ARENA_H

#include "base/err.h"
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

struct jinja_block;

struct jinja_arena {
    struct jinja_block *blocks; /* newest first */
    size_t used;                /* bytes of all blocks */
    size_t limit;
    int64_t steps;    /* left */
    int32_t turn;     /* the message in whose turn text is written, -1: unknown */
    int depth;        /* calls of jinja_enter() not yet left */
    const char *name; /* of the template, for errors */
    int line;         /* where the template is being read or run, for errors; 0: nowhere */
    struct err *err;
    jmp_buf escape;
};

/* Zeroed memory for `count` elements of `size` bytes, aligned for any type. Never NULL. */
void *jinja_new(struct jinja_arena *arena, size_t count, size_t size);

/* The array `old` (NULL at first) of `capacity` elements made `larger`: in place where it lies last, else a copy. */
void *jinja_enlarge(struct jinja_arena *arena, void *old, size_t capacity, size_t larger, size_t size);

/* Makes room for one more element after the `count` of `items`, an lvalue: doubles `items` and `capacity` when full.
 */
#define JINJA_PUSH(arena, items, count, capacity)                                                                      \
    do {                                                                                                               \
        if ((count) == (capacity)) {                                                                                   \
            size_t larger_ = (capacity) ? (capacity)*2 : 4;                                                            \
            (items) = jinja_enlarge((arena), (items), (capacity), larger_, sizeof *(items));                           \
            (capacity) = larger_;                                                                                      \
        }                                                                                                              \
    } while (0)

/* Takes `steps` from the budget. */
void jinja_charge(struct jinja_arena *arena, size_t steps);
/* The price of touching `bytes` bytes or elements. */
void jinja_charge_bytes(struct jinja_arena *arena, size_t bytes);

/* Around everything that recurses over nodes or values. */
void jinja_enter(struct jinja_arena *arena);
void jinja_leave(struct jinja_arena *arena);

/* Sets "<name>, line <line>: <sentence>" and leaves. */
_Noreturn void jinja_fail(struct jinja_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

void jinja_arena_free(struct jinja_arena *arena);

#endif
