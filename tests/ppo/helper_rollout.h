/*
 * tests/ppo/helper_rollout.h - the answers of tests/fixtures/ppo, and what the equations of PPO say of them
 * (tests/reference/ppo_update.py).
 *
 * Everything here fails the running cmocka test with a sentence instead of returning an error.
 */
#ifndef ATTUNE_TESTS_PPO_HELPER_ROLLOUT_H
#define ATTUNE_TESTS_PPO_HELPER_ROLLOUT_H

#include "base/json.h"
#include "ppo/advantage.h"
#include <math.h>

struct rollout {
    json_t *json;
    struct episodes episodes; /* with scores and numbers by token; rewards, advantages and returns are zeros */
    float *logprobs, *entropies, *new_values; /* [token_count], of policy and critic as they are now */
    int64_t *answers;                         /* [count] 0 .. count - 1 */
};

void rollout_open(struct rollout *rollout);
void rollout_close(struct rollout *rollout);

/* The case of that number, NULL behind the last; and the one of that name. */
const json_t *rollout_case(const struct rollout *rollout, size_t number);
const json_t *rollout_case_named(const struct rollout *rollout, const char *name);
/* The keys that a case sets, and the statistics it starts from ("statistics" or "statistics_after"). */
struct ppo_recipe rollout_recipe(const struct rollout *rollout, const json_t *rollout_case);
struct score_statistics rollout_statistics(const json_t *rollout_case, const char *key);

/* The token ids of a list. */
int64_t rollout_ids(const json_t *list, int32_t *ids, int64_t most);

/* Fails where a number is further than 1e-5 * max(0.01, |expected|) from the case's expected one. */
void expect_number(const json_t *rollout_case, const char *key, double value);
void expect_numbers(const json_t *rollout_case, const char *key, const double *values, int64_t count);
void expect_floats(const json_t *rollout_case, const char *key, const float *values, int64_t count);

/* cmocka's assert_float_equal() for doubles; a NaN is near nothing. */
#define assert_near(value, expected, tolerance)                                                                        \
    do {                                                                                                               \
        double near_value = (value), near_expected = (expected);                                                       \
        if (!(fabs(near_value - near_expected) <= (tolerance)))                                                        \
            fail_msg("%s is %.9g, expected %.9g", #value, near_value, near_expected);                                  \
    } while (0)

#endif
