#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/mem.h"
#include "support/byte_tokenizer.h"
#include "support/temporary.h"
#include "text/helper_dataset.h"
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define SHOWN_SIZE 4096

static struct tokenizer *tokenizers[2];
static struct chat_template *chatml_template;

int dataset_teardown(void **state)
{
    tokenizer_free(tokenizers[0]);
    tokenizer_free(tokenizers[1]);
    chat_template_free(chatml_template);
    return temporary_teardown(state);
}

const char *scratch_bytes(const char *name, const char *bytes, size_t length)
{
    struct err err;
    const char *path = temporary("%s", name);
    if (file_write_whole(path, bytes, length, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return path;
}

const char *scratch_file(const char *name, const char *text)
{
    return scratch_bytes(name, text, strlen(text));
}

const char *scratch_gzip(const char *name, const char *text)
{
    const char *path = temporary("%s", name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

static void write_tokenizer(const char *name, bool bos)
{
    struct err err;
    struct strbuf json = {0};
    char file[64];
    byte_tokenizer_json(&json, bos);
    assert_int_equal(file_make_dirs(temporary("%s", name), &err), 0);
    snprintf(file, sizeof file, "%s/tokenizer.json", name);
    scratch_file(file, json.data);
    snprintf(file, sizeof file, "%s/tokenizer_config.json", name);
    scratch_file(file, "{\"bos_token\":\"<s>\",\"eos_token\":\"<|im_end|>\"}");
    strbuf_free(&json);
}

const struct tokenizer *byte_tokenizer(enum byte_tokenizer kind)
{
    const char *name = kind == WITH_BOS ? "tokenizer-bos" : "tokenizer";
    if (!tokenizers[kind]) {
        struct err err;
        write_tokenizer(name, kind == WITH_BOS);
        if (tokenizer_open(&tokenizers[kind], temporary("%s", name), &err) != 0) {
            fail_msg("%s", err.text);
        }
    }
    return tokenizers[kind];
}

const struct chat_template *chatml(void)
{
    struct err err;
    if (!chatml_template && chat_template_builtin(&chatml_template, "chatml", &err) != 0) {
        fail_msg("%s", err.text);
    }
    return chatml_template;
}

struct dataset_options plain_options(void)
{
    return (struct dataset_options){.tokenizer = byte_tokenizer(WITHOUT_BOS), .chat = chatml()};
}

struct dataset *load_one(const char *path, const char *format, const struct dataset_options *options)
{
    struct err err;
    struct dataset *dataset = NULL;
    const struct dataset_source source = {.path = path, .format = format};
    if (dataset_load(&dataset, &source, 1, options, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return dataset;
}

void expect_load_error(const char *path, const char *format, const struct dataset_options *options, const char *part)
{
    struct err err = {0};
    struct dataset *dataset = NULL;
    const struct dataset_source source = {.path = path, .format = format};
    assert_int_equal(dataset_load(&dataset, &source, 1, options, &err), -1);
    assert_null(dataset);
    if (!strstr(err.text, part)) {
        fail_msg("'%s' is not in: %s", part, err.text);
    }
}

static void put_token(struct strbuf *out, int32_t id)
{
    static const char *const special[] = {"{start}", "{end}", "{bos}"};
    if (id < BYTE_IM_START) {
        strbuf_putc(out, (char)id);
    } else {
        strbuf_puts(out, special[id - BYTE_IM_START]);
    }
}

static const char *kept(const struct strbuf *text)
{
    static char buffers[8][SHOWN_SIZE];
    static int next;
    char *buffer = buffers[next++ % 8];
    assert_true(text->length < SHOWN_SIZE);
    memcpy(buffer, strbuf_text(text), text->length + 1);
    return buffer;
}

const char *shown(const struct example *example)
{
    struct strbuf out = {0};
    for (int32_t i = 0; i < example->length; i++) {
        bool before = i > 0 && example->trained[i - 1], after = i + 1 < example->length && example->trained[i + 1];
        if (example->trained[i] && !before) {
            strbuf_putc(&out, '[');
        }
        put_token(&out, example->ids[i]);
        if (example->trained[i] && !after) {
            strbuf_putc(&out, ']');
        }
    }
    const char *text = kept(&out);
    strbuf_free(&out);
    return text;
}

const char *shown_ids(const int32_t *ids, int32_t count)
{
    struct strbuf out = {0};
    for (int32_t i = 0; i < count; i++) {
        put_token(&out, ids[i]);
    }
    const char *text = kept(&out);
    strbuf_free(&out);
    return text;
}

const char *real_model(void)
{
    const char *path = getenv("ATTUNE_TEST_MODEL");
    return path && file_is_dir(path) ? path : NULL;
}
