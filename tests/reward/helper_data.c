/* tests/reward/helper_data.c - see helper_data.h. */
#include "reward/helper_data.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "reward/helper_reward.h"
#include "support/byte_tokenizer.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <stdarg.h>
#include <string.h>

#define SHOWN_SIZE 4096

int data_setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    struct err err;
    struct strbuf json = {0}, config = {0};
    must(file_make_dirs(temporary("model"), &err));
    byte_tokenizer_json(&json, false);
    const char *chatml = chat_template_builtin_source("chatml");
    strbuf_puts(&config, "{\"eos_token\": \"<|im_end|>\", \"chat_template\": ");
    strbuf_put_json(&config, chatml, strlen(chatml));
    strbuf_puts(&config, "}");
    write_bytes(temporary("model/tokenizer.json"), json.data, json.length);
    write_bytes(temporary("model/tokenizer_config.json"), config.data, config.length);
    strbuf_free(&json);
    strbuf_free(&config);
    return 0;
}

void data_write(const char *name, const char *text)
{
    write_bytes(temporary("%s", name), text, strlen(text));
}

/* Two threads: tokenizing is divided among them. */
static struct recipe *load_recipe(const char *lines)
{
    struct recipe *recipe = reward_recipe("run", lines);
    recipe->threads = 2;
    return recipe;
}

struct opened_data data_open(const char *lines)
{
    struct err err;
    struct opened_data opened = {.recipe = load_recipe(lines)};
    must(reward_data_open(&opened.data, opened.recipe, &err));
    return opened;
}

void data_close(struct opened_data *opened)
{
    reward_data_close(&opened->data);
    recipe_free(opened->recipe);
}

int data_try(const char *lines, struct err *err)
{
    struct recipe *recipe = load_recipe(lines);
    struct reward_data data;
    int result = reward_data_open(&data, recipe, err);
    if (result == 0) {
        reward_data_close(&data);
    }
    recipe_free(recipe);
    return result;
}

void data_refuse(const char *lines, ...)
{
    struct err err = {0};
    const char *part;
    va_list parts;
    assert_int_equal(data_try(lines, &err), -1);
    va_start(parts, lines);
    while ((part = va_arg(parts, const char *)) != NULL) {
        if (!strstr(err.text, part)) {
            fail_msg("'%s' is not in: %s", part, err.text);
        }
    }
    va_end(parts);
}

static const char *kept(struct strbuf *text)
{
    static char buffers[4][SHOWN_SIZE];
    static int next;
    char *buffer = buffers[next++ % 4];
    assert_true(text->length < SHOWN_SIZE);
    memcpy(buffer, strbuf_text(text), text->length + 1);
    strbuf_free(text);
    return buffer;
}

static void put_ranking(struct strbuf *text, const struct ranking *ranking)
{
    strbuf_printf(text, "%s:", ranking->prompt);
    for (int32_t k = 0; k < ranking->family.count; k++) {
        strbuf_printf(text, "%s %d %s", k ? "," : "", ranking->ranks[k], ranking->texts[k]);
    }
}

const char *data_shown(const struct ranking *ranking)
{
    struct strbuf text = {0};
    put_ranking(&text, ranking);
    return kept(&text);
}

const char *data_shown_all(const struct ranking_set *set)
{
    struct strbuf text = {0};
    for (size_t i = 0; i < set->count; i++) {
        strbuf_puts(&text, i ? " / " : "");
        put_ranking(&text, &set->rankings[i]);
    }
    return kept(&text);
}

const char *data_tokens(const struct ranking *ranking)
{
    static const char *const special[] = {"{start}", "{end}", "{bos}"};
    const struct family *family = &ranking->family;
    struct strbuf text = {0};
    for (int32_t t = 0, k = 0; t < family_tokens(family); t++) {
        if (k < family->count && t == family->starts[k]) {
            strbuf_putc(&text, '|');
            k++;
        }
        if (family->ids[t] < BYTE_IM_START) {
            strbuf_putc(&text, (char)family->ids[t]);
        } else {
            strbuf_puts(&text, special[family->ids[t] - BYTE_IM_START]);
        }
    }
    return kept(&text);
}
