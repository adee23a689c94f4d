#include "text/tokenizer/splitter.h"

#include "base/utf8.h"
#include "text/tokenizer/bytes.h"
#include "text/unicode/unicode.h"
#include <string.h>

void splitter_scratch_free(struct splitter_scratch *scratch)
{
    span_list_free(&scratch->words);
    span_list_free(&scratch->spare);
    text_buffer_free(&scratch->buffers[0]);
    text_buffer_free(&scratch->buffers[1]);
    pattern_scratch_free(&scratch->pattern);
}

static int split_by_pattern(const struct splitter *step, const struct aligned_text *text, struct span word,
                            enum split_behavior behavior, struct splitter_scratch *scratch, struct err *err)
{
    if (step->scan != SCAN_NONE) {
        return scan_words(step->scan, text->bytes, word.start, word.end, &scratch->spare, err);
    }
    struct pattern_walk walk;
    if (pattern_begin(&walk, &step->pattern, text->bytes + word.start, word.end - word.start, &scratch->pattern, err) !=
        0) {
        return -1;
    }
    struct split split;
    split_begin(&split, behavior, step->invert, &scratch->spare, word.start);
    size_t start, end;
    int found;
    while ((found = pattern_next(&walk, &start, &end, err)) > 0) {
        if (split_match(&split, word.start + start, word.start + end, err) != 0) {
            return -1;
        }
    }
    return found < 0 ? -1 : split_end(&split, word.end, err);
}

/* Every code point with one of `flags` is a match of its own. */
static int split_by_flags(const struct aligned_text *text, struct span word, unsigned flags,
                          enum split_behavior behavior, struct span_list *out, struct err *err)
{
    struct split split;
    split_begin(&split, behavior, false, out, word.start);
    for (size_t at = word.start, start = at; at < word.end; start = at) {
        if ((unicode_class(utf8_next(text->bytes, &at)).flags & flags) && split_match(&split, start, at, err) != 0) {
            return -1;
        }
    }
    return split_end(&split, word.end, err);
}

/* Words at white space, punctuation marks each by itself. */
static int split_bert(const struct aligned_text *text, struct span word, struct span_list *out, struct err *err)
{
    size_t begin = word.start;
    for (size_t at = begin, start = at; at < word.end; start = at) {
        unsigned flags = unicode_class(utf8_next(text->bytes, &at)).flags;
        if (!(flags & (UNICODE_SPACE | UNICODE_PUNCTUATION))) {
            continue;
        }
        if (span_add(out, begin, start, err) != 0 || (!(flags & UNICODE_SPACE) && span_add(out, start, at, err) != 0)) {
            return -1;
        }
        begin = at;
    }
    return span_add(out, begin, word.end, err);
}

/* \w+|[^\w\s]+ */
static int split_whitespace(const struct aligned_text *text, struct span word, struct span_list *out, struct err *err)
{
    size_t begin = word.start;
    unsigned kind = UNICODE_SPACE;
    for (size_t at = begin, start = at; at < word.end; start = at) {
        unsigned now = unicode_class(utf8_next(text->bytes, &at)).flags & (UNICODE_SPACE | UNICODE_WORD);
        if (now == kind) {
            continue;
        }
        if (kind != UNICODE_SPACE && span_add(out, begin, start, err) != 0) {
            return -1;
        }
        kind = now;
        begin = start;
    }
    return kind == UNICODE_SPACE ? 0 : span_add(out, begin, word.end, err);
}

static int split_word(const struct splitter *step, const struct aligned_text *text, struct span word,
                      struct splitter_scratch *scratch, struct err *err)
{
    switch (step->kind) {
    case SPLITTER_BYTE_LEVEL:
        return split_by_pattern(step, text, word, SPLIT_ISOLATED, scratch, err);
    case SPLITTER_SPLIT:
        return split_by_pattern(step, text, word, step->behavior, scratch, err);
    case SPLITTER_METASPACE:
        return split_by_pattern(step, text, word, SPLIT_MERGED_WITH_NEXT, scratch, err);
    case SPLITTER_DIGITS:
        return split_by_flags(text, word, UNICODE_NUMERIC, step->behavior, &scratch->spare, err);
    case SPLITTER_PUNCTUATION:
        return split_by_flags(text, word, UNICODE_PUNCTUATION, step->behavior, &scratch->spare, err);
    case SPLITTER_WHITESPACE_SPLIT:
        return split_by_flags(text, word, UNICODE_SPACE, SPLIT_REMOVED, &scratch->spare, err);
    case SPLITTER_WHITESPACE:
        return split_whitespace(text, word, &scratch->spare, err);
    case SPLITTER_BERT:
        break;
    }
    return split_bert(text, word, &scratch->spare, err);
}

static int split_words(const struct splitter *step, const struct aligned_text *text, struct splitter_scratch *scratch,
                       struct err *err)
{
    scratch->spare.count = 0;
    for (size_t i = 0; i < scratch->words.count; i++) {
        if (split_word(step, text, scratch->words.items[i], scratch, err) != 0) {
            return -1;
        }
    }
    struct span_list split = scratch->spare;
    scratch->spare = scratch->words;
    scratch->words = split;
    return 0;
}

/* How a step writes one word anew. */
typedef int word_writer(struct text_buffer *out, const struct splitter *step, const struct aligned_text *text,
                        struct span word, struct err *err);

/* Writes all words anew into the buffer that *text is not in. */
static int rewrite_words(word_writer *write, const struct splitter *step, struct aligned_text *text, bool tracked,
                         struct splitter_scratch *scratch, struct err *err)
{
    struct text_buffer *out = &scratch->buffers[text->bytes == scratch->buffers[0].bytes];
    out->length = 0;
    out->tracked = tracked;
    for (size_t i = 0; i < scratch->words.count; i++) {
        struct span *word = &scratch->words.items[i];
        size_t start = out->length;
        if (write(out, step, text, *word, err) != 0) {
            return -1;
        }
        *word = (struct span){(uint32_t)start, (uint32_t)out->length};
    }
    *text = text_view(out);
    return 0;
}

static int put_in_front(struct text_buffer *out, const char *front, const struct aligned_text *text, struct span word,
                        struct err *err)
{
    size_t first = utf8_size(text->bytes[word.start]);
    return text_put(out, front, strlen(front), text_source(text, word.start, word.start + first), err);
}

static int prefix_space(struct text_buffer *out, const struct splitter *step, const struct aligned_text *text,
                        struct span word, struct err *err)
{
    (void)step;
    if (text->bytes[word.start] != ' ' && put_in_front(out, " ", text, word, err) != 0) {
        return -1;
    }
    return text_copy(out, text, word.start, word.end, err);
}

static int spell_bytes(struct text_buffer *out, const struct splitter *step, const struct aligned_text *text,
                       struct span word, struct err *err)
{
    (void)step;
    return text_put_spelled(out, text, word.start, word.end, err);
}

/* Spaces become the replacement, which is also put in front where the scheme says so and it is not there. */
static int metaspace(struct text_buffer *out, const struct splitter *step, const struct aligned_text *text,
                     struct span word, struct err *err)
{
    const struct pattern *blank = &step->pattern;
    size_t length = word.end - word.start;
    const char *bytes = text->bytes + word.start;
    bool there = bytes[0] == ' ' || (length >= blank->length && memcmp(bytes, blank->text, blank->length) == 0);
    bool wanted = step->prepend == PREPEND_ALWAYS ||
                  (step->prepend == PREPEND_FIRST && text_source(text, word.start, word.start + 1).start == 0);
    if (!there && wanted && put_in_front(out, blank->text, text, word, err) != 0) {
        return -1;
    }
    for (size_t at = word.start, next; at < word.end; at = next + 1) {
        const char *space = memchr(text->bytes + at, ' ', word.end - at);
        next = space ? (size_t)(space - text->bytes) : word.end;
        if (text_copy(out, text, at, next, err) != 0) {
            return -1;
        }
        if (space && text_put(out, blank->text, blank->length, text_source(text, next, next + 1), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply(const struct splitter *step, bool is_last, struct aligned_text *text, bool tracked,
                 struct splitter_scratch *scratch, struct err *err)
{
    if (step->kind == SPLITTER_METASPACE && rewrite_words(metaspace, step, text, tracked, scratch, err) != 0) {
        return -1;
    }
    if (step->kind == SPLITTER_BYTE_LEVEL && step->add_prefix &&
        rewrite_words(prefix_space, step, text, tracked, scratch, err) != 0) {
        return -1;
    }
    if (step->cuts && split_words(step, text, scratch, err) != 0) {
        return -1;
    }
    if (step->kind == SPLITTER_BYTE_LEVEL && !is_last) {
        return rewrite_words(spell_bytes, step, text, tracked, scratch, err);
    }
    return 0;
}

int splitters_apply(const struct splitters *splitters, struct aligned_text *text, bool tracked,
                    struct splitter_scratch *scratch, struct err *err)
{
    scratch->words.count = 0;
    if (span_add(&scratch->words, 0, text->length, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < splitters->count; i++) {
        bool is_last = i + 1 == splitters->count;
        if (apply(&splitters->steps[i], is_last, text, tracked, scratch, err) != 0) {
            return -1;
        }
    }
    return 0;
}
