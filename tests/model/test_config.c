/*
 * tests/model/test_config.c - config.json: both dialects, rotary frequencies against transformers'
 * (tests/fixtures/rope.json), stop tokens, and what is refused with the key and a remedy.
 */
#include "support/cmocka.h"

#include "base/json.h"
#include "model/arch/config.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The least a config.json must have; `more` begins with a comma and stands behind, so that its keys win. */
#define LEAST                                                                                                          \
    "\"model_type\": \"llama\", \"vocab_size\": 100, \"hidden_size\": 64, \"intermediate_size\": 96, "                 \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 8"

static void write_config(const char *more)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "{" LEAST "%s}", more);
    write_bytes(temporary("config.json"), text.data, text.length);
    strbuf_free(&text);
}

static struct model_config config_with(const char *more)
{
    struct err err;
    struct model_config config;
    write_config(more);
    must(model_config_read(&config, temporary("."), &err));
    return config;
}

static void dialects(void **state)
{
    (void)state;
    struct model_config config = config_with("");
    assert_int_equal(config.kv_heads, 8);
    assert_int_equal(config.head_size, 8);
    assert_int_equal(config.dtype, DTYPE_F32);
    assert_int_equal(config.bos_token, -1);
    assert_int_equal(config.stop_tokens[0], -1);
    assert_int_equal(config.rope.type, ROPE_DEFAULT);
    assert_false(config.tied || config.attention_bias || config.mlp_bias);
    config = config_with(", \"num_key_value_heads\": null, \"head_dim\": 24, \"torch_dtype\": \"bfloat16\", "
                         "\"tie_word_embeddings\": true, \"attention_bias\": true, \"mlp_bias\": true, "
                         "\"rope_theta\": 500000.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}");
    assert_int_equal(config.kv_heads, 8);
    assert_int_equal(config.head_size, 24);
    assert_int_equal(config.dtype, DTYPE_BF16);
    assert_int_equal(config.rope.type, ROPE_LINEAR);
    assert_true(config.rope.theta == 500000.0 && config.rope.factor == 4.0);
    assert_true(config.tied && config.attention_bias && config.mlp_bias);
    config = config_with(", \"dtype\": \"float16\", \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": "
                         "250000.0, \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
                         "\"original_max_position_embeddings\": 8192}");
    assert_int_equal(config.dtype, DTYPE_F16);
    assert_int_equal(config.rope.type, ROPE_LLAMA3);
    assert_true(config.rope.theta == 250000.0 && config.rope.original_max_positions == 8192);
}

static void stop_tokens(void **state)
{
    (void)state;
    static const char generation[] = "{\"eos_token_id\": [7, 2, 99, 100, -1, \"x\"]}";
    write_bytes(temporary("generation_config.json"), generation, strlen(generation));
    struct model_config config = config_with(", \"eos_token_id\": 2, \"bos_token_id\": 1");
    static const int32_t want[] = {2, 7, 99, -1};
    assert_memory_equal(config.stop_tokens, want, sizeof want);
    assert_int_equal(config.bos_token, 1);
    config = config_with(", \"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18], \"bos_token_id\": 100");
    assert_int_equal(config.stop_tokens[STOP_TOKENS_MAX - 1], 16);
    assert_int_equal(config.stop_tokens[STOP_TOKENS_MAX], -1);
    assert_int_equal(config.bos_token, -1);
    write_bytes(temporary("generation_config.json"), "{", 1);
    struct err err;
    assert_int_equal(model_config_read(&config, temporary("."), &err), -1);
    assert_non_null(strstr(err.text, "generation_config.json"));
    remove_tree(temporary("generation_config.json"));
}

/* Every case of the fixture: the frequencies where the type is one of ours, a refusal that names it elsewhere. */
static void frequencies(void **state)
{
    (void)state;
    struct err err;
    size_t i;
    json_t *root = json_read_file(fixture_path("rope.json", NULL), 1 << 22, &err), *one;
    int compared = 0, refused = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "cases"), i, one)
    {
        const json_t *rope = json_object_get(one, "rope_parameters"), *want = json_object_get(one, "inv_freq");
        const char *type = json_string_value(json_object_get(rope, "rope_type"));
        struct model_config config;
        struct strbuf more = {0};
        char *text = json_dumps(rope, JSON_COMPACT);
        strbuf_printf(&more, ", \"head_dim\": %lld, \"rope_parameters\": %s",
                      (long long)json_integer_value(json_object_get(one, "head_dim")), text);
        free(text);
        write_config(more.data);
        strbuf_free(&more);
        int result = model_config_read(&config, temporary("."), &err);
        const json_t *share = json_object_get(rope, "partial_rotary_factor");
        bool ours = strcmp(type, "default") == 0 || strcmp(type, "linear") == 0 || strcmp(type, "llama3") == 0;
        if (!ours || share) {

            assert_int_equal(result, -1);
            assert_non_null(strstr(err.text, ours ? "partial_rotary_factor" : type));
            refused++;
            continue;
        }
        must(result);
        float got[512];
        assert_int_equal(config.head_size / 2, json_array_size(want));
        rope_frequencies(&config, got);
        for (size_t f = 0; f < json_array_size(want); f++) {
            double expected = json_number_value(json_array_get(want, f));
            if (!(fabs((double)got[f] - expected) <= 1e-6 * expected)) {
                fail_msg("%s: frequency %zu is %.9g instead of %.9g", json_string_value(json_object_get(one, "name")),
                         f, (double)got[f], expected);
            }
        }
        compared++;
    }
    assert_true(compared >= 4 && refused >= 1);
    json_decref(root);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *more, *key, *words;
    } cases[] = {
        {", \"model_type\": \"gpt2\"", "model_type", "Llama family"},
        {", \"model_type\": null", "model_type", "model_type"},
        {", \"hidden_act\": \"gelu\"", "hidden_act", "'silu'"},
        {", \"vocab_size\": null", "vocab_size", "vocab_size"},
        {", \"vocab_size\": 0", "vocab_size", "from 1"},
        {", \"hidden_size\": 99999999999", "hidden_size", "from 1"},
        {", \"num_hidden_layers\": \"two\"", "num_hidden_layers", "integer"},
        {", \"num_hidden_layers\": 4097", "num_hidden_layers", "from 1 to 4096"},
        {", \"num_key_value_heads\": 3", "num_key_value_heads", "multiple"},
        {", \"num_key_value_heads\": 16", "num_key_value_heads", "from 1 to 8"},
        {", \"head_dim\": 7", "head_dim", "even"},
        {", \"hidden_size\": 72, \"head_dim\": null", "head_dim", "even"},
        {", \"num_attention_heads\": 16777216, \"head_dim\": 1024", "head_dim", "more than any model"},
        {", \"rms_norm_eps\": \"small\"", "rms_norm_eps", "number"},
        {", \"rms_norm_eps\": -1", "rms_norm_eps", "from 0 to below 1"},
        {", \"rms_norm_eps\": 1e308", "rms_norm_eps", "from 0 to below 1"},
        {", \"rope_theta\": 0", "rope_theta", "from 1 to 1e30"},
        {", \"rope_theta\": -10000.0", "rope_theta", "from 1 to 1e30"},
        {", \"rope_scaling\": {\"type\": \"default\", \"rope_theta\": 1e300}", "rope_theta", "from 1 to 1e30"},
        {", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 1e308}", "factor", "to 1e6"},
        {", \"tie_word_embeddings\": 1", "tie_word_embeddings", "true or false"},
        {", \"quantization_config\": {\"bits\": 4}", "quantization_config", "original f32, bf16 or f16"},
        {", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0.5}", "factor", "from 1"},
        {", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}", "low_freq_factor", "llama3"},
        {", \"rope_parameters\": {\"partial_rotary_factor\": 0.5}", "partial_rotary_factor", "whole heads"},
    };
    struct model_config config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {{0}};
        write_config(cases[i].more);
        if (model_config_read(&config, temporary("."), &err) == 0) {
            fail_msg("this was taken: %s", cases[i].more);
        }
        if (!strstr(err.text, cases[i].key) || !strstr(err.text, cases[i].words) || !strstr(err.text, "config.json")) {
            fail_msg("%s: '%s' does not speak of %s and '%s'", cases[i].more, err.text, cases[i].key, cases[i].words);
        }
    }
    struct err err = {{0}};
    write_bytes(temporary("config.json"), "[1]", 3);
    assert_int_equal(model_config_read(&config, temporary("."), &err), -1);
    assert_non_null(strstr(err.text, "not a JSON object"));
    assert_int_equal(model_config_read(&config, temporary("nowhere"), &err), -1);
    assert_non_null(strstr(err.text, "is no folder"));
    remove_tree(temporary("config.json"));
    assert_int_equal(model_config_read(&config, temporary("."), &err), -1);
    assert_non_null(strstr(err.text, "config.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialects),
        cmocka_unit_test(stop_tokens),
        cmocka_unit_test(frequencies),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
