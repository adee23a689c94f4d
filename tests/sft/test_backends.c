/* tests/sft/test_backends.c - the stage on other backends than the plain CPU's (support/backend_runs.h). */
#include "support/cmocka.h"

#include "sft/helper_sft.h"
#include "support/backend_runs.h"
#include "support/temporary.h"

/* A little of everything: packing, dropout, accumulation, evaluation with samples, checkpoints, the best one at the
 * end. */
#define COMMON                                                                                                         \
    "eval_dataset: @/eval.jsonl\npacking: true\nmax_length: 200\nper_device_train_batch_size: 2\n"                     \
    "gradient_accumulation_steps: 2\nmax_steps: 7\nlogging_steps: 2\neval_steps: 3\nsave_steps: 2\n"                   \
    "load_best_model_at_end: true\nlearning_rate: 3e-3\nsample_prompts: [what is the sea, name an animal]\n"           \
    "sample_max_new_tokens: 12\n"

static const struct stage_method methods[] = {
    {"lora", COMMON "lora_r: 4\nlora_dropout: 0.1\n", "adapter_model.safetensors"},
    {"whole modules", COMMON "lora_r: 4\nlora_dropout: 0.1\nlora_modules_to_save: [embed_tokens, lm_head]\n",
     "adapter_model.safetensors"},
    {"checkpointing", COMMON "lora_r: 4\nlora_dropout: 0.1\ngradient_checkpointing: true\n",
     "adapter_model.safetensors"},
    {"full", COMMON "finetuning_type: full\nweight_decay: 0.1\n", "model.safetensors"},
};

int main(void)
{
    struct backend_runs runs = {
        .stage = &tested_sft,
        .methods = methods,
        .count = sizeof methods / sizeof *methods,
        .compared = {"samples.jsonl", "checkpoint-6/optimizer.safetensors"},
        .reference_lines = "max_steps: 3\nlogging_steps: 1\nsave_steps: 0\nper_device_train_batch_size: 3\n"
                           "learning_rate: 3e-3\nlora_r: 4\nlora_dropout: 0.1\n",
        .breaks = {1500},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(guarded_equals_plain, &runs),
        cmocka_unit_test_prestate(threads_change_nothing, &runs),
        cmocka_unit_test_prestate(steps_equal_the_reference, &runs),
        cmocka_unit_test_prestate(nothing_is_allocated_inside_steps, &runs),
        cmocka_unit_test_prestate(a_broken_device_ends_the_run, &runs),
    };
    return cmocka_run_group_tests(tests, sft_setup, temporary_teardown);
}
