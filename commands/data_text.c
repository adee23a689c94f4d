#include "commands/data_text.h"

#include "base/utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct marks {
    const char *begin, *end;
};

/* On a terminal the marked text is green, elsewhere it stands in brackets. */
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
static int put_text(struct strbuf *out, const struct tokenizer *tokenizer, const struct data_tokens *tokens,
                    struct err *err)
{
    struct marks marks = choose_marks();
    struct token_stream stream = {0};
    struct strbuf piece = {0};
    bool marked = false;
    int result = 0;
    for (int32_t i = 0; i < tokens->count && result == 0; i++) {
        bool mark = tokens->marks && tokens->marks[i];
        if (mark != marked) {
            marked = mark;
            strbuf_puts(out, marked ? marks.begin : marks.end);
        }
        strbuf_clear(&piece);
        result = tokenizer_decode_next(tokenizer, &stream, tokens->ids[i], 0, &piece, err);
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

static int put_lines(struct strbuf *out, const struct tokenizer *tokenizer, const struct data_tokens *tokens,
                     struct err *err)
{
    struct marks marks = choose_marks();
    struct strbuf piece = {0};
    int result = 0;
    for (int32_t i = 0; i < tokens->count && result == 0; i++) {
        bool mark = tokens->marks && tokens->marks[i];
        strbuf_clear(&piece);
        result = tokenizer_decode(tokenizer, &tokens->ids[i], 1, 0, &piece, err);
        strbuf_printf(out, "%6d %8d  %s", tokens->first + i, tokens->ids[i], mark ? marks.begin : "");
        put_safe(out, strbuf_text(&piece), piece.length, false);
        strbuf_printf(out, "%s\n", mark ? marks.end : "");
    }
    strbuf_free(&piece);
    return result;
}

const char *data_template_name(const struct recipe *recipe, const struct model_text *text)
{
    return recipe->chat_template ? recipe->chat_template : text->chat ? "the model's own" : "none";
}

int data_put_tokens(struct strbuf *out, const struct tokenizer *tokenizer, const struct data_tokens *tokens, bool lines,
                    struct err *err)
{
    return lines ? put_lines(out, tokenizer, tokens, err) : put_text(out, tokenizer, tokens, err);
}

int data_put_json_text(struct strbuf *out, const struct tokenizer *tokenizer, const int32_t *ids, int32_t count,
                       struct err *err)
{
    struct strbuf text = {0};
    int result = tokenizer_decode(tokenizer, ids, (size_t)count, 0, &text, err);
    strbuf_put_json(out, strbuf_text(&text), text.length);
    strbuf_free(&text);
    return result;
}

void data_put_json_ids(struct strbuf *out, const int32_t *ids, int32_t count)
{
    strbuf_putc(out, '[');
    for (int32_t i = 0; i < count; i++) {
        strbuf_printf(out, "%s%d", i > 0 ? "," : "", ids[i]);
    }
    strbuf_putc(out, ']');
}

int data_show_each(const struct data_options *options, size_t count, const char *what, const void *context,
                   int (*put)(const void *context, size_t number, struct strbuf *out, struct err *err), struct err *err)
{
    size_t first = options->first > 0 ? (size_t)options->first - 1 : 0;
    if (first >= count) {
        return err_set(err, "--first %lld is too high: there are %zu %s", (long long)options->first, count, what);
    }
    struct strbuf out = {0};
    int result = 0;
    for (size_t i = first; result == 0 && i < count && i - first < (size_t)options->show; i++) {
        strbuf_clear(&out);
        result = put(context, i, &out, err);
        if (result == 0) {
            result = strbuf_check(&out, err);
        }
        if (result == 0 && fwrite(out.data, 1, out.length, stdout) != out.length) {
            result = err_set_errno(err, "cannot write to standard output");
        }
    }
    strbuf_free(&out);
    return result;
}
