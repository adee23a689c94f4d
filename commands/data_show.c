#include "commands/data_show.h"

#include "base/utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct marks {
    const char *trained, *end;
};

/* On a terminal the learned text is green, elsewhere it stands in brackets. */
static struct marks choose_marks(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool colours = isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0 && !(no_colour && *no_colour);
    return colours ? (struct marks){"\x1b[1;32m", "\x1b[0m"} : (struct marks){"[[", "]]"};
}

/* Characters that would not be seen, or would steer a terminal, by their numbers; line ends stay where `lines`. */
static void put_safe(struct strbuf *out, const char *text, size_t length, bool lines)
{
    for (size_t at = 0; at < length;) {
        int code_point;
        size_t taken = utf8_read(text + at, length - at, &code_point);
        bool control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
        if (code_point == '\n' && !lines) {
            strbuf_puts(out, "\\n");
        } else if (control && !(code_point == '\n' || code_point == '\t')) {
            strbuf_printf(out, "\\x%02X", code_point < 0 ? (unsigned)(unsigned char)text[at] : (unsigned)code_point);
        } else {
            strbuf_append(out, text + at, taken);
        }
        at += taken;
    }
}

/* The whole text, decoded token by token so that each piece is marked as its token is. */
static int put_marked(struct strbuf *out, const struct tokenizer *tokenizer, const struct example *example,
                      struct err *err)
{
    struct marks marks = choose_marks();
    struct token_stream stream = {0};
    struct strbuf piece = {0};
    bool marked = false;
    int result = 0;
    for (int32_t i = 0; i < example->length && result == 0; i++) {
        if (example->trained[i] != marked) {
            marked = example->trained[i];
            strbuf_puts(out, marked ? marks.trained : marks.end);
        }
        strbuf_clear(&piece);
        result = tokenizer_decode_next(tokenizer, &stream, example->ids[i], 0, &piece, err);
        put_safe(out, strbuf_text(&piece), piece.length, true);
    }
    strbuf_clear(&piece);
    if (result == 0) {
        result = tokenizer_decode_end(tokenizer, &stream, &piece, err);
        put_safe(out, strbuf_text(&piece), piece.length, true);
    }
    if (marked) {
        strbuf_puts(out, marks.end);
    }
    strbuf_putc(out, '\n');
    token_stream_free(&stream);
    strbuf_free(&piece);
    return result;
}

static int decode_one(struct strbuf *piece, const struct tokenizer *tokenizer, int32_t id, struct err *err)
{
    strbuf_clear(piece);
    return tokenizer_decode(tokenizer, &id, 1, 0, piece, err);
}

/* A token a line: its place, id, mark and text. */
static int put_tokens(struct strbuf *out, const struct tokenizer *tokenizer, const struct example *example,
                      struct err *err)
{
    struct marks marks = choose_marks();
    struct strbuf piece = {0};
    int result = 0;
    for (int32_t i = 0; i < example->length && result == 0; i++) {
        bool trained = example->trained[i];
        result = decode_one(&piece, tokenizer, example->ids[i], err);
        strbuf_printf(out, "%6d %8d  %s", i, example->ids[i], trained ? marks.trained : "");
        put_safe(out, strbuf_text(&piece), piece.length, false);
        strbuf_printf(out, "%s\n", trained ? marks.end : "");
    }
    strbuf_free(&piece);
    return result;
}

static int put_json(struct strbuf *out, const struct sft_data *data, const struct example *example, const char *path,
                    struct err *err)
{
    struct strbuf text = {0};
    int result = tokenizer_decode(data->text.tokenizer, example->ids, (size_t)example->length, 0, &text, err);
    strbuf_puts(out, "{\"path\":");
    strbuf_put_json(out, path, strlen(path));
    strbuf_printf(out, ",\"line\":%lld,\"truncated\":%s,\"text\":", (long long)example->line,
                  example->truncated ? "true" : "false");
    strbuf_put_json(out, strbuf_text(&text), text.length);
    strbuf_puts(out, ",\"ids\":[");
    for (int32_t i = 0; i < example->length; i++) {
        strbuf_printf(out, "%s%d", i > 0 ? "," : "", example->ids[i]);
    }
    strbuf_puts(out, "],\"trained\":[");
    for (int32_t i = 0; i < example->length; i++) {
        strbuf_printf(out, "%s%d", i > 0 ? "," : "", example->trained[i]);
    }
    strbuf_puts(out, "]}\n");
    strbuf_free(&text);
    return result;
}

static void put_heading(struct strbuf *out, size_t number, const struct example *example, const char *path)
{
    strbuf_printf(out, "--- example %zu: %s:%lld, %d tokens, %d of them learned%s\n", number, path,
                  (long long)example->line, example->length, example->trained_count,
                  example->truncated ? ", cut to max_length" : "");
}

static const char *path_of(const struct sft_data *data, const struct dataset *dataset, const struct example *example)
{
    /* Held-out examples of eval_split come from the files of the training data. */
    const struct dataset *origin = dataset->source_count > 0 ? dataset : data->train;
    return origin->sources[example->source].path;
}

static int show_one(const struct sft_data *data, const struct dataset *dataset, size_t i,
                    const struct data_options *options, struct strbuf *out, struct err *err)
{
    const struct example *example = &dataset->examples[i];
    const char *path = path_of(data, dataset, example);
    strbuf_clear(out);
    int result;
    if (options->json) {
        result = put_json(out, data, example, path, err);
    } else {
        put_heading(out, i + 1, example, path);
        result = options->tokens ? put_tokens(out, data->text.tokenizer, example, err)
                                 : put_marked(out, data->text.tokenizer, example, err);
    }
    if (result != 0 || strbuf_check(out, err) != 0) {
        return -1;
    }
    return fwrite(out->data, 1, out->length, stdout) == out->length
               ? 0
               : err_set_errno(err, "cannot write to standard output");
}

int data_show(const struct sft_data *data, const struct data_options *options, struct err *err)
{
    const struct dataset *dataset = options->eval ? data->eval : data->train;
    size_t first = options->first > 0 ? (size_t)options->first - 1 : 0;
    if (!dataset) {
        return err_set(err, "the recipe has no evaluation data: set eval_dataset or eval_split, or leave --eval out");
    }
    if (first >= dataset->count) {
        return err_set(err, "--first %lld is too high: there are %zu examples", (long long)options->first,
                       dataset->count);
    }
    struct strbuf out = {0};
    int result = 0;
    for (size_t i = first; result == 0 && i < dataset->count && i - first < (size_t)options->show; i++) {
        result = show_one(data, dataset, i, options, &out, err);
    }
    strbuf_free(&out);
    return result;
}
