/* Learning rates against transformers', and what no reference says. */
#include "base/json.h"
#include "support/cmocka.h"
#include "train/schedule.h"
#include <math.h>
#include <string.h>

static enum schedule_kind kind_named(const char *name)
{
    static const char *const names[] = {
        [SCHEDULE_CONSTANT] = "constant",
        [SCHEDULE_CONSTANT_WITH_WARMUP] = "constant_with_warmup",
        [SCHEDULE_LINEAR] = "linear",
        [SCHEDULE_COSINE] = "cosine",
        [SCHEDULE_COSINE_WITH_MIN_LR] = "cosine_with_min_lr",
        [SCHEDULE_WARMUP_STABLE_DECAY] = "warmup_stable_decay",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum schedule_kind)i;
        }
    }
    fail_msg("unknown schedule %s", name);
    return SCHEDULE_CONSTANT;
}

static json_t *reference(const char *member, json_t **whole)
{
    struct err err;
    *whole = json_read_file(ATTUNE_FIXTURES "/schedule.json", 1 << 20, &err);
    assert_non_null(*whole);
    json_t *list = json_object_get(*whole, member);
    assert_true(json_array_size(list) > 5);
    return list;
}

static void stays_and_falls_at_the_end(void **state)
{
    (void)state;
    struct schedule schedule = {
        .kind = SCHEDULE_WARMUP_STABLE_DECAY, .learning_rate = 1, .warmup_steps = 2, .total_steps = 20};
    static const double rates[] = {0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0};
    for (int64_t step = 0; step < (int64_t)(sizeof rates / sizeof *rates); step++) {
        assert_true(fabs(schedule_rate(&schedule, step) - rates[step]) < 1e-15);
    }
    schedule.min_lr_rate = 0.5;
    assert_true(fabs(schedule_rate(&schedule, 18) - 0.75) < 1e-15);
    schedule = (struct schedule){.kind = SCHEDULE_WARMUP_STABLE_DECAY, .learning_rate = 1, .total_steps = 1};
    assert_true(schedule_rate(&schedule, 0) == 1);
}

static void follows_transformers(void **state)
{
    (void)state;
    json_t *whole, *curves = reference("curves", &whole), *curve, *rate;
    size_t i, step;
    json_array_foreach(curves, i, curve)
    {
        struct schedule schedule = {
            .kind = kind_named(json_string_value(json_object_get(curve, "type"))),
            .learning_rate = json_number_value(json_object_get(curve, "learning_rate")),
            .min_lr_rate = json_number_value(json_object_get(curve, "min_lr_rate")),
            .warmup_steps = json_integer_value(json_object_get(curve, "warmup_steps")),
            .total_steps = json_integer_value(json_object_get(curve, "total_steps")),
        };
        json_t *rates = json_object_get(curve, "rates");
        assert_int_equal(json_array_size(rates), schedule.total_steps);
        json_array_foreach(rates, step, rate)
        {
            double ours = schedule_rate(&schedule, (int64_t)step), theirs = json_number_value(rate);
            if (!(fabs(ours - theirs) <= 1e-15 * schedule.learning_rate)) {
                fail_msg("curve %zu, step %zu: %.17g, not %.17g", i, step, ours, theirs);
            }
        }
    }
    json_decref(whole);
}

static void counts_warmup_steps(void **state)
{
    (void)state;
    json_t *whole, *warmups = reference("warmups", &whole), *warmup;
    size_t i;
    json_array_foreach(warmups, i, warmup)
    {
        int64_t steps = schedule_warmup_steps(json_number_value(json_object_get(warmup, "warmup_steps")),
                                              json_integer_value(json_object_get(warmup, "total_steps")));
        assert_int_equal(steps, json_integer_value(json_object_get(warmup, "steps")));
    }
    json_decref(whole);
    assert_int_equal(schedule_warmup_steps(100, 10), 10);
    assert_int_equal(schedule_warmup_steps(1e12, 10), 10);
    assert_int_equal(schedule_warmup_steps(0.5, 0), 0);
}

static void stays_at_its_end(void **state)
{
    (void)state;
    for (int kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_COSINE_WITH_MIN_LR; kind++) {
        bool falls = kind != SCHEDULE_CONSTANT && kind != SCHEDULE_CONSTANT_WITH_WARMUP;
        struct schedule schedule = {(enum schedule_kind)kind, 1, falls ? 0.1 : 0, 2, 10};
        for (int64_t step = 10; step < 15; step++) {
            assert_true(fabs(schedule_rate(&schedule, step) - (falls ? 0.1 : 1)) < 1e-15);
        }
    }
    struct schedule empty = {SCHEDULE_COSINE, 1, 0, 0, 0};
    assert_true(schedule_rate(&empty, 0) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_and_falls_at_the_end),
        cmocka_unit_test(follows_transformers),
        cmocka_unit_test(counts_warmup_steps),
        cmocka_unit_test(stays_at_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
