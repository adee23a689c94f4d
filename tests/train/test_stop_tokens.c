/* Where answers end: what the model's files say, and what the chat template closes a turn with. */
#include "support/cmocka.h"

#include "base/json.h"
#include "base/mem.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include "train/stop_tokens.h"
#include <string.h>

/* Ids of tests/fixtures/tiny-text. */
#define END_OF_TEXT 0
#define IM_START    1
#define IM_END      2

/* The files of a base model: neither config.json nor the tokenizer knows the end of a turn as an end. */
static int setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    tiny_text_make(temporary("tuned"));
    tiny_text_make(temporary("base"));
    static const struct {
        const char *file, *from, *to;
    } changes[] = {
        {"config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 0"},
        {"tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"", "\"eos_token\": \"<|endoftext|>\""},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct strbuf bytes = read_bytes(temporary("base/%s", changes[i].file)), changed = {0};
        const char *at = strstr(bytes.data, changes[i].from);
        assert_non_null(at);
        strbuf_append(&changed, bytes.data, (size_t)(at - bytes.data));
        strbuf_puts(&changed, changes[i].to);
        strbuf_puts(&changed, at + strlen(changes[i].from));
        write_bytes(temporary("base/%s", changes[i].file), changed.data, changed.length);
        strbuf_free(&bytes);
        strbuf_free(&changed);
    }
    return 0;
}

/* The stop tokens of a folder's model with a template (NULL: its own), ended by -1, against `want`. */
static void expect(const char *folder, const char *chat_template, int32_t closing, const int32_t *want)
{
    struct err err;
    struct model_text text;
    struct model_config config;
    must(model_config_read(&config, temporary("%s", folder), &err));
    must(model_text_open(&text, temporary("%s", folder), chat_template, &err));
    struct stop_tokens stop = stop_tokens_of(&config, &text);
    assert_int_equal(text.closing_token, closing);
    for (int i = 0; i == 0 || want[i - 1] >= 0; i++) {
        assert_int_equal(stop.ids[i], want[i]);
    }
    model_text_close(&text);
}

static const char *template_of(const char *source)
{
    write_bytes(temporary("template.jinja"), source, strlen(source));
    return temporary("template.jinja");
}

static void closing_token_ends_answers(void **state)
{
    (void)state;
    expect("tuned", NULL, IM_END, (const int32_t[]){IM_END, -1});
    expect("base", NULL, IM_END, (const int32_t[]){END_OF_TEXT, IM_END, -1});
    expect("base", "chatml", IM_END, (const int32_t[]){END_OF_TEXT, IM_END, -1});
    expect("tuned", "alpaca", IM_END, (const int32_t[]){IM_END, -1}); /* it closes with the tokenizer's end of text */
    expect("base", "alpaca", END_OF_TEXT, (const int32_t[]){END_OF_TEXT, -1});
    /* What the model writes is what its template marks: here not the token behind the block. */
    expect("base",
           template_of("{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
                       "<|im_start|>{% endgeneration %}<|im_end|>{% else %}{{ m.content }}{% endif %}{% endfor %}"),
           IM_START, (const int32_t[]){END_OF_TEXT, IM_START, -1});
}

static void templates_that_close_nothing(void **state)
{
    (void)state;
    const int32_t want[] = {END_OF_TEXT, -1};
    expect("base", "gemma", -1, want); /* <end_of_turn> is no token of this tokenizer */
    expect("base", template_of("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"), -1, want);
    expect("base", template_of("{{ raise_exception('not today') }}"), -1, want);
    expect("base", template_of("nothing of the answer"), -1, want);
}

/* A full list of the model's own has room for both of the others. */
static void a_full_list(void **state)
{
    (void)state;
    struct err err;
    struct model_text text;
    struct model_config config;
    must(model_config_read(&config, temporary("base"), &err));
    must(model_text_open(&text, temporary("base"), NULL, &err));
    for (int i = 0; i < STOP_TOKENS_MAX; i++) {
        config.stop_tokens[i] = 100 + i;
    }
    config.stop_tokens[STOP_TOKENS_MAX] = -1;
    struct stop_tokens stop = stop_tokens_of(&config, &text);
    assert_int_equal(stop.ids[STOP_TOKENS_MAX - 1], 100 + STOP_TOKENS_MAX - 1);
    assert_int_equal(stop.ids[STOP_TOKENS_MAX], END_OF_TEXT);
    assert_int_equal(stop.ids[STOP_TOKENS_MAX + 1], IM_END);
    assert_int_equal(stop.ids[STOP_TOKENS_MAX + 2], -1);
    model_text_close(&text);
}

/* Every allocation that fails is an error, and none is taken for a template without an end. */
static void want_of_memory(void **state)
{
    (void)state;
    mem_hook_libraries();
    for (long n = 1;; n++) {
        struct err err;
        struct model_text text;
        mem_fail_at(n);
        int result = model_text_open(&text, temporary("base"), NULL, &err);
        bool reached = mem_count() >= n;
        mem_fail_at(0);
        if (result == 0) {
            assert_int_equal(text.closing_token, IM_END);
            model_text_close(&text);
        }
        if (!reached) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_token_ends_answers),
        cmocka_unit_test(templates_that_close_nothing),
        cmocka_unit_test(a_full_list),
        cmocka_unit_test(want_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
