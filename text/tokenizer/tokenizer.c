#include "text/tokenizer/tokenizer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "text/tokenizer/internal.h"
#include <assert.h>
#include <string.h>

static int read_added_tokens(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err)
{
    const json_t *list = json_object_get(json, "added_tokens");
    if (list && !json_is_null(list) && !json_is_array(list)) {
        return err_set(err, "%s: \"added_tokens\" must be a list", where);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *token = json_array_get(list, i);
        int64_t id = 0;
        if (json_need_int(token, "id", &id, 0, VOCABULARY_IDS_MAX - 1, where, err) != 0) {
            return err_prefix(err, "in \"added_tokens\"[%zu]", i);
        }
        if (added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary, token, id, where, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_sections(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err)
{
    if (!json_is_object(json)) {
        return err_set(err, "%s: is not a tokenizer.json: an object was expected", where);
    }
    if (bpe_from_json(&tokenizer->model, json_object_get(json, "model"), where, err) != 0 ||
        normalizers_from_json(&tokenizer->normalizers, json_object_get(json, "normalizer"), where, err) != 0 ||
        splitters_from_json(&tokenizer->splitters, json_object_get(json, "pre_tokenizer"), where, err) != 0 ||
        decoders_from_json(&tokenizer->decoders, json_object_get(json, "decoder"), where, err) != 0 ||
        read_added_tokens(tokenizer, json, where, err) != 0 || word_cache_create(&tokenizer->cache, err) != 0) {
        return -1;
    }
    if (tokenizer->splitters.byte_level) {
        bpe_set_byte_level(&tokenizer->model);
    }
    return 0;
}

static bool has_regex(const struct tokenizer *tokenizer)
{
    bool found = false;
    for (size_t i = 0; i < tokenizer->normalizers.count; i++) {
        found |= tokenizer->normalizers.steps[i].pattern.code != NULL;
    }
    for (size_t i = 0; i < tokenizer->splitters.count; i++) {
        found |= tokenizer->splitters.steps[i].pattern.code != NULL;
    }
    for (size_t i = 0; i < tokenizer->decoders.count; i++) {
        found |= tokenizer->decoders.steps[i].pattern.code != NULL;
    }
    return found;
}

/* Takes the reference to `json`, NULL after a failed read. */
static int finish_open(struct tokenizer **out, struct tokenizer *tokenizer, json_t *json, const char *where,
                       struct err *err)
{
    int result = json ? read_sections(tokenizer, json, where, err) : -1;
    if (result == 0 && tokenizer->folder) {
        result = tokenizer_read_config(tokenizer, err);
    }
    if (result == 0 && has_regex(tokenizer)) {
        result = stand_ins_find(&tokenizer->stand_ins, err);
    }
    if (result == 0) {
        result = added_tokens_finish(&tokenizer->added, &tokenizer->normalizers, &tokenizer->stand_ins, err);
    }
    if (result == 0) {
        result = frames_from_json(tokenizer, json_object_get(json, "post_processor"), where, err);
    }
    json_decref(json);
    if (result != 0) {
        tokenizer_free(tokenizer);
        return -1;
    }
    *out = tokenizer;
    return 0;
}

int tokenizer_open_memory(struct tokenizer **out, const char *json, size_t length, const char *where, struct err *err)
{
    assert(out && (json || length == 0) && where);
    struct tokenizer *tokenizer = mem_alloc(1, sizeof(*tokenizer), err);
    if (!tokenizer) {
        return -1;
    }
    return finish_open(out, tokenizer, json_read_text(json, length, where, err), where, err);
}

int tokenizer_open(struct tokenizer **out, const char *path, struct err *err)
{
    assert(out && path);
    struct tokenizer *tokenizer = mem_alloc(1, sizeof(*tokenizer), err);
    if (!tokenizer) {
        return -1;
    }
    if (tokenizer_find_files(tokenizer, path, err) != 0) {
        tokenizer_free(tokenizer);
        return -1;
    }
    char *file = file_join(tokenizer->folder, tokenizer->file, err);
    json_t *json = file ? json_read_file(file, TOKENIZER_FILE_MAX, err) : NULL;
    int result = finish_open(out, tokenizer, json, file ? file : path, err);
    mem_free(file);
    return result;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer) {
        return;
    }
    mem_free(tokenizer->folder);
    mem_free(tokenizer->file);
    mem_free(tokenizer->chat_template);
    for (int role = 0; role < ROLE_COUNT; role++) {
        mem_free(tokenizer->roles[role]);
    }
    added_tokens_free(&tokenizer->added);
    normalizers_free(&tokenizer->normalizers);
    splitters_free(&tokenizer->splitters);
    bpe_free(&tokenizer->model);
    stand_ins_free(&tokenizer->stand_ins);
    word_cache_free(tokenizer->cache);
    decoders_free(&tokenizer->decoders);
    mem_free(tokenizer->front.ids);
    mem_free(tokenizer->back.ids);
    mem_free(tokenizer);
}

int32_t tokenizer_id(const struct tokenizer *tokenizer, const char *token)
{
    const struct added_token *added = added_by_text(&tokenizer->added, token, strlen(token));
    return added ? added->id : vocabulary_find(&tokenizer->model.vocabulary, token, strlen(token));
}

const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id)
{
    const struct added_token *added = added_by_id(&tokenizer->added, id);
    return added ? added->text : vocabulary_text(&tokenizer->model.vocabulary, id, NULL);
}

int32_t tokenizer_size(const struct tokenizer *tokenizer)
{
    const struct added_tokens *added = &tokenizer->added;
    int32_t size = (int32_t)tokenizer->model.vocabulary.size;
    int32_t last = added->count > 0 ? added->tokens[added->by_id[added->count - 1]].id + 1 : 0;
    return max(last, size);
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id)
{
    const struct added_token *added = added_by_id(&tokenizer->added, id);
    return added && added->special;
}

static int32_t role_id(const struct tokenizer *tokenizer, enum special_role role)
{
    return tokenizer->roles[role] ? tokenizer_id(tokenizer, tokenizer->roles[role]) : -1;
}

const char *tokenizer_bos_token(const struct tokenizer *tokenizer)
{
    return tokenizer->roles[ROLE_BOS];
}

const char *tokenizer_eos_token(const struct tokenizer *tokenizer)
{
    return tokenizer->roles[ROLE_EOS];
}

int32_t tokenizer_bos_id(const struct tokenizer *tokenizer)
{
    return role_id(tokenizer, ROLE_BOS);
}

int32_t tokenizer_eos_id(const struct tokenizer *tokenizer)
{
    return role_id(tokenizer, ROLE_EOS);
}

int32_t tokenizer_pad_id(const struct tokenizer *tokenizer)
{
    return role_id(tokenizer, ROLE_PAD);
}

int32_t tokenizer_unk_id(const struct tokenizer *tokenizer)
{
    return role_id(tokenizer, ROLE_UNK);
}

const char *tokenizer_chat_template(const struct tokenizer *tokenizer)
{
    return tokenizer->chat_template;
}
