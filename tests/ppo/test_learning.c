/*
 * tests/ppo/test_learning.c - a known reward is learned: the share of one word in the answers is driven to 95 % of its
 * maximum in under 60 iterations, from three seeds, by gae, grpo and rloo.
 */
#include "support/cmocka.h"

#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <stdio.h>

#define LENGTH     12
#define ITERATIONS 59
/* The head is trained too: tied to an embedding as small as this model's, none could be sure of any token. */
#define LINES                                                                                                          \
    "response_length: 12\nmax_steps: 59\ntemperature: 1\nkl_coef: 0\nsave_steps: 0\nlora_r: 8\n"                       \
    "lora_modules_to_save: lm_head\nnum_ppo_epochs: 4\n"

static void learn(const char *what, const char *lines)
{
    for (int seed = 1; seed <= 3; seed++) {
        char all[1024];
        snprintf(all, sizeof all, "%s%sseed: %d\n", lines, ppo_counting(" sea"), seed);
        ppo_finish("run", all, NULL);
        double first = run_metric("run", 1, "objective/scores") / LENGTH, best = 0;
        int at = 0;
        for (int step = 1; step <= ITERATIONS; step++) {
            double share = run_metric("run", step, "objective/scores") / LENGTH;
            at = share > best && best < 0.95 ? step : at;
            best = share > best ? share : best;
        }
        print_message("%s, seed %d: from %.3f to %.3f of the maximum, 95 %% by iteration %d\n", what, seed, first, best,
                      at);
        if (!(first < 0.1 && best >= 0.95)) {
            fail_msg("%s, seed %d: the score went from %.3f to %.3f of its maximum", what, seed, first, best);
        }
        remove_tree(temporary("run"));
    }
}

static void gae(void **state)
{
    (void)state;
    learn("gae", LINES "learning_rate: 5e-3\nper_device_train_batch_size: 96\nlam: 1\n");
}

static void grpo(void **state)
{
    (void)state;
    learn("grpo", LINES
          "learning_rate: 4e-3\nadvantage_estimator: grpo\nper_device_train_batch_size: 8\nnum_generations: 16\n");
}

static void rloo(void **state)
{
    (void)state;
    learn("rloo", LINES
          "learning_rate: 5e-3\nadvantage_estimator: rloo\nper_device_train_batch_size: 16\nnum_generations: 8\n");
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gae),
        cmocka_unit_test(grpo),
        cmocka_unit_test(rloo),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
