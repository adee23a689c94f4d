/*
 * tests/model/test_inventory.c - the list of a model's tensors: each role once with its name and shape, linear layers
 * by number, and files that do not hold to it are refused with a sentence that names the tensor.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <string.h>

#define LAYERS  2
#define TENSORS 40

/* tiny-llama3: vocabulary 96, hidden 32, 4 heads and 2 of keys of 24, intermediate 48, every bias, a head. */
static const struct {
    enum tensor_role role;
    const char *name; /* inside its layer, where it is in one */
    int32_t rows, columns;
    bool in_layer, optional;
} expected[] = {
    {TENSOR_EMBEDDING, "model.embed_tokens.weight", 96, 32, false, false},
    {TENSOR_ATTENTION_NORM, "input_layernorm.weight", 32, 0, true, false},
    {TENSOR_MLP_NORM, "post_attention_layernorm.weight", 32, 0, true, false},
    {TENSOR_LINEAR, "self_attn.q_proj.weight", 96, 32, true, false},
    {TENSOR_LINEAR_BIAS, "self_attn.q_proj.bias", 96, 0, true, false},
    {TENSOR_LINEAR, "self_attn.k_proj.weight", 48, 32, true, false},
    {TENSOR_LINEAR_BIAS, "self_attn.k_proj.bias", 48, 0, true, false},
    {TENSOR_LINEAR, "self_attn.v_proj.weight", 48, 32, true, false},
    {TENSOR_LINEAR_BIAS, "self_attn.v_proj.bias", 48, 0, true, false},
    {TENSOR_LINEAR, "self_attn.o_proj.weight", 32, 96, true, false},
    {TENSOR_LINEAR_BIAS, "self_attn.o_proj.bias", 32, 0, true, false},
    {TENSOR_LINEAR, "mlp.gate_proj.weight", 48, 32, true, false},
    {TENSOR_LINEAR_BIAS, "mlp.gate_proj.bias", 48, 0, true, false},
    {TENSOR_LINEAR, "mlp.up_proj.weight", 48, 32, true, false},
    {TENSOR_LINEAR_BIAS, "mlp.up_proj.bias", 48, 0, true, false},
    {TENSOR_LINEAR, "mlp.down_proj.weight", 32, 48, true, false},
    {TENSOR_LINEAR_BIAS, "mlp.down_proj.bias", 32, 0, true, false},
    {TENSOR_FINAL_NORM, "model.norm.weight", 32, 0, false, false},
    {TENSOR_HEAD, "lm_head.weight", 96, 32, false, true},
    {TENSOR_SCORE, "score.weight", 1, 32, false, true},
};

static struct inventory inventory_of(struct model_config *config, const char *fixture)
{
    struct err err;
    struct inventory inventory;
    must(model_config_read(config, fixture_path(fixture, "."), &err));
    must(architecture_inventory(&inventory, config, &err));
    return inventory;
}

static void each_role_once(void **state)
{
    (void)state;
    struct model_config config;
    struct inventory inventory = inventory_of(&config, "tiny-llama3");
    int32_t count = 0;
    assert_int_equal(config.layers, LAYERS);
    for (size_t e = 0; e < sizeof expected / sizeof *expected; e++) {
        for (int32_t l = expected[e].in_layer ? 0 : -1; l < (expected[e].in_layer ? LAYERS : 0); l++, count++) {
            char name[TENSOR_NAME_MAX] = "";
            if (expected[e].in_layer) {
                snprintf(name, sizeof name, "model.layers.%d.", l);
            }
            strcat(name, expected[e].name);
            const struct inventory_item *item = inventory_find(&inventory, name);
            if (!item) {
                fail_msg("there is no %s", name);
            }
            assert_int_equal(item->role, expected[e].role);
            assert_int_equal(item->layer, l);
            assert_int_equal(item->rows, expected[e].rows);
            assert_int_equal(item->columns, expected[e].columns);
            assert_true(item->optional == expected[e].optional);
            assert_int_equal(inventory_item_size(item),
                             expected[e].rows * (expected[e].columns ? expected[e].columns : 1));
        }
    }
    assert_int_equal(inventory.count, count); /* so nothing is listed twice */
    inventory_free(&inventory);
    inventory = inventory_of(&config, "tiny-llama"); /* tied, without biases */
    assert_null(inventory_find(&inventory, "lm_head.weight"));
    assert_int_equal(inventory.count, 3 + LAYERS * (2 + 7));
    inventory_free(&inventory);
}

/* The indices of linear layers: items, the list of the model and the table of its layer say the same. */
static void linears_by_index(void **state)
{
    (void)state;
    struct err err;
    struct model *model;
    must(model_open(&model, fixture_path("tiny-llama3", "."), &err));
    int32_t seen = 0;
    for (int32_t i = 0; i < model->tensors.count; i++) {
        const struct inventory_item *item = &model->tensors.items[i];
        assert_true((item->linear >= 0) == (item->role == TENSOR_LINEAR || item->role == TENSOR_LINEAR_BIAS));
        if (item->role != TENSOR_LINEAR) {
            continue;
        }
        const struct linear_spec *spec = &model->linears[item->linear].spec;
        assert_int_equal(item->linear, seen++);
        assert_true(spec->has_bias && spec->outputs == item->rows && spec->inputs == item->columns);
        assert_int_equal(spec->layer, item->layer);
        assert_int_equal(model->layers[spec->layer].linears[spec->role], item->linear);
        assert_memory_equal(item->name, spec->path, strlen(spec->path));
        assert_string_equal(item->name + strlen(spec->path), ".weight");
    }
    assert_int_equal(seen, model->linear_count);
    model_free(model);
}

/* tiny-llama3 without the tensor `without`, and with a row too few in `shortened`. */
static void write_model(const char *without, const char *shortened)
{
    struct err err;
    struct safetensors *files;
    struct safetensor_spec specs[TENSORS];
    int32_t count = 0;
    remove_tree(temporary("model"));
    must(file_make_dirs(temporary("model"), &err));
    must(file_copy(fixture_path("tiny-llama3", "config.json"), temporary("model/config.json"), &err));
    must(safetensors_open(&files, fixture_path("tiny-llama3", "model.safetensors"), &err));
    for (int32_t i = 0; i < safetensors_count(files); i++) {
        const struct safetensor *tensor = safetensors_at(files, i);
        if (strcmp(tensor->name, without) == 0) {
            continue;
        }
        assert_true(count < TENSORS);
        specs[count] = copied_tensor(tensor);
        if (strcmp(tensor->name, shortened) == 0) {
            specs[count].shape[0]--;
        }
        count++;
    }
    must(safetensors_write(temporary("model/model.safetensors"), specs, count, NULL, &err));
    safetensors_close(files);
}

static void refuse(const char *without, const char *shortened, const char *sentence)
{
    struct err err = {{0}};
    struct model *model;
    write_model(without, shortened);
    assert_int_equal(model_open(&model, temporary("model"), &err), -1);
    if (strcmp(err.text, sentence) != 0) {
        fail_msg("the sentence is\n%s\nand not\n%s", err.text, sentence);
    }
}

static void wrong_files(void **state)
{
    (void)state;
    static const char *const names[] = {"model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight",
                                        "model.layers.1.self_attn.k_proj.bias", "model.layers.0.input_layernorm.weight",
                                        "model.norm.weight"};
    static const char *const shapes[] = {"[96, 32]", "[48, 32]", "[48]", "[32]", "[32]"};
    char sentence[1024];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(sentence, sizeof sentence,
                 "%s: the weights have no tensor '%s', which config.json calls for; the folder is incomplete or of "
                 "another architecture",
                 temporary("model"), names[i]);
        refuse(names[i], "", sentence);
        snprintf(sentence, sizeof sentence,
                 "%s: tensor '%s' does not have the shape %s that config.json calls for; config and weights are of "
                 "different models",
                 temporary("model/model.safetensors"), names[i], shapes[i]);
        refuse("", names[i], sentence);
    }
    snprintf(sentence, sizeof sentence,
             "%s: tensor 'lm_head.weight' does not have the shape [96, 32] that config.json calls for; config and "
             "weights are of different models",
             temporary("model/model.safetensors"));
    refuse("", "lm_head.weight", sentence);
    /* Without a head the embedding is the head. */
    struct err err;
    struct model *model;
    write_model("lm_head.weight", "");
    must(model_open(&model, temporary("model"), &err));
    assert_true(model->config.tied && !model->is_scorer);
    assert_null(inventory_find(&model->tensors, "lm_head.weight"));
    model_free(model);
}

static void families(void **state)
{
    (void)state;
    assert_null(architecture_find("llamas"));
    const struct architecture *llama = architecture_find("llama");
    assert_non_null(llama);
    char name[TENSOR_NAME_MAX];
    architecture_tensor_name(name, llama, TENSOR_HEAD);
    assert_string_equal(name, "lm_head.weight");
    assert_string_equal(path_leaf("model.layers.1.mlp.up_proj"), "up_proj");
    assert_string_equal(path_leaf("lm_head"), "lm_head");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_role_once),
        cmocka_unit_test(linears_by_index),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(families),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
