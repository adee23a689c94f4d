/*
 * tests/model/test_padding.c - the pad token of a written reward model: one that no answer ends with, named in all of
 * the folder's files, of which nothing else changes; and the chat template that goes with the folder.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/export.h"
#include "model/padding.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include "text/chat_template/chat_template.h"
#include <string.h>

/* Ids of tiny-text's special tokens. */
enum { END_OF_TEXT, IM_START, IM_END, PAD };

static int setup(void **state)
{
    log_set_quiet(true);
    return temporary_setup(state);
}

/* tiny-text with these changes of its files: pairs of a file's name, a text in it and what takes its place. */
static struct model *make_model(const char *const *changes)
{
    struct err err;
    struct model *model;
    remove_tree(temporary("model"));
    tiny_text_make(temporary("model"));
    for (; changes && *changes; changes += 3) {
        const char *path = temporary("model/%s", changes[0]);
        if (!file_exists(path)) {
            write_bytes(path, changes[2], strlen(changes[2]));
            continue;
        }
        struct strbuf text = read_bytes(path), changed = {0};
        const char *from = text.data, *at;
        assert_non_null(strstr(from, changes[1]));
        for (; (at = strstr(from, changes[1])); from = at + strlen(changes[1])) {
            strbuf_append(&changed, from, (size_t)(at - from));
            strbuf_puts(&changed, changes[2]);
        }
        strbuf_puts(&changed, from);
        write_bytes(path, changed.data, changed.length);
        strbuf_free(&changed);
        strbuf_free(&text);
    }
    must(model_open(&model, temporary("model"), &err));
    return model;
}

static const char pad_is_end[] = "\"pad_token_id\": 2", config_pad[] = "\"pad_token_id\": 3";

static void which_token(void **state)
{
    (void)state;
    static const struct {
        const char *changes[13];
        const char *chat_template;
        int32_t pad;
    } cases[] = {
        {{0}, NULL, PAD},
        /* The usual trap: what pads ends answers too. */
        {{"config.json", config_pad, pad_is_end, "tokenizer_config.json", "<|pad|>", "<|im_end|>"}, NULL, PAD},
        {{"config.json", config_pad, pad_is_end}, NULL, PAD},
        /* A stop token of generation_config.json. */
        {{"generation_config.json", "", "{\"eos_token_id\": [2, 3]}"}, NULL, END_OF_TEXT},
        /* What the chat template closes a turn with, although no file calls it an end. */
        {{"config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 0", "config.json", config_pad, pad_is_end,
          "tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"", "\"eos_token\": \"<|endoftext|>\""},
         NULL,
         PAD},
        /* No name says so: the unknown token, else one that conversations do without. */
        {{"config.json", config_pad, pad_is_end, "tokenizer.json", "<|pad|>", "<|x|>", "tokenizer_config.json",
          "\"<|pad|>\"", "null, \"unk_token\": \"<|x|>\""},
         NULL,
         PAD},
        {{"config.json", config_pad, pad_is_end, "tokenizer.json", "<|pad|>", "<|x|>", "tokenizer_config.json",
          "\"<|pad|>\"", "null"},
         NULL,
         END_OF_TEXT},
        {{"config.json", config_pad, pad_is_end, "tokenizer.json", "<|pad|>", "<|x|>", "tokenizer_config.json",
          "\"<|pad|>\"", "null", "generation_config.json", "", "{\"eos_token_id\": [2, 0]}"},
         NULL,
         PAD},
        /* Nothing is left. */
        {{"config.json", config_pad, pad_is_end, "generation_config.json", "", "{\"eos_token_id\": [0, 2, 3]}"},
         NULL,
         -1},
        /* phi3's template has none of these tokens. */
        {{"config.json", config_pad, pad_is_end, "generation_config.json", "", "{\"eos_token_id\": [0, 2, 3]}"},
         "phi3",
         IM_START},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct err err;
        struct padding padding;
        struct model *model = make_model(cases[c].changes);
        must(padding_choose(&padding, model, cases[c].chat_template, &err));
        if (padding.id != cases[c].pad) {
            fail_msg("case %zu: token %d was chosen instead of %d", c, padding.id, cases[c].pad);
        }
        assert_int_equal(padding.token.length > 0, padding.id >= 0);
        padding_free(&padding);
        model_free(model);
    }
}

static void expect_text(const char *path, const char *words)
{
    struct strbuf text = read_bytes(path);
    if (strcmp(text.data, words) != 0) {
        fail_msg("%s is\n%s\nand not\n%s", path, text.data, words);
    }
    strbuf_free(&text);
}

/* One value is replaced, whatever stands around it; numbers too large for a JSON library stay as they are. */
static void other_bytes_stay(void **state)
{
    (void)state;
    struct err err;
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"{\"model_max_length\": 1000000000000000019884624838656, \"pad_token\":\"<|im_end|>\" , \"x\": 1e-05}",
         "{\"model_max_length\": 1000000000000000019884624838656, \"pad_token\":\"<|\\\"|>\" , \"x\": 1e-05}"},
        {"{\"inner\": {\"pad_token\": 1}, \"list\": [\"pad_token\", \"}\\\"\"],\n \"pad_token\": {\"content\": "
         "\"a}\"}\n}\n",
         "{\"inner\": {\"pad_token\": 1}, \"list\": [\"pad_token\", \"}\\\"\"],\n \"pad_token\": \"<|\\\"|>\"\n}\n"},
        {"{\"pad_token\": null}", "{\"pad_token\": \"<|\\\"|>\"}"},
        {"{\"a\": \"pad_token\"}", "{\n  \"pad_token\": \"<|\\\"|>\",\"a\": \"pad_token\"}"},
        {" { }\n", " {\n  \"pad_token\": \"<|\\\"|>\"\n }\n"},
    };
    struct padding padding = {.id = 7};
    strbuf_puts(&padding.token, "<|\"|>");
    must(file_make_dirs(temporary("texts"), &err));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        write_bytes(temporary("texts/tokenizer_config.json"), cases[c].before, strlen(cases[c].before));
        write_bytes(temporary("texts/special_tokens_map.json"), cases[c].before, strlen(cases[c].before));
        must(padding_write(&padding, temporary("texts"), &err));
        expect_text(temporary("texts/tokenizer_config.json"), cases[c].after);
        expect_text(temporary("texts/special_tokens_map.json"), cases[c].after);
    }
    remove_tree(temporary("texts"));
    must(file_make_dirs(temporary("texts"), &err));
    must(padding_write(&padding, temporary("texts"), &err));
    expect_text(temporary("texts/tokenizer_config.json"), "{\n  \"pad_token\": \"<|\\\"|>\"\n}\n");
    assert_int_equal(names_in(temporary("texts")), 1);
    write_bytes(temporary("texts/tokenizer_config.json"), "[1]", 3);
    assert_int_equal(padding_write(&padding, temporary("texts"), &err), -1);
    assert_non_null(strstr(err.text, "not a JSON object"));
    padding_free(&padding);
}

/* A model of tiny-text with a head, to be exported. */
struct setting {
    struct backend *backend;
    struct model *model;
    struct export_options options;
};

static void open_setting(struct setting *setting, const char *const *changes)
{
    struct err err;
    *setting = (struct setting){.backend = fixture_backend(), .model = make_model(changes)};
    must(
        model_load(setting->model, setting->backend, &(struct model_options){.trainable = true, .scorer = true}, &err));
    setting->options = (struct export_options){
        .score = &setting->model->score, .change = model_change_to_masters, .context = setting->model};
}

static void close_setting(struct setting *setting)
{
    model_free(setting->model);
    setting->backend->free(setting->backend);
    remove_tree(temporary("out"));
}

static void exported(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    struct model *again;
    static const char *const changes[] = {"config.json",
                                          config_pad,
                                          pad_is_end,
                                          "tokenizer_config.json",
                                          "<|pad|>",
                                          "<|im_end|>",
                                          "special_tokens_map.json",
                                          "",
                                          "{\"pad_token\": \"<|im_end|>\", \"eos_token\": \"<|im_end|>\"}\n",
                                          NULL};
    open_setting(&setting, changes);
    setting.model->score.offset = -1.5;
    must(model_export(setting.model, temporary("out"), &setting.options, &err));
    must(model_open(&again, temporary("out"), &err));
    assert_true(again->is_scorer && again->score_offset == -1.5 && again->config.pad_token == PAD);
    expect_text(temporary("out/special_tokens_map.json"),
                "{\"pad_token\": \"<|pad|>\", \"eos_token\": \"<|im_end|>\"}\n");
    assert_true(same_bytes(fixture_path("tiny-text", "tokenizer_config.json"), temporary("out/tokenizer_config.json")));
    assert_false(file_exists(temporary("out/chat_template.jinja")));
    model_free(again);
    close_setting(&setting);
}

static void chat_templates(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct setting setting;
    open_setting(&setting, NULL);
    setting.options.chat_template = "chatml";
    must(model_export(setting.model, temporary("out"), &setting.options, &err));
    expect_text(temporary("out/chat_template.jinja"), chat_template_builtin_source("chatml"));
    remove_tree(temporary("out"));
    setting.options.score = NULL; /* any model */
    setting.options.chat_template = temporary("own.jinja");
    write_bytes(temporary("own.jinja"), "{{ bos_token }}", 15);
    must(model_export(setting.model, temporary("out"), &setting.options, &err));
    expect_text(temporary("out/chat_template.jinja"), "{{ bos_token }}");
    remove_tree(temporary("out"));
    setting.options.chat_template = "chtml";
    assert_int_equal(model_export(setting.model, temporary("out"), &setting.options, &err), -1);
    assert_non_null(strstr(err.text, "chtml"));
    close_setting(&setting);
}

/* Whichever allocation or write fails: no folder, and an error. */
static void whole_or_not_at_all(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct setting setting;
    open_setting(&setting, NULL);
    setting.options.chat_template = "chatml";
    size_t before = names_in(temporary("."));
    void (*const fail_at[])(long) = {file_fail_at, mem_fail_at};
    long (*const count[])(void) = {file_count, mem_count};
    for (int kind = 0; kind < 2; kind++) {
        fail_at[kind](0);
        must(model_export(setting.model, temporary("out"), &setting.options, &err));
        long steps = count[kind]();
        remove_tree(temporary("out"));
        for (long n = 1; n <= steps; n++) {
            err.text[0] = 0;
            fail_at[kind](n);
            int result = model_export(setting.model, temporary("out"), &setting.options, &err);
            fail_at[kind](0);
            if (result == 0 || !err.text[0] || file_exists(temporary("out")) || names_in(temporary(".")) != before) {
                fail_msg("%s %ld of %ld failed, and the export answered %d: %s", kind ? "allocation" : "write", n,
                         steps, result, err.text);
            }
        }
    }
    close_setting(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_token),    cmocka_unit_test(other_bytes_stay),    cmocka_unit_test(exported),
        cmocka_unit_test(chat_templates), cmocka_unit_test(whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
