/*
 * The files beside a tokenizer.json, read as transformers reads them: tokenizer_config.json and special_tokens_map.json
 * name the special tokens and may add tokens, chat_template.jinja holds the chat template. add_bos_token and
 * add_eos_token are not looked at, since the post_processor of tokenizer.json says what is put around a text.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer/internal.h"
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX ((size_t)1 << 25)

static const char *const role_keys[ROLE_COUNT] = {"bos_token", "eos_token", "pad_token", "unk_token"};

int tokenizer_find_files(struct tokenizer *tokenizer, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (file_is_dir(path)) {
        tokenizer->folder = mem_copy_string(path, strlen(path), err);
        name = "tokenizer.json";
    } else {
        const char *folder = slash ? path : ".";
        size_t length = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
        tokenizer->folder = mem_copy_string(folder, length, err);
    }
    if (!tokenizer->folder) {
        return -1;
    }
    tokenizer->file = mem_copy_string(name, strlen(name), err);
    return tokenizer->file ? 0 : -1;
}

/*
 * The JSON object of a file; *out stays NULL where there is no such file. Integers become real numbers, because many
 * files have "model_max_length": 1000000000000000019884624838656, which no integer holds.
 */
static int read_object(const char *path, json_t **out, struct err *err)
{
    struct strbuf text = {0};
    if (!file_exists(path)) {
        return 0;
    }
    if (file_read(&text, path, CONFIG_MAX, err) != 0) {
        strbuf_free(&text);
        return -1;
    }
    *out = json_read_text_reals(strbuf_text(&text), text.length, path, err);
    strbuf_free(&text);
    if (!*out) {
        return -1;
    }
    return json_is_object(*out) ? 0 : err_set(err, "%s: an object was expected", path);
}

static int read_beside(const struct tokenizer *tokenizer, const char *name, json_t **out, struct err *err)
{
    char *path = file_join(tokenizer->folder, name, err);
    int result = path ? read_object(path, out, err) : -1;
    mem_free(path);
    return result;
}

/* A special token as text: a string, or an object with its content. NULL: neither. */
static const char *token_text(const json_t *value)
{
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

/* Makes a special token an added one, so that it is found in texts, where it is none yet. */
static int add_special(struct tokenizer *tokenizer, const json_t *value, const char *where, struct err *err)
{
    const char *text = token_text(value);
    if (!text || !*text || added_by_text(&tokenizer->added, text, strlen(text))) {
        return 0;
    }
    json_t *token = json_is_object(value) ? json_copy((json_t *)value) : json_pack("{ss}", "content", text);
    if (!token || json_object_set_new(token, "special", json_true()) != 0) {
        json_decref(token);
        return err_set(err, "%s: out of memory for the special token '%s'", where, text);
    }
    int result = added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary, token, ADDED_ANY_ID, where, err);
    json_decref(token);
    return result;
}

static int compare_numbers(const void *left, const void *right)
{
    long long a = *(const long long *)left, b = *(const long long *)right;
    return a < b ? -1 : a > b;
}

/* "added_tokens_decoder": {"0": {"content": ...}, ...}, in the order of the ids. */
static int add_decoder_tokens(struct tokenizer *tokenizer, json_t *tokens, const char *where, struct err *err)
{
    size_t count = 0;
    long long *ids = mem_alloc(json_object_size(tokens), sizeof(*ids), err);
    if (!ids) {
        return -1;
    }
    for (void *at = json_object_iter(tokens); at; at = json_object_iter_next(tokens, at)) {
        ids[count++] = strtoll(json_object_iter_key(at), NULL, 10);
    }
    qsort(ids, count, sizeof(*ids), compare_numbers);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%lld", ids[i]);
        result = added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary, json_object_get(tokens, key), ids[i],
                                  where, err);
    }
    mem_free(ids);
    return result;
}

static int copy_string(char **out, const char *text, struct err *err)
{
    *out = mem_copy_string(text, strlen(text), err);
    return *out ? 0 : -1;
}

/* Roles that an earlier file has not settled. Null settles one too: there is no such token. */
static int read_roles(struct tokenizer *tokenizer, const json_t *json, bool settled[ROLE_COUNT], const char *where,
                      struct err *err)
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        const json_t *value = json_object_get(json, role_keys[role]);
        if (!value || settled[role]) {
            continue;
        }
        settled[role] = true;
        if (!token_text(value)) {
            if (!json_is_null(value)) {
                return err_set(err, "%s: \"%s\" must be a string or an object with \"content\"", where,
                               role_keys[role]);
            }
            continue;
        }
        if (copy_string(&tokenizer->roles[role], token_text(value), err) != 0 ||
            add_special(tokenizer, value, where, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_more_specials(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err)
{
    static const char *const keys[] = {"additional_special_tokens", "extra_special_tokens"};
    for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
        const json_t *list = json_object_get(json, keys[k]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (add_special(tokenizer, json_array_get(list, i), where, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* "chat_template": the source, or a list of {"name", "template"} of which "default" counts. */
static int read_template(struct tokenizer *tokenizer, const json_t *json, struct err *err)
{
    const json_t *value = json_object_get(json, "chat_template");
    const char *source = json_string_value(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && strcmp(name, "default") == 0) {
            source = json_string_value(json_object_get(entry, "template"));
        }
    }
    return source ? copy_string(&tokenizer->chat_template, source, err) : 0;
}

static int read_template_file(struct tokenizer *tokenizer, struct err *err)
{
    char *path = file_join(tokenizer->folder, "chat_template.jinja", err);
    if (!path) {
        return -1;
    }
    struct strbuf source = {0};
    int result = 0;
    if (file_exists(path)) {
        result = file_read(&source, path, CONFIG_MAX, err);
        if (result == 0) {
            mem_free(tokenizer->chat_template);
            result = copy_string(&tokenizer->chat_template, strbuf_text(&source), err);
        }
    }
    strbuf_free(&source);
    mem_free(path);
    return result;
}

int tokenizer_read_config(struct tokenizer *tokenizer, struct err *err)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    bool settled[ROLE_COUNT] = {false};
    json_t *files[2] = {NULL, NULL};
    int result = 0;
    for (int i = 0; i < 2 && result == 0; i++) {
        result = read_beside(tokenizer, names[i], &files[i], err);
    }
    json_t *decoder_tokens = json_object_get(files[0], "added_tokens_decoder");
    if (result == 0 && json_is_object(decoder_tokens)) {
        result = add_decoder_tokens(tokenizer, decoder_tokens, names[0], err);
    }
    for (int i = 0; i < 2 && result == 0; i++) {
        result = read_roles(tokenizer, files[i], settled, names[i], err);
    }
    for (int i = 0; i < 2 && result == 0; i++) {
        result = read_more_specials(tokenizer, files[i], names[i], err);
    }
    if (result == 0) {
        result = read_template(tokenizer, files[0], err);
    }
    if (result == 0) {
        result = read_template_file(tokenizer, err);
    }
    json_decref(files[0]);
    json_decref(files[1]);
    return result != 0 ? err_prefix(err, "in '%s'", tokenizer->folder) : 0;
}
