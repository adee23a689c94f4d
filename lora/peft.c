/* lora/peft.c - adapters from and to PEFT's files; see peft.h. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "lora/internal.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX ((size_t)16 << 20)
#define META_BASE  "attune.base"
#define META_TIED  "attune.tied"

void peft_tensor_name(char out[PEFT_NAME_MAX], const char *path, const char *leaf)
{
    snprintf(out, PEFT_NAME_MAX, PEFT_PREFIX "%s.%s", path, leaf);
}

/* ---- reading ---- */

/* What we would compute differently is refused by name. */
static int refuse_unknown(const json_t *config, const char *where, struct err *err)
{
    static const struct {
        const char *key, *remedy;
    } switches[] = {
        {"use_dora",
         "DoRA adapters are not read yet; merge it with PEFT first (merge_and_unload), or train a plain LoRA"},
        {"fan_in_fan_out", "the adapter is for a model with transposed weights (GPT-2); this model has none"},
        {"lora_bias", "biases in B are not read; train with lora_bias false"},
        {"use_qalora", "QALoRA is not read; train a plain LoRA"},
        {"use_bdlora", "block-diagonal LoRA is not read; train a plain LoRA"},
    };
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        if (json_is_true(json_object_get(config, switches[i].key))) {
            return err_set(err, "%s: %s is true: %s", where, switches[i].key, switches[i].remedy);
        }
    }
    const char *type = "LORA", *bias = "none";
    if (json_get_string(config, "peft_type", &type, where, err) != 0 ||
        json_get_string(config, "bias", &bias, where, err) != 0) {
        return -1;
    }
    if (strcmp(type, "LORA") != 0) {
        return err_set(err, "%s: peft_type '%s' is not read; LORA is", where, type);
    }
    if (strcmp(bias, "none") != 0) {
        return err_set(err, "%s: bias '%s' is not read; train with bias none", where, bias);
    }
    return 0;
}

static bool alpha_fits(double alpha)
{
    return alpha > 0 && alpha <= LORA_ALPHA_MAX;
}

/* alpha of a module: alpha_pattern's entry that matches its path, else the default. Patterns are names, perhaps
 * anchored. */
static int pattern_alpha(const json_t *config, const char *path, double *alpha, const char *where, struct err *err)
{
    const char *pattern;
    json_t *value;
    json_object_foreach(json_object_get(config, "alpha_pattern"), pattern, value)
    {
        const char *name = *pattern == '^' ? pattern + 1 : pattern;
        if (strpbrk(name, "*+?()[]{}|\\$^")) {
            return err_set(
                err,
                "%s: alpha_pattern '%s' is a regular expression, which is not read; write the module's name or path",
                where, pattern);
        }
        if (!json_is_number(value) || !alpha_fits(json_number_value(value))) {
            return err_set(err, "%s: alpha_pattern '%s' must be a number above 0 and at most %g", where, pattern,
                           LORA_ALPHA_MAX);
        }
        if (*pattern == '^' ? strcmp(path, name) == 0 : adapter_name_matches(path, name)) {
            *alpha = json_number_value(value);
            return 0;
        }
    }
    return 0;
}

/* One linear layer's A and B, when the file has them; their shapes against the model's. */
static int read_target(struct adapter *adapter, const json_t *config, int32_t linear, const char *where, int32_t *used,
                       struct err *err)
{
    const struct linear_spec *spec = &adapter->model->linears[linear].spec;
    const char *path = spec->path;
    char a_name[PEFT_NAME_MAX], b_name[PEFT_NAME_MAX];
    peft_tensor_name(a_name, path, "lora_A.weight");
    peft_tensor_name(b_name, path, "lora_B.weight");
    const struct safetensor *a = safetensors_find(adapter->source, a_name),
                            *b = safetensors_find(adapter->source, b_name);
    if (!a && !b) {
        return 0;
    }
    if (!a || !b) {
        return err_set(err, "%s: there is %s without %s; the file is incomplete", where, a ? a_name : b_name,
                       a ? b_name : a_name);
    }
    if (a->rank != 2 || b->rank != 2 || a->shape[1] != spec->inputs || b->shape[0] != spec->outputs ||
        a->shape[0] != b->shape[1]) {
        return err_set(
            err, "%s: the adapter's %s does not fit the model's layer [%d, %d]; it was made for another base model",
            where, path, spec->outputs, spec->inputs);
    }
    double alpha = adapter->alpha;
    if (pattern_alpha(config, path, &alpha, where, err) != 0) {
        return -1;
    }
    *used += 2;
    int32_t rank = a->shape[0] <= LORA_RANK_MAX ? (int32_t)a->shape[0] : 0;
    if (adapter_add_target(adapter, linear, rank, alpha, err) != 0) {
        return err_prefix(err, "%s", where);
    }
    return 0;
}

static int read_replacement(struct adapter *adapter, enum tensor_role role, bool *saved, const char *where,
                            int32_t *used, struct err *err)
{
    const char *path = adapter_module(adapter, role);
    char name[PEFT_NAME_MAX];
    peft_tensor_name(name, path, "weight");
    const struct safetensor *tensor = safetensors_find(adapter->source, name);
    if (!tensor) {
        return 0;
    }
    const struct model_config *config = &adapter->model->config;
    if (tensor->rank != 2 || tensor->shape[0] != config->vocabulary || tensor->shape[1] != config->hidden) {
        return err_set(
            err, "%s: the saved %s is not [%d, %d] as the model's; it was made for another base model or vocabulary",
            where, path, config->vocabulary, config->hidden);
    }
    *saved = true;
    *used += 1;
    return 0;
}

static int read_score(struct adapter *adapter, const char *where, int32_t *used, struct err *err)
{
    char name[PEFT_NAME_MAX], *end = NULL;
    peft_tensor_name(name, adapter_module(adapter, TENSOR_SCORE), "weight");
    const struct safetensor *tensor = safetensors_find(adapter->source, name);
    if (!tensor) {
        return 0;
    }
    if (tensor->rank != 2 || tensor->shape[0] != 1 || tensor->shape[1] != adapter->model->config.hidden) {
        return err_set(err,
                       "%s: the score head is not [1, %d]; a reward model has one label and the model's hidden size",
                       where, adapter->model->config.hidden);
    }
    const char *offset = safetensors_metadata(adapter->source, SCORE_OFFSET_KEY);
    adapter->score_offset = offset ? strtod(offset, &end) : 0;
    if (!isfinite(adapter->score_offset) || (offset && (end == offset || *end))) {
        return err_set(err, "%s: %s is no number: '%s'; the file is damaged", where, SCORE_OFFSET_KEY, offset);
    }
    adapter->save_score = true;
    *used += 1;
    return 0;
}

/* Whether a tensor's name has "lm_head.<part>" in it, or the like of another module. */
static bool is_part_of(const struct adapter *adapter, const char *name, enum tensor_role role, const char *part)
{
    char words[PEFT_NAME_MAX];
    snprintf(words, sizeof words, "%s.%s", path_leaf(adapter_module(adapter, role)), part);
    return strstr(name, words) != NULL;
}

static int read_tensors(struct adapter *adapter, const json_t *config, const char *where, struct err *err)
{
    int32_t used = 0;
    for (int32_t n = 0; n < adapter->model->linear_count; n++) {
        if (read_target(adapter, config, n, where, &used, err) != 0) {
            return -1;
        }
    }
    if (read_replacement(adapter, TENSOR_EMBEDDING, &adapter->save_embedding, where, &used, err) != 0 ||
        read_replacement(adapter, TENSOR_HEAD, &adapter->save_head, where, &used, err) != 0 ||
        read_score(adapter, where, &used, err) != 0) {
        return -1;
    }
    const char *tied = safetensors_metadata(adapter->source, META_TIED);
    if (tied && strcmp(tied, "true") == 0 && adapter->save_embedding && adapter->save_head &&
        adapter->model->config.tied) {
        adapter->tied = true;
        adapter->save_head = false;
    }
    for (int32_t i = 0; used < safetensors_count(adapter->source) && i < safetensors_count(adapter->source); i++) {
        const char *name = safetensors_at(adapter->source, i)->name;
        bool known = strstr(name, ".lora_A.weight") || strstr(name, ".lora_B.weight") ||
                     is_part_of(adapter, name, TENSOR_EMBEDDING, "weight") ||
                     is_part_of(adapter, name, TENSOR_HEAD, "weight") ||
                     is_part_of(adapter, name, TENSOR_SCORE, "weight");
        if (!known || is_part_of(adapter, name, TENSOR_HEAD, "lora_") ||
            is_part_of(adapter, name, TENSOR_EMBEDDING, "lora_")) {
            return err_set(err,
                           "%s: tensor '%s' is of a kind that is not read here; adapters on q, k, v, o, gate, up and "
                           "down and whole embed_tokens, lm_head and score are",
                           where, name);
        }
    }
    if (used < safetensors_count(adapter->source)) {
        return err_set(err,
                       "%s has tensors for layers that the model %s does not have; it was made for another base model",
                       where, adapter->model->folder);
    }
    if (used == 0) {
        return err_set(err, "%s is empty: it has no tensor for any layer of the model", where);
    }
    return 0;
}

static int check_base(const struct adapter *adapter, const char *where, struct err *err)
{
    const char *base = safetensors_metadata(adapter->source, META_BASE);
    if (!base) {
        return 0; /* of another program: names and shapes must do */
    }
    if (strcmp(base, adapter->base) != 0) {
        return err_set(err,
                       "%s was trained on other weights than those in %s (fingerprints %.8s and %.8s); use the base it "
                       "was trained on, or train it anew",
                       where, adapter->model->folder, base, adapter->base);
    }
    return 0;
}

static int read_config(struct adapter *adapter, const json_t *config, const char *where, struct err *err)
{
    int64_t rank = 0;
    if (refuse_unknown(config, where, err) != 0 ||
        json_need_int(config, "r", &rank, 1, LORA_RANK_MAX, where, err) != 0) {
        return -1;
    }
    adapter->rank = (int32_t)rank;
    adapter->alpha = 8; /* PEFT's default */
    if (json_get_double(config, "lora_alpha", &adapter->alpha, where, err) != 0 ||
        json_get_double(config, "lora_dropout", &adapter->dropout, where, err) != 0 ||
        json_get_bool(config, "use_rslora", &adapter->rank_stabilized, where, err) != 0) {
        return -1;
    }
    if (!alpha_fits(adapter->alpha) || !(adapter->dropout >= 0 && adapter->dropout < 1)) {
        return err_set(err, "%s: lora_alpha must be above 0 and at most %g, and lora_dropout from 0 to below 1", where,
                       LORA_ALPHA_MAX);
    }
    return 0;
}

int adapter_open(struct adapter **out, struct model *model, const char *folder, struct err *err)
{
    struct adapter *adapter = NULL;
    char *config_path = file_join(folder, "adapter_config.json", err), *path = NULL;
    json_t *config = NULL;
    int result = -1;
    if (!config_path) {
        return -1;
    }
    path = file_join(folder, "adapter_model.safetensors", err);
    if (!path) {
        goto done;
    }
    if (!file_exists(config_path)) {
        err_set(err, "'%s' is no adapter: it has no adapter_config.json (an adapter is a folder in PEFT's form)",
                folder);
        goto done;
    }
    config = json_read_file(config_path, CONFIG_MAX, err);
    if (!config || adapter_new(&adapter, model, err) != 0) {
        goto done;
    }
    adapter->folder = mem_copy_string(folder, strlen(folder), err);
    if (!adapter->folder || read_config(adapter, config, config_path, err) != 0 ||
        safetensors_open(&adapter->source, path, err) != 0 || read_tensors(adapter, config, path, err) != 0 ||
        check_base(adapter, path, err) != 0) {
        goto done;
    }
    *out = adapter;
    adapter = NULL;
    result = 0;
done:
    adapter_free(adapter);
    if (config) {
        json_decref(config);
    }
    mem_free(config_path);
    mem_free(path);
    return result;
}

int adapter_fingerprint(const struct adapter *adapter, struct hash *out, struct err *err)
{
    struct file_map map;
    char *path = file_join(adapter->folder, "adapter_model.safetensors", err);
    int result = path ? file_map_open(&map, path, err) : -1;
    mem_free(path);
    if (result != 0) {
        return -1;
    }
    *out = hash_bytes(map.data, map.size);
    file_map_close(&map);
    for (int32_t i = 0; i < adapter->target_count; i++) {
        double scale = adapter_scale(adapter, &adapter->targets[i]);
        struct hash link[2] = {*out, hash_bytes(&scale, sizeof scale)};
        *out = hash_bytes(link, sizeof link);
    }
    return 0;
}

/* ---- writing ---- */

static const struct linear_spec *target_spec(const struct adapter *adapter, const struct adapter_target *target)
{
    return &adapter->model->linears[target->linear].spec;
}

/* The last names of the layers that have targets, when each of them is on every layer ("q_proj"); else full paths. */
static void put_target_modules(struct strbuf *text, const struct adapter *adapter)
{
    const struct model *model = adapter->model;
    int32_t missing[LINEAR_ROLE_COUNT] = {0}; /* linears of a role without a target */
    for (int32_t n = 0; n < model->linear_count; n++) {
        missing[model->linears[n].spec.role]++;
    }
    for (int32_t i = 0; i < adapter->target_count; i++) {
        missing[target_spec(adapter, &adapter->targets[i])->role]--;
    }
    const char *comma = "";
    for (int32_t n = 0; n < model->linear_count; n++) {
        const struct linear_spec *spec = &model->linears[n].spec;
        if (missing[spec->role] != 0) {
            continue;
        }
        strbuf_printf(text, "%s\"%s\"", comma, path_leaf(spec->path));
        comma = ", ";
        missing[spec->role] = -1; /* written */
    }
    for (int32_t i = 0; i < adapter->target_count; i++) {
        const struct linear_spec *spec = target_spec(adapter, &adapter->targets[i]);
        if (missing[spec->role] < 0) {
            continue;
        }
        strbuf_printf(text, "%s\"%s\"", comma, spec->path);
        comma = ", ";
    }
}

/* Targets that differ from the adapter's rank (alpha == false) or alpha (true). */
static void put_pattern(struct strbuf *text, const struct adapter *adapter, bool alpha)
{
    const char *comma = "";
    for (int32_t i = 0; i < adapter->target_count; i++) {
        const struct adapter_target *target = &adapter->targets[i];
        if (alpha ? target->alpha == adapter->alpha : target->rank == adapter->rank) {
            continue;
        }
        strbuf_printf(text, "%s\"%s\": %.17g", comma, target_spec(adapter, target)->path,
                      alpha ? target->alpha : (double)target->rank);
        comma = ", ";
    }
}

static void put_saved_modules(struct strbuf *text, const struct adapter *adapter)
{
    const struct {
        bool saved;
        enum tensor_role role;
    } modules[] = {{adapter->save_embedding, TENSOR_EMBEDDING},
                   {adapter->save_head || adapter->tied, TENSOR_HEAD},
                   {adapter->save_score, TENSOR_SCORE}};
    const char *between = "[";
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        if (modules[i].saved) {
            strbuf_printf(text, "%s\"%s\"", between, path_leaf(adapter_module(adapter, modules[i].role)));
            between = ", ";
        }
    }
    strbuf_puts(text, *between == '[' ? "null" : "]");
}

static int write_config(const struct adapter *adapter, const char *path, const char *base_name, struct err *err)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "{\n  \"peft_type\": \"LORA\",\n  \"task_type\": \"%s\",\n  \"base_model_name_or_path\": ",
                  adapter->save_score ? "SEQ_CLS" : "CAUSAL_LM");
    strbuf_put_json(&text, base_name, strlen(base_name));
    strbuf_printf(&text, ",\n  \"r\": %d,\n  \"lora_alpha\": %.17g,\n  \"lora_dropout\": %.17g,\n", adapter->rank,
                  adapter->alpha, adapter->dropout);
    strbuf_printf(&text,
                  "  \"use_rslora\": %s,\n  \"use_dora\": false,\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": "
                  "false,\n  \"inference_mode\": true,\n  \"init_lora_weights\": true,\n",
                  adapter->rank_stabilized ? "true" : "false");
    strbuf_puts(&text, "  \"target_modules\": [");
    put_target_modules(&text, adapter);
    strbuf_puts(&text, "],\n  \"rank_pattern\": {");
    put_pattern(&text, adapter, false);
    strbuf_puts(&text, "},\n  \"alpha_pattern\": {");
    put_pattern(&text, adapter, true);
    strbuf_puts(&text, "},\n  \"modules_to_save\": ");
    put_saved_modules(&text, adapter);
    strbuf_puts(&text, "\n}\n");
    int result = strbuf_check(&text, err);
    if (result == 0) {
        result = file_write_whole(path, text.data, text.length, err);
    }
    strbuf_free(&text);
    return result;
}

struct parameter_reader {
    struct backend *backend;
    const struct parameter *parameter;
};

static int read_parameter(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    const struct parameter_reader *reader = context;
    return backend_download(reader->backend, out, reader->parameter->master + first, (size_t)count * sizeof *out, err);
}

static int write_tensors(const struct adapter *adapter, const char *path, struct err *err)
{
    int32_t count = adapter->parameters.count + (adapter->tied ? 1 : 0);
    struct safetensor_spec *specs = mem_alloc((size_t)count, sizeof *specs, err);
    struct parameter_reader *readers = mem_alloc((size_t)count, sizeof *readers, err);
    int result = specs && readers ? 0 : -1;
    char head_name[PEFT_NAME_MAX], offset[32];
    peft_tensor_name(head_name, adapter_module(adapter, TENSOR_HEAD), "weight");
    for (int32_t i = 0; result == 0 && i < count; i++) {
        bool twin = i == adapter->parameters.count; /* the tied embedding once more, as the head */
        const struct parameter *parameter = &adapter->parameters.items[twin ? 2 * adapter->target_count : i];
        readers[i] = (struct parameter_reader){adapter->backend, parameter};
        specs[i] = (struct safetensor_spec){.name = twin ? head_name : parameter->name,
                                            .dtype = DTYPE_F32,
                                            .rank = 2,
                                            .shape = {parameter->rows, parameter->columns},
                                            .read = read_parameter,
                                            .context = &readers[i]};
    }
    if (result == 0) {
        snprintf(offset, sizeof offset, "%.17g", adapter->score.offset);
        const char *metadata[] = {META_BASE,
                                  adapter->base,
                                  META_TIED,
                                  adapter->tied ? "true" : "false",
                                  adapter->save_score ? SCORE_OFFSET_KEY : NULL,
                                  offset,
                                  NULL};
        result = safetensors_write(path, specs, count, metadata, err);
    }
    mem_free(specs);
    mem_free(readers);
    return result;
}

int adapter_save(const struct adapter *adapter, const char *folder, const char *base_name, struct err *err)
{
    assert(adapter->backend && adapter->parameters.count > 0);
    char *config_path = file_join(folder, "adapter_config.json", err);
    char *path = file_join(folder, "adapter_model.safetensors", err);
    int result = config_path && path ? write_tensors(adapter, path, err) : -1;
    if (result == 0) {
        result = write_config(adapter, config_path, base_name, err);
    }
    mem_free(config_path);
    mem_free(path);
    return result;
}
