/*
 * The normal forms NFC, NFD, NFKC and NFKD (Unicode Standard Annex 15), keeping for each code point where it came from.
 */
#include "base/minmax.h"
#include "base/utf8.h"
#include "text/tokenizer/normalizer.h"
#include "text/unicode/unicode.h"
#include <stdlib.h>

struct composed {
    uint32_t code_point;
    uint32_t order; /* place in its run before marks are reordered */
    unsigned class; /* canonical combining class */
    struct span source;
};

/* Code points from one starter to the next: only these are reordered and composed with each other. */
struct point_run {
    struct composed *points;
    size_t count;
};

static int put_run(struct text_buffer *out, const struct point_run *run, struct err *err)
{
    for (size_t i = 0; i < run->count; i++) {
        if (text_put_code_point(out, run->points[i].code_point, run->points[i].source, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_marks(const void *left, const void *right)
{
    const struct composed *a = left, *b = right;
    return a->class != b->class ? (a->class < b->class ? -1 : 1) : a->order < b->order ? -1 : a->order > b->order;
}

/* By combining class, those of one class in the order they came in; a starter, which only the first can be, stays. */
static void order_marks(struct composed *points, size_t count)
{
    bool in_order = true;
    for (size_t i = 0; i < count; i++) {
        points[i].order = (uint32_t)i;
        in_order = in_order && (i == 0 || points[i - 1].class <= points[i].class);
    }
    if (!in_order) {
        qsort(points, count, sizeof(*points), compare_marks);
    }
}

static struct span join(struct span first, struct span second)
{
    return (struct span){min(first.start, second.start), max(first.end, second.end)};
}

/* Composes a run with its first code point, where that is a starter (class 0). */
static void compose_run(struct point_run *run)
{
    if (run->count == 0 || run->points[0].class != 0) {
        return;
    }
    struct composed *starter = &run->points[0];
    size_t kept = 1;
    for (size_t i = 1; i < run->count; i++) {
        struct composed point = run->points[i];
        /* A mark is blocked by one of its own or a higher class that was kept before it. */
        bool blocked = kept > 1 && run->points[kept - 1].class >= point.class;
        uint32_t whole = blocked ? 0 : unicode_compose(starter->code_point, point.code_point);
        if (whole != 0) {
            starter->code_point = whole;
            starter->source = join(starter->source, point.source);
        } else {
            run->points[kept++] = point;
        }
    }
    run->count = kept;
}

/* The run is whole: a starter follows, in *next, or the end (NULL). Where the two compose the run goes on as one
 * starter. */
static int end_run(struct text_buffer *out, struct point_run *run, const struct composed *next, bool compose,
                   struct err *err)
{
    order_marks(run->points, run->count);
    if (compose) {
        compose_run(run);
        if (next && run->count == 1 && run->points[0].class == 0) {
            uint32_t whole = unicode_compose(run->points[0].code_point, next->code_point);
            if (whole != 0) {
                run->points[0].code_point = whole;
                run->points[0].source = join(run->points[0].source, next->source);
                return 0;
            }
        }
    }
    if (put_run(out, run, err) != 0) {
        return -1;
    }
    run->count = 0;
    if (next) {
        run->points[run->count++] = *next;
    }
    return 0;
}

static int add_point(struct text_buffer *out, struct point_run *run, struct composed point, bool compose,
                     struct normalizer_scratch *scratch, struct err *err)
{
    if (run->count + 1 > scratch->points_capacity) {
        struct composed *more =
            mem_grow(scratch->points, &scratch->points_capacity, run->count + 1, sizeof(*more), err);
        if (!more) {
            return -1;
        }
        scratch->points = more;
        run->points = more;
    }
    if (point.class == 0 && run->count > 0) {
        return end_run(out, run, &point, compose, err);
    }
    run->points[run->count++] = point;
    return 0;
}

/* ASCII characters after which another one stands are as they should be, and no mark follows that could change them.
 */
static size_t plain_length(const struct aligned_text *text, size_t at)
{
    size_t end = at;
    while (end < text->length && (unsigned char)text->bytes[end] < 0x80) {
        end++;
    }
    return end == at || end == text->length ? end - at : end - at - 1;
}

int normal_form(struct text_buffer *out, const struct aligned_text *text, bool compose, bool compatible,
                struct normalizer_scratch *scratch, struct err *err)
{
    struct point_run run = {scratch->points, 0};
    for (size_t at = 0; at < text->length;) {
        size_t plain = plain_length(text, at);
        if (plain > 0) {
            if (end_run(out, &run, NULL, compose, err) != 0 || text_copy(out, text, at, at + plain, err) != 0) {
                return -1;
            }
            at += plain;
            continue;
        }
        size_t start = at;
        uint32_t code_point = utf8_next(text->bytes, &at), parts[UNICODE_DECOMPOSED_MAX];
        struct span source = text_source(text, start, at);
        size_t count = unicode_decompose(code_point, compatible, parts);
        for (size_t i = 0; i < count; i++) {
            struct composed point = {parts[i], 0, unicode_combining_class(parts[i]), source};
            if (add_point(out, &run, point, compose, scratch, err) != 0) {
                return -1;
            }
        }
    }
    return end_run(out, &run, NULL, compose, err);
}
