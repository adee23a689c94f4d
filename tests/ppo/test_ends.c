/*
 * tests/ppo/test_ends.c - a model whose files do not know the token that its chat template closes a turn with ends its
 * answers there all the same: in rollouts, evaluations and samples.
 */
#include "support/cmocka.h"

#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/run_files.h"
#include "support/temporary.h"
#include <string.h>

#define STEPS 3

static const char lines[] = "response_length: 40\nper_device_train_batch_size: 8\nmax_steps: 3\nlearning_rate: 1e-3\n"
                            "temperature: 1\nnum_ppo_epochs: 1\nmissing_eos_penalty: 1\neval_split: 0.2\n";

/* Writes `to` in place of `from` in a file of the model. */
static void change(const char *file, const char *from, const char *to)
{
    struct strbuf bytes = read_bytes(temporary("model/%s", file)), changed = {0};
    const char *at = strstr(bytes.data, from);
    assert_non_null(at);
    strbuf_append(&changed, bytes.data, (size_t)(at - bytes.data));
    strbuf_puts(&changed, to);
    strbuf_puts(&changed, at + strlen(from));
    write_bytes(temporary("model/%s", file), changed.data, changed.length);
    strbuf_free(&bytes);
    strbuf_free(&changed);
}

static void base_model(void **state)
{
    (void)state;
    change("tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"", "\"eos_token\": null");
    ppo_finish("told", lines, NULL);
    change("config.json", "\"eos_token_id\": 2", "\"eos_token_id\": null");
    ppo_finish("found", lines, NULL); /* where nothing but the template speaks of an end */
    struct strbuf told = run_metrics("told"), found = run_metrics("found");
    assert_string_equal(strbuf_text(&found), strbuf_text(&told));
    strbuf_free(&told);
    strbuf_free(&found);
    assert_true(same_bytes(temporary("told/adapter_model.safetensors"), temporary("found/adapter_model.safetensors")));
    double ended = 0;
    for (int step = 1; step <= STEPS; step++) {
        ended += run_metric("found", step, "val/num_eos_tokens");
    }
    assert_true(ended > 0 && ended < 8 * STEPS);
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(base_model)};
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
