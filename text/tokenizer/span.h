/*
 * text/tokenizer/span.h - ranges of bytes of a text, in order. Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_SPAN_H
#define ATTUNE_TEXT_TOKENIZER_SPAN_H

#include "base/err.h"
#include "base/mem.h"
#include <stddef.h>
#include <stdint.h>

struct span {
    uint32_t start, end; /* start <= end */
};

struct span_list {
    struct span *items;
    size_t count, capacity;
};

/* Appends a range; an empty one is left out. There are never more of them than bytes in a text (TOKENIZER_TEXT_MAX). */
static inline int span_add(struct span_list *list, size_t start, size_t end, struct err *err)
{
    if (start == end) {
        return 0;
    }
    if (list->count == list->capacity) {
        struct span *items = mem_grow(list->items, &list->capacity, list->count + 1, sizeof(*items), err);
        if (!items) {
            return -1;
        }
        list->items = items;
    }
    list->items[list->count++] = (struct span){(uint32_t)start, (uint32_t)end};
    return 0;
}

static inline void span_list_free(struct span_list *list)
{
    mem_free(list->items);
    *list = (struct span_list){0};
}

#endif
