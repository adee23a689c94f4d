/*
 * tests/ppo/test_divergence.c - learning rates at which a policy is lost: the run stops with advice, and what was saved
 * before is whole.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "weights/safetensors.h"
#include <math.h>
#include <string.h>

#define LINES                                                                                                          \
    "response_length: 10\nper_device_train_batch_size: 8\ntemperature: 1\nlora_r: 4\nlora_modules_to_save: lm_head\n"  \
    "save_steps: 1\n"
#define ADAPTER "adapter_model.safetensors"

/* The run must fail with advice and without a result; *err says why. */
static void diverge(const char *lines, struct err *err)
{
    stage_fail(&tested_ppo, "run", lines, cpu_backend(DTYPE_F32, 1), err);
    const char *const parts[] = {"diverged", "what was saved before is in", temporary("run"), "learning_rate",
                                 "kl_coef"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!strstr(err->text, parts[i])) {
            fail_msg("'%s' does not say '%s'", err->text, parts[i]);
        }
    }
    assert_false(file_exists(temporary("run/state.json")));
    assert_false(file_exists(temporary("run/" ADAPTER)));
}

/* The trained tensors of the newest checkpoint are numbers. Returns its step. */
static int check_newest_checkpoint(int most)
{
    struct err err;
    struct safetensors *tensors;
    while (most > 0 && !file_exists(temporary("run/checkpoint-%d", most))) {
        most--;
    }
    assert_true(most > 0);
    must(safetensors_open(&tensors, temporary("run/checkpoint-%d/" ADAPTER, most), &err));
    for (int32_t t = 0; t < safetensors_count(tensors); t++) {
        const struct safetensor *tensor = safetensors_at(tensors, t);
        for (int64_t i = 0; i < tensor->count; i++) {
            assert_true(isfinite(((const float *)tensor->data)[i]));
        }
    }
    safetensors_close(tensors);
    return most;
}

/*
 * At a hundred times the rate of test_learning.c, which a warm-up comes to by and by. The run goes on from what was
 * saved, to the same end.
 */
static void by_and_by(void **state)
{
    (void)state;
    int steps[2];
    for (int again = 0; again < 2; again++) {
        struct err err;
        diverge(LINES "max_steps: 60\nlearning_rate: 1\nlr_scheduler_type: constant_with_warmup\nwarmup_steps: 40\n",
                &err);
        steps[again] = check_newest_checkpoint(60);
    }
    print_message("diverged after %d iterations\n", steps[0]);
    assert_int_equal(steps[0], steps[1]);
    remove_tree(temporary("run"));
}

/*
 * A huge rate from the first update on, in the third iteration: the policy leaps. Scores are told by the iteration, so
 * that what comes of the leap is for the worse, or is not. At rates from 0.22 to 0.28 it moves by 5 to 13 nats a token,
 * well between what counts as a leap (3) and what ends a run whatever it brought (100).
 */
#define LEAPING                                                                                                        \
    LINES "learning_rate: 0.24\nlr_scheduler_type: constant\ncritic_warmup_steps: 2\nmax_steps: 4\n"                   \
          "reward_command: sed -u -E -f @/scores.sed\n"

/* Scores of 10 to 17 in iterations `before`, a set of digits, and of `sign` so many in others. */
static void write_scores(const char *before, const char *sign)
{
    struct strbuf program = {0};
    strbuf_printf(&program,
                  "s/.*\"iteration\": [%s], \"index\": ([0-9]*),.*/1\\1/\n"
                  "s/^\\{.*\"index\": ([0-9]*),.*/%s1\\1/\n",
                  before, sign);
    write_bytes(temporary("scores.sed"), program.data, program.length);
    strbuf_free(&program);
}

static void by_a_leap_for_the_worse(void **state)
{
    (void)state;
    struct err err;
    write_scores("012", "-");
    for (int again = 0; again < 2; again++) { /* from the checkpoint behind the leap, too */
        diverge(LEAPING, &err);
        if (!strstr(err.text, "iteration 4: ") || !strstr(err.text, "the mean score fell from 13.5 to -13.5")) {
            fail_msg("%s", err.text);
        }
        assert_int_equal(check_newest_checkpoint(4), 3);
    }
    /* The policy before the leap is kept, and is the one that the run began with. */
    assert_true(same_bytes(temporary("run/checkpoint-1/" ADAPTER), temporary("run/checkpoint-2/" ADAPTER)));
    assert_false(same_bytes(temporary("run/checkpoint-2/" ADAPTER), temporary("run/checkpoint-3/" ADAPTER)));
    remove_tree(temporary("run"));
}

static void a_leap_is_learning_otherwise(void **state)
{
    (void)state;
    write_scores("012", "");
    ppo_finish("run", LEAPING, NULL);
    double moved = run_metric("run", 3, "policy/approxkl_avg");
    print_message("the policy leapt by %.1f nats a token\n", moved);
    assert_true(moved > 3);
    remove_tree(temporary("run"));
}

/* Scores that hardly differ any more, as at the end of learning, fall a little after the leap. */
static void a_small_fall_is_no_divergence(void **state)
{
    (void)state;
    static const char program[] = "s/.*\"iteration\": 0, \"index\": ([0-9]*),.*/1\\1/\n"
                                  "s/.*\"iteration\": [12],.*/13/\n"
                                  "s/^\\{.*/12.9/\n";
    write_bytes(temporary("scores.sed"), program, sizeof program - 1);
    ppo_finish("run", LEAPING, NULL);
    assert_true(run_metric("run", 3, "policy/approxkl_avg") > 3);
    remove_tree(temporary("run"));
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_and_by),
        cmocka_unit_test(by_a_leap_for_the_worse),
        cmocka_unit_test(a_leap_is_learning_otherwise),
        cmocka_unit_test(a_small_fall_is_no_divergence),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
