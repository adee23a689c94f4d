/* model/export.c - see export.h. */
#include "model/export.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/padding.h"
#include "text/chat_template/chat_template.h"
#include "text/model_text.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define CONFIG_MAX ((size_t)16 << 20)

struct tensor_source {
    const struct safetensor *tensor; /* NULL: the base has none, and `change` gives the values */
    const char *name;                /* what it is written as */
    const struct export_options *options;
};

static int read_tensor(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    const struct tensor_source *source = context;
    if (source->tensor) {
        safetensor_read(out, source->tensor, first, count);
    }
    if (source->options->change &&
        source->options->change(source->options->context, source->name, out, first, count, err) != 0) {
        return -1;
    }
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(out[i])) {
            return err_set(err,
                           "tensor '%s' would hold a value that is not finite (element %lld); the training diverged, "
                           "or a file is damaged",
                           source->name, (long long)(first + i));
        }
    }
    return 0;
}

/* Whether the base's tensor is written at all. */
static bool is_written(const struct model *model, const char *name, const struct export_options *options)
{
    char head[TENSOR_NAME_MAX];
    architecture_tensor_name(head, model->config.architecture, TENSOR_HEAD);
    if (strcmp(name, head) != 0) {
        return true;
    }
    /* Some tied models carry a copy of the embedding as their head; written again it could contradict the trained one.
     */
    return !options->score && (!model->config.tied || options->untie);
}

static int write_weights(const struct model *model, const char *path, const struct export_options *options,
                         struct err *err)
{
    int32_t base_count = safetensors_count(model->files);
    /* One tensor more than the base: a head of its own, or a score head. */
    char more[TENSOR_NAME_MAX];
    architecture_tensor_name(more, model->config.architecture, options->score ? TENSOR_SCORE : TENSOR_HEAD);
    bool one_more = (options->score || options->untie) && !safetensors_find(model->files, more);
    int32_t most = base_count + (one_more ? 1 : 0), count = 0;
    struct tensor_source *sources = mem_alloc((size_t)most, sizeof *sources, err);
    struct safetensor_spec *specs = mem_alloc((size_t)most, sizeof *specs, err);
    int result = sources && specs ? 0 : -1;
    for (int32_t i = 0; result == 0 && i < most; i++) {
        const struct safetensor *tensor =
            i < base_count ? safetensors_at(model->files, i) : model_tensor(model, TENSOR_EMBEDDING);
        const char *name = i < base_count ? tensor->name : more;
        bool fresh_score = i == base_count && options->score;
        if (!is_written(model, name, options)) {
            continue;
        }
        sources[count] = (struct tensor_source){tensor, name, options};
        specs[count] = (struct safetensor_spec){.name = name,
                                                .dtype = options->keep_dtype ? tensor->dtype : options->dtype,
                                                .rank = tensor->rank,
                                                .read = read_tensor,
                                                .context = &sources[count]};
        memcpy(specs[count].shape, tensor->shape, sizeof specs[count].shape);
        if (fresh_score) {
            sources[count].tensor = NULL;
            specs[count].shape[0] = 1;
        }
        count++;
    }
    if (result == 0) {
        result = safetensors_write(path, specs, count, NULL, err);
    }
    mem_free(sources);
    mem_free(specs);
    safetensors_release(model->files);
    return result;
}

static const char *torch_dtype(enum dtype dtype)
{
    static const char *const names[] = {"float32", "bfloat16", "float16"};
    return names[dtype];
}

/* With the fewest digits that give every number back: 1e-05 does not become 1.0000000000000001e-05. */
static char *config_text(const json_t *config)
{
    for (size_t digits = 15; digits <= 17; digits++) {
        char *text = json_dumps(config, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        struct err cause;
        json_t *again = text ? json_read_text(text, strlen(text), "config.json", &cause) : NULL;
        bool same = again && json_equal(config, again), starved = !again;
        json_decref(again);
        if (same) {
            return text;
        }
        mem_free(text);
        if (starved) {
            return NULL;
        }
    }
    return NULL;
}

/* LlamaForCausalLM becomes LlamaForSequenceClassification with one label. Returns other than 0 for want of memory. */
static int describe_scorer(json_t *config, const struct score_head *score, const struct padding *padding)
{
    const char *class = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    size_t family = class ? strcspn(class, "F") : 0; /* "Llama", "Qwen2": no family has an F but that of "For" */
    int edits = 0;
    if (class && strncmp(class + family, "For", 3) == 0) {
        edits |=
            json_object_set_new(config, "architectures",
                                json_pack("[o]", json_sprintf("%.*sForSequenceClassification", (int)family, class)));
    }
    edits |= json_object_set_new(config, "id2label", json_pack("{s:s}", "0", "LABEL_0"));
    edits |= json_object_set_new(config, "label2id", json_pack("{s:i}", "LABEL_0", 0));
    edits |= json_object_set_new(config, "num_labels", json_integer(1));
    edits |= json_object_set_new(config, "pad_token_id", padding->id >= 0 ? json_integer(padding->id) : json_null());
    return edits | json_object_set_new(config, SCORE_OFFSET_KEY, json_real(score->offset));
}

/* config.json with the dtype and the tie as they now are; every other key and their order are kept. */
static int write_config(const struct model *model, const char *path, const struct export_options *options,
                        struct err *err)
{
    char *from = file_join(model->folder, "config.json", err);
    json_t *config = from ? json_read_file(from, CONFIG_MAX, err) : NULL;
    struct padding padding = {0};
    char *text = NULL;
    int result = -1, edits = 0;
    if (!config || (options->score && padding_choose(&padding, model, options->chat_template, err) != 0)) {
        goto done;
    }
    if (!options->keep_dtype) {
        const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
        edits |= json_object_set_new(config, key, json_string(torch_dtype(options->dtype)));
    }
    if (options->untie) {
        edits |= json_object_set_new(config, "tie_word_embeddings", json_false());
    }
    if (options->score) {
        edits |= describe_scorer(config, options->score, &padding);
    }
    text = edits == 0 ? config_text(config) : NULL;
    if (!text) {
        err_set(err, "out of memory while writing %s", path);
        goto done;
    }
    result = file_write_whole(path, text, strlen(text), err);
done:
    padding_free(&padding);
    mem_free(text); /* jansson allocates through base/mem.h, or malloc where no main() hooked it: free() serves both */
    if (config) {
        json_decref(config);
    }
    mem_free(from);
    return result;
}

int model_export_weights(const struct model *model, const char *folder, const struct export_options *options,
                         struct err *err)
{
    char *weights = file_join(folder, "model.safetensors", err);
    char *config = file_join(folder, "config.json", err);
    int result = weights && config ? write_weights(model, weights, options, err) : -1;
    if (result == 0) {
        result = write_config(model, config, options, err);
    }
    mem_free(weights);
    mem_free(config);
    return result;
}

static int write_template(const char *chat_template, const char *folder, struct err *err)
{
    char *to = file_join(folder, "chat_template.jinja", err);
    const char *source = chat_template_builtin_source(chat_template);
    int result = -1;
    if (to && file_exists(chat_template)) {
        result = file_copy(chat_template, to, err);
    } else if (to) {
        result = source ? file_write_whole(to, source, strlen(source), err)
                        : err_set(err, "the chat template '%s' is neither a file nor a built-in one", chat_template);
    }
    mem_free(to);
    return result;
}

static int write_padding(const struct model *model, const char *folder, const char *chat_template, struct err *err)
{
    struct padding padding;
    int result = padding_choose(&padding, model, chat_template, err);
    if (result == 0) {
        result = padding_write(&padding, folder, err);
    }
    if (result == 0 && padding.id >= 0) {
        log_info("pad token %d %s: transformers reads the score in front of the padding, and no answer ends with it",
                 padding.id, strbuf_text(&padding.token));
    } else if (result == 0) {
        log_warn("no token is free to pad with, so transformers can score one text at a time only; add a pad token to "
                 "the tokenizer of %s to change that",
                 model->folder);
    }
    padding_free(&padding);
    return result;
}

/* What generation begins from in `folder`: generation_config.json, or what transformers makes of config.json without.
 */
static json_t *generation_config(const char *folder, const char *path, struct err *err)
{
    static const char *const kept[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    if (file_exists(path)) {
        return json_read_file(path, CONFIG_MAX, err);
    }
    char *from = file_join(folder, "config.json", err);
    json_t *config = from ? json_read_file(from, CONFIG_MAX, err) : NULL;
    json_t *generation = config ? json_object() : NULL;
    bool starved = !generation;
    for (size_t i = 0; !starved && i < sizeof kept / sizeof *kept; i++) {
        if (json_object_get(config, kept[i])) {
            starved = json_object_set(generation, kept[i], json_object_get(config, kept[i])) != 0;
        }
    }
    if (config && starved) {
        err_set(err, "out of memory while writing %s", path);
        json_decref(generation);
        generation = NULL;
    }
    json_decref(config);
    mem_free(from);
    return generation;
}

/* eos_token_id with one token more: a list. */
static int add_end(json_t *generation, int32_t token)
{
    json_t *ends = json_object_get(generation, "eos_token_id");
    if (!json_is_array(ends)) {
        ends = json_is_integer(ends) ? json_pack("[O]", ends) : json_array();
        if (json_object_set_new(generation, "eos_token_id", ends) != 0) {
            return -1;
        }
    }
    return json_array_append_new(ends, json_integer(token));
}

/*
 * transformers and vLLM end an answer at the tokens that generation_config.json names. A base model's does not name
 * what a chat template closes a turn with, and the tuned model would talk on.
 */
static int write_ends(const struct model *model, const char *folder, struct err *err)
{
    char *tokenizer = file_join(folder, "tokenizer.json", err);
    char *path = file_join(folder, "generation_config.json", err), *written = NULL;
    struct model_text text = {.closing_token = -1};
    json_t *generation = NULL;
    int result = tokenizer && path ? 0 : -1;
    if (result == 0 && file_exists(tokenizer)) {
        result = model_text_open(&text, folder, NULL, err);
    }
    if (result != 0 || text.closing_token < 0 || stop_tokens_have(model->config.stop_tokens, text.closing_token)) {
        goto done;
    }
    generation = generation_config(model->folder, path, err);
    if (!generation) {
        result = -1;
        goto done;
    }
    written = add_end(generation, text.closing_token) == 0 ? config_text(generation) : NULL;
    result = written ? file_write_whole(path, written, strlen(written), err)
                     : err_set(err, "out of memory while writing %s", path);
    if (result == 0) {
        log_info("generation_config.json names %d as an end too: the chat template closes an answer with it",
                 text.closing_token);
    }
done:
    model_text_close(&text);
    json_decref(generation);
    mem_free(written);
    mem_free(tokenizer);
    mem_free(path);
    return result;
}

int model_copy_texts(const struct model *model, const char *folder, const struct export_options *options,
                     struct err *err)
{
    static const char *const names[] = {"tokenizer.json",    "tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json", "chat_template.jinja",   "vocab.json",
                                        "merges.txt",        "tokenizer.model",       "generation_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *from = file_join(model->folder, names[i], err), *to = file_join(folder, names[i], err);
        int result = from && to ? 0 : -1;
        if (result == 0 && file_exists(from)) {
            result = file_copy(from, to, err);
        }
        mem_free(from);
        mem_free(to);
        if (result != 0) {
            return -1;
        }
    }
    if (options->chat_template && write_template(options->chat_template, folder, err) != 0) {
        return -1;
    }
    return options->score ? write_padding(model, folder, options->chat_template, err) : write_ends(model, folder, err);
}

/* A folder that has something in it is somebody's work. */
static int refuse_used(const char *to, struct err *err)
{
    char **names;
    size_t count;
    if (!file_exists(to)) {
        return 0;
    }
    if (!file_is_dir(to)) {
        return err_set(err, "'%s' is a file; give a folder that is not there yet", to);
    }
    if (file_list(&names, &count, to, err) != 0) {
        return -1;
    }
    file_names_free(names, count);
    return count ? err_set(err, "'%s' is not empty; give a folder that is not there yet, or remove it first", to) : 0;
}

int model_export(const struct model *model, const char *to, const struct export_options *options, struct err *err)
{
    size_t length = strlen(to);
    while (length > 1 && to[length - 1] == '/') {
        length--;
    }
    char *place = mem_copy_string(to, length, err), *beside = mem_alloc(length + 16, 1, err);
    int result = -1;
    if (!place || !beside || refuse_used(place, err) != 0) {
        goto done;
    }
    memcpy(beside, place, length);
    strcpy(beside + length, ".partial");
    result = file_remove_tree(beside, err);
    if (result == 0) {
        result = file_make_dirs(beside, err);
    }
    if (result == 0) {
        result = model_export_weights(model, beside, options, err);
    }
    if (result == 0) {
        result = model_copy_texts(model, beside, options, err);
    }
    if (result == 0) {
        result = file_remove_tree(place, err); /* an empty folder may be in the way */
    }
    if (result == 0) {
        result = file_publish_dir(beside, place, err);
    }
    if (result != 0) { /* the last sync can fail after the renaming; nothing of anybody's was in `place` */
        struct err ignored;
        file_remove_tree(beside, &ignored);
        file_remove_tree(place, &ignored);
    }
done:
    mem_free(place);
    mem_free(beside);
    return result;
}

int model_change_to_masters(void *context, const char *name, float *values, int64_t first, int64_t count,
                            struct err *err)
{
    const struct model *model = context;
    for (int32_t i = 0; i < model->parameters.count; i++) {
        const struct parameter *parameter = &model->parameters.items[i];
        if (strcmp(parameter->name, name) != 0) {
            continue;
        }
        assert(first + count <= parameter_size(parameter));
        return backend_download(model->backend, values, parameter->master + first, (size_t)count * sizeof *values, err);
    }
    return 0;
}
