/*
 * tests/sft/test_batches.c - the loss of an optimizer step is the mean over its trained tokens, however its examples
 * are put into batches: eight at once, two times four, packed into rows or not, with and without checkpointing.
 */
#include "support/cmocka.h"

#include "sft/helper_sft.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* All eight examples, in one step; packed, they make the rows that one or two batches hold. */
#define ONE_STEP "shuffle: false\nmax_steps: 1\nlogging_steps: 1\nsave_steps: 0\nlearning_rate: 0.01\nmax_length: 250\n"

static const struct {
    const char *name, *lines;
} ways[] = {
    {"eight", "per_device_train_batch_size: 8\n"},
    {"two times four", "per_device_train_batch_size: 4\ngradient_accumulation_steps: 2\n"},
    {"three and three and two", "per_device_train_batch_size: 3\ngradient_accumulation_steps: 3\n"},
    {"eight times one", "per_device_train_batch_size: 1\ngradient_accumulation_steps: 8\n"},
    {"packed", "per_device_train_batch_size: 16\npacking: true\n"},
    {"packed, accumulated", "per_device_train_batch_size: 1\ngradient_accumulation_steps: 16\npacking: true\n"},
};
#define WAYS (sizeof ways / sizeof *ways)

static void expect_close(const char *what, double got, double want)
{
    if (!(fabs(got - want) <= 1e-6)) {
        fail_msg("%s is %.9f instead of %.9f", what, got, want);
    }
}

static void every_way(const char *method, const char *keys)
{
    double loss = 0, norm = 0;
    int64_t tokens = 0;
    for (size_t w = 0; w < WAYS; w++) {
        for (int checkpointing = 0; checkpointing < 2; checkpointing++) {
            char lines[512], what[128];
            snprintf(lines, sizeof lines, ONE_STEP "%s%sgradient_checkpointing: %s\n", keys, ways[w].lines,
                     checkpointing ? "true" : "false");
            stage_finish(&tested_sft, "run", lines, NULL);
            double got = run_metric("run", 1, "loss");
            if (w == 0 && !checkpointing) {
                loss = got;
                norm = run_metric("run", 1, "grad_norm");
                tokens = (int64_t)run_metric("run", 1, "num_tokens");
                assert_true(loss > 1 && norm > 0.01);
            }
            assert_int_equal((int64_t)run_metric("run", 1, "num_tokens"), tokens);
            snprintf(what, sizeof what, "%s, %s%s: the loss", method, ways[w].name,
                     checkpointing ? ", checkpointing" : "");
            expect_close(what, got, loss);
            strcpy(strstr(what, ": the loss"), ": grad_norm / its size");
            expect_close(what, run_metric("run", 1, "grad_norm") / norm, 1);
            remove_tree(temporary("run"));
        }
    }
}

static void full_tuning(void **state)
{
    (void)state;
    every_way("full tuning", "finetuning_type: full\n");
}

static void lora(void **state)
{
    (void)state;
    every_way("LoRA", "lora_r: 4\nlora_dropout: 0\n");
}

/* Eight records: what every way takes in its one step. */
static int setup(void **state)
{
    if (sft_setup(state) != 0) {
        return -1;
    }
    struct strbuf all = read_bytes(temporary("train.jsonl"));
    size_t end = 0;
    for (int lines = 0; lines < 8; end++) {
        lines += all.data[end] == '\n';
    }
    write_bytes(temporary("train.jsonl"), all.data, end);
    strbuf_free(&all);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_tuning),
        cmocka_unit_test(lora),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
