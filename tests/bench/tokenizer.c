/*
 * How fast text becomes tokens: MB for a second of processor time on one thread, in pieces of 2000 characters as a
 * dataset has them.
 *
 *     bench-tokenizer <text file> <tokenizer.json>...
 *
 * For each tokenizer a line "name,open seconds,first pass MB/s,best pass MB/s,tokens". The first pass meets every word
 * new; the best of ten passes finds them in the cache. tests/bench/tokenizer.py prints the same lines for Hugging
 * Face's tokenizers, and tests/bench/tokenizer.csv keeps what both gave.
 */
#include "text/tokenizer/tokenizer.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode/unicode.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PIECE  2000
#define PASSES 10

/* The process's own time, which other programs lengthen less. */
static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Bytes of the next PIECE characters, at most `length`. */
static size_t piece_of(const char *text, size_t length)
{
    size_t at = 0;
    for (int i = 0; i < PIECE && at < length; i++) {
        at += utf8_size(text[at]);
    }
    return at < length ? at : length;
}

static int pass(const struct tokenizer *tokenizer, const struct strbuf *text, size_t *tokens, double *seconds,
                struct err *err)
{
    struct token_list list = {0};
    double start = processor_seconds();
    int result = 0;
    *tokens = 0;
    for (size_t at = 0, size; at < text->length && result == 0; at += size) {
        size = piece_of(text->data + at, text->length - at);
        list.count = 0;
        result = tokenizer_encode(tokenizer, text->data + at, size, TOKENIZER_ADD_SPECIAL, &list, err);
        *tokens += list.count;
    }
    *seconds = processor_seconds() - start;
    token_list_free(&list);
    return result;
}

static int measure(const char *path, const struct strbuf *text, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    double start = processor_seconds(), first = 0, best = 0;
    size_t tokens = 0;
    if (tokenizer_open(&tokenizer, path, err) != 0) {
        return -1;
    }
    double open = processor_seconds() - start;
    int result = 0;
    for (int i = 0; i < PASSES && result == 0; i++) {
        double seconds;
        result = pass(tokenizer, text, &tokens, &seconds, err);
        first = i == 0 ? seconds : first;
        best = i == 0 || seconds < best ? seconds : best;
    }
    const char *slash = strrchr(path, '/');
    double megabytes = (double)text->length / 1e6;
    if (result == 0) {
        printf("%s,%.3f,%.1f,%.1f,%zu\n", slash ? slash + 1 : path, open, megabytes / first, megabytes / best, tokens);
    }
    tokenizer_free(tokenizer);
    return result;
}

int main(int count, char **arguments)
{
    struct err err;
    struct strbuf text = {0};
    if (count < 3) {
        fprintf(stderr, "usage: bench-tokenizer <text file> <tokenizer.json>...\n");
        return 2;
    }
    int result = file_read(&text, arguments[1], (size_t)1 << 30, &err);
    for (int i = 2; i < count && result == 0; i++) {
        result = measure(arguments[i], &text, &err);
    }
    strbuf_free(&text);
    if (result != 0) {
        fprintf(stderr, "%s\n", err.text);
    }
    return result != 0;
}
