/* model/arch/config.c - reading config.json; see config.h. */
#include "model/arch/config.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/arch/arch.h"
#include <math.h>
#include <string.h>

#define CONFIG_MAX    ((size_t)16 << 20)
#define DIMENSION_MAX (1 << 24) /* no dimension of a model is longer */
#define LAYERS_MAX    4096 /* and none has more layers: what is listed for each is bounded before any file is read */

/* Frequencies are f32: beyond these bounds they would be no numbers. */
static int check_theta(const struct rope_config *rope, const char *where, struct err *err)
{
    if (rope->theta >= 1.0 && rope->theta <= 1e30) {
        return 0;
    }
    return err_set(err, "%s: rope_theta must be from 1 to 1e30, but it is %g", where, rope->theta);
}

static int read_rope(struct rope_config *rope, const json_t *root, const char *where, struct err *err)
{
    *rope = (struct rope_config){.type = ROPE_DEFAULT, .theta = 10000.0, .factor = 1.0};
    if (json_get_double(root, "rope_theta", &rope->theta, where, err) != 0) {
        return -1;
    }
    const json_t *scaling = json_object_get(root, "rope_parameters");
    if (!json_is_object(scaling)) {
        scaling = json_object_get(root, "rope_scaling");
    }
    if (!json_is_object(scaling)) {
        return check_theta(rope, where, err);
    }
    const char *type = "default";
    if (json_get_string(scaling, "type", &type, where, err) != 0 ||
        json_get_string(scaling, "rope_type", &type, where, err) != 0 ||
        json_get_double(scaling, "rope_theta", &rope->theta, where, err) != 0 ||
        json_get_double(scaling, "factor", &rope->factor, where, err) != 0 || check_theta(rope, where, err) != 0) {
        return -1;
    }
    double rotary_share = 1.0;
    if (json_get_double(scaling, "partial_rotary_factor", &rotary_share, where, err) != 0) {
        return -1;
    }
    if (rotary_share < 1.0) {
        return err_set(err, "%s: partial_rotary_factor %g is not supported; rotary positions must cover whole heads",
                       where, rotary_share);
    }
    if (strcmp(type, "default") == 0) {
        return 0;
    }
    if (!(rope->factor >= 1.0 && rope->factor <= 1e6)) {
        return err_set(err, "%s: the rope 'factor' must be from 1 to 1e6, but it is %g", where, rope->factor);
    }
    if (strcmp(type, "linear") == 0) {
        rope->type = ROPE_LINEAR;
        return 0;
    }
    if (strcmp(type, "llama3") != 0) {
        return err_set(err, "%s: rope type '%s' is not supported; default, linear and llama3 are", where, type);
    }
    rope->type = ROPE_LLAMA3;
    if (json_get_double(scaling, "low_freq_factor", &rope->low_freq_factor, where, err) != 0 ||
        json_get_double(scaling, "high_freq_factor", &rope->high_freq_factor, where, err) != 0 ||
        json_get_double(scaling, "original_max_position_embeddings", &rope->original_max_positions, where, err) != 0) {
        return -1;
    }
    if (!(rope->low_freq_factor > 0 && rope->high_freq_factor > rope->low_freq_factor &&
          rope->original_max_positions > 0)) {
        return err_set(
            err, "%s: llama3 rope needs 0 < low_freq_factor < high_freq_factor and original_max_position_embeddings",
            where);
    }
    return 0;
}

static void add_stop_token(struct model_config *config, int64_t id)
{
    int at = 0;
    while (config->stop_tokens[at] >= 0 && config->stop_tokens[at] != id) {
        at++;
    }
    if (config->stop_tokens[at] < 0 && at < STOP_TOKENS_MAX && id >= 0 && id < config->vocabulary) {
        config->stop_tokens[at] = (int32_t)id;
        config->stop_tokens[at + 1] = -1;
    }
}

/* eos_token_id is a number or a list of them. */
static void add_stop_tokens(struct model_config *config, const json_t *root)
{
    const json_t *eos = json_object_get(root, "eos_token_id");
    if (json_is_integer(eos)) {
        add_stop_token(config, json_integer_value(eos));
    }
    for (size_t i = 0; i < json_array_size(eos); i++) {
        if (json_is_integer(json_array_get(eos, i))) {
            add_stop_token(config, json_integer_value(json_array_get(eos, i)));
        }
    }
}

static int read_sizes(struct model_config *config, const json_t *root, const char *where, struct err *err)
{
    struct {
        const char *key;
        int32_t *field;
        int64_t most;
    } sizes[] = {{"vocab_size", &config->vocabulary, DIMENSION_MAX},
                 {"hidden_size", &config->hidden, DIMENSION_MAX},
                 {"intermediate_size", &config->intermediate, DIMENSION_MAX},
                 {"num_hidden_layers", &config->layers, LAYERS_MAX},
                 {"num_attention_heads", &config->heads, DIMENSION_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t value;
        if (json_need_int(root, sizes[i].key, &value, 1, sizes[i].most, where, err) != 0) {
            return -1;
        }
        *sizes[i].field = (int32_t)value;
    }
    int64_t kv_heads = config->heads, head_size = config->hidden / config->heads, positions = 2048;
    if (json_get_int(root, "num_key_value_heads", &kv_heads, 1, config->heads, where, err) != 0 ||
        json_get_int(root, "head_dim", &head_size, 2, 1024, where, err) != 0 ||
        json_get_int(root, "max_position_embeddings", &positions, 1, 1 << 28, where, err) != 0) {
        return -1;
    }
    if (config->heads % kv_heads != 0) {
        return err_set(err, "%s: num_attention_heads (%d) must be a multiple of num_key_value_heads (%d)", where,
                       config->heads, (int)kv_heads);
    }
    if (head_size < 2 || head_size % 2) {
        return err_set(err, "%s: head_dim (%d) must be even for rotary positions", where, (int)head_size);
    }
    if (config->heads * head_size > DIMENSION_MAX) {
        return err_set(err, "%s: num_attention_heads (%d) times head_dim (%d) is more than any model has (%d)", where,
                       config->heads, (int)head_size, DIMENSION_MAX);
    }
    config->kv_heads = (int32_t)kv_heads;
    config->head_size = (int32_t)head_size;
    config->max_positions = (int32_t)positions;
    return 0;
}

static int read_dtype(enum dtype *dtype, const json_t *root, const char *where, struct err *err)
{
    const char *name = "float32";
    if (json_get_string(root, "torch_dtype", &name, where, err) != 0 ||
        json_get_string(root, "dtype", &name, where, err) != 0) {
        return -1;
    }
    *dtype = strcmp(name, "bfloat16") == 0 ? DTYPE_BF16 : strcmp(name, "float16") == 0 ? DTYPE_F16 : DTYPE_F32;
    return 0;
}

static int read_config(struct model_config *config, const json_t *root, const char *where, struct err *err)
{
    const char *type = NULL, *activation = "silu";
    if (json_need_string(root, "model_type", &type, where, err) != 0 ||
        json_get_string(root, "hidden_act", &activation, where, err) != 0) {
        return -1;
    }
    config->architecture = architecture_find(type);
    if (!config->architecture) {
        return err_set(err,
                       "%s: model_type '%s' is not supported; attune reads the Llama family ('llama': Llama 2 and 3, "
                       "SmolLM2, TinyLlama and their kin)",
                       where, type);
    }
    snprintf(config->model_type, sizeof config->model_type, "%s", type);
    if (strcmp(activation, "silu") != 0) {
        return err_set(err, "%s: hidden_act '%s' is not supported; llama models use 'silu'", where, activation);
    }
    if (json_object_get(root, "quantization_config") && !json_is_null(json_object_get(root, "quantization_config"))) {
        return err_set(
            err, "%s: the model is quantised (quantization_config); attune needs the original f32, bf16 or f16 weights",
            where);
    }
    double epsilon = 1e-6;
    int64_t bos = -1, pad = -1;
    if (read_sizes(config, root, where, err) != 0 || read_rope(&config->rope, root, where, err) != 0 ||
        json_get_double(root, "rms_norm_eps", &epsilon, where, err) != 0 ||
        json_get_bool(root, "tie_word_embeddings", &config->tied, where, err) != 0 ||
        json_get_bool(root, "attention_bias", &config->attention_bias, where, err) != 0 ||
        json_get_bool(root, "mlp_bias", &config->mlp_bias, where, err) != 0 ||
        read_dtype(&config->dtype, root, where, err) != 0 ||
        json_get_double(root, SCORE_OFFSET_KEY, &config->score_offset, where, err) != 0) {
        return -1;
    }
    if (json_is_integer(json_object_get(root, "bos_token_id"))) {
        bos = json_integer_value(json_object_get(root, "bos_token_id"));
    }
    if (!(epsilon >= 0 && epsilon < 1)) {
        return err_set(err, "%s: rms_norm_eps must be from 0 to below 1, but it is %g", where, epsilon);
    }
    config->bos_token = bos >= 0 && bos < config->vocabulary ? (int32_t)bos : -1;
    if (json_is_integer(json_object_get(root, "pad_token_id"))) {
        pad = json_integer_value(json_object_get(root, "pad_token_id"));
    }
    config->pad_token = pad >= 0 && pad < config->vocabulary ? (int32_t)pad : -1;
    config->norm_epsilon = (float)epsilon;
    config->stop_tokens[0] = -1;
    add_stop_tokens(config, root);
    return 0;
}

int model_config_read(struct model_config *config, const char *folder, struct err *err)
{
    *config = (struct model_config){0};
    if (!file_is_dir(folder)) {
        return err_set(err,
                       "'%s' is no folder; a model is a folder in Hugging Face's form, with config.json, "
                       "model.safetensors and tokenizer.json",
                       folder);
    }
    char *path = file_join(folder, "config.json", err);
    char *generation_path = file_join(folder, "generation_config.json", err);
    int result = -1;
    json_t *root = path && generation_path ? json_read_file(path, CONFIG_MAX, err) : NULL;
    if (root && !json_is_object(root)) {
        err_set(err, "%s is not a JSON object", path);
    } else if (root) {
        result = read_config(config, root, path, err);
    }
    if (result == 0 && file_exists(generation_path)) {
        json_t *generation = json_read_file(generation_path, CONFIG_MAX, err);
        if (generation) {
            add_stop_tokens(config, generation);
        } else {
            result = -1;
        }
        json_decref(generation);
    }
    json_decref(root);
    mem_free(path);
    mem_free(generation_path);
    return result;
}

bool stop_tokens_have(const int32_t *stop_tokens, int32_t id)
{
    for (; stop_tokens && *stop_tokens >= 0; stop_tokens++) {
        if (*stop_tokens == id) {
            return true;
        }
    }
    return false;
}

bool model_config_same_shape(const struct model_config *a, const struct model_config *b)
{
    return a->hidden == b->hidden && a->intermediate == b->intermediate && a->layers == b->layers &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_size == b->head_size;
}

void rope_frequencies(const struct model_config *config, float *frequencies)
{
    const struct rope_config *rope = &config->rope;
    const double pi = 3.14159265358979323846;
    for (int32_t i = 0; i < config->head_size / 2; i++) {
        float frequency = 1.0f / powf((float)rope->theta, (float)(2 * i) / (float)config->head_size);
        if (rope->type == ROPE_LINEAR) {
            frequency /= (float)rope->factor;
        }
        if (rope->type == ROPE_LLAMA3) {
            /* Slow waves are stretched by `factor`, fast ones kept, those between blended (Llama 3.1's apply_scaling).
             */
            double wavelength = 2 * pi / (double)frequency;
            double slow = rope->original_max_positions / rope->low_freq_factor;
            double fast = rope->original_max_positions / rope->high_freq_factor;
            if (wavelength > slow) {
                frequency /= (float)rope->factor;
            } else if (wavelength >= fast) {
                double smooth = (rope->original_max_positions / wavelength - rope->low_freq_factor) /
                                (rope->high_freq_factor - rope->low_freq_factor);
                frequency = (float)((1 - smooth) * (double)frequency / rope->factor + smooth * (double)frequency);
            }
        }
        frequencies[i] = frequency;
    }
}
