/* Statistics against published worked examples, and against Python's libraries (tests/reference/agreement.py). */
#include "base/json.h"
#include "prefs-db/measures.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct err err;

static void near(double value, double wanted, double tolerance)
{
    if (!(fabs(value - wanted) <= tolerance)) {
        fail_msg("%.9g instead of %.9g", value, wanted);
    }
}

/* Cohen 1960, "A coefficient of agreement for nominal scales", the table of 200 diagnoses; and the one of Wikipedia's
 * page. */
static void test_cohen_examples(void **state)
{
    (void)state;
    const int64_t diagnoses[] = {88, 14, 18, 10, 40, 10, 2, 6, 12}, grants[] = {20, 5, 10, 15}, nothing[4] = {0};
    near(measure_cohen_kappa(diagnoses, 3), 0.29 / 0.59, 1e-12);
    near(measure_cohen_kappa(grants, 2), 0.4, 1e-12);
    assert_true(isnan(measure_cohen_kappa(nothing, 2)));
}

/* Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units; ordinal 0.815. */
static void test_krippendorff_example(void **state)
{
    (void)state;
    static const char *const observers[] = {"123321412...", "1233224125.3", ".3332342251.", "12332441251."};
    struct measure_alpha alpha = {.categories = 5};
    for (size_t unit = 0; unit < 12; unit++) {
        int64_t counts[5] = {0};
        for (size_t o = 0; o < 4; o++) {
            char said = observers[o][unit];
            if (said != '.') {
                counts[said - '1']++;
            }
        }
        measure_alpha_add(&alpha, counts);
    }
    near(measure_alpha_value(&alpha), 0.815, 0.0005);
}

/* Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3. */
static void test_wilson_examples(void **state)
{
    (void)state;
    static const struct {
        struct measure_share share;
        double low, high;
    } cases[] = {
        {{81, 263}, 0.2553, 0.3662}, {{15, 148}, 0.0624, 0.1605}, {{0, 20}, 0, 0.1611}, {{1, 29}, 0.0061, 0.1718}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        double low, high;
        measure_wilson(cases[i].share, &low, &high);
        near(low, cases[i].low, 0.00005);
        near(high, cases[i].high, 0.00005);
    }
}

/* Agresti, "Categorical Data Analysis", baseball 1987: strengths relative to Baltimore, the last. */
static void test_bradley_terry_example(void **state)
{
    (void)state;
    static const double wins[] = {0, 7, 9,  7, 7, 9, 11, 6, 0, 7,  5, 11, 9, 9, 4, 6, 0, 7, 7, 8, 12, 6, 8, 6, 0,
                                  6, 7, 10, 6, 2, 6, 7,  0, 7, 12, 4, 4,  5, 6, 6, 0, 6, 2, 4, 1, 3,  1, 7, 0};
    static const double wanted[] = {1.581, 1.436, 1.294, 1.248, 1.108, 0.684, 0};
    double strengths[7];
    assert_int_equal(measure_bradley_terry(strengths, wins, 7, 0, &err), 0);
    for (size_t i = 0; i < 7; i++) {
        near(strengths[i] - strengths[6], wanted[i], 0.0006);
    }
}

static void test_who_never_lost_has_no_finite_strength(void **state)
{
    (void)state;
    static const double wins[] = {0, 3, 2, 0, 0, 4, 0, 1, 0};
    double strengths[3];
    assert_int_equal(measure_bradley_terry(strengths, wins, 3, 0, &err), -1);
    assert_int_equal(measure_bradley_terry(strengths, wins, 3, 1, &err), 0);
    assert_true(strengths[0] > strengths[1] && strengths[1] > strengths[2] && isfinite(strengths[0]));
    near(strengths[0] + strengths[1] + strengths[2], 0, 1e-9);
}

static json_t *fixture(const char *name)
{
    json_t *all = json_read_file(ATTUNE_FIXTURES "/agreement.json", (size_t)1 << 20, &err);
    if (all == NULL) {
        fail_msg("%s", err.text);
    }
    json_t *cases = json_incref(json_object_get(all, name));
    json_decref(all);
    assert_true(json_array_size(cases) > 0);
    return cases;
}

static void test_kappa_of_scikit_learn(void **state)
{
    (void)state;
    json_t *cases = fixture("kappa"), *one;
    size_t i;
    json_array_foreach(cases, i, one)
    {
        size_t categories = (size_t)json_integer_value(json_object_get(one, "categories"));
        int64_t table[25];
        for (size_t c = 0; c < categories * categories; c++) {
            table[c] = json_integer_value(json_array_get(json_object_get(one, "table"), c));
        }
        near(measure_cohen_kappa(table, categories), json_number_value(json_object_get(one, "kappa")), 1e-12);
    }
    json_decref(cases);
}

static void test_alpha_of_krippendorff(void **state)
{
    (void)state;
    json_t *cases = fixture("alpha"), *one, *unit;
    size_t i, u;
    json_array_foreach(cases, i, one)
    {
        struct measure_alpha alpha = {.categories = (size_t)json_integer_value(json_object_get(one, "categories"))};
        json_array_foreach(json_object_get(one, "counts"), u, unit)
        {
            int64_t counts[MEASURE_CATEGORIES_MAX] = {0};
            for (size_t c = 0; c < alpha.categories; c++) {
                counts[c] = json_integer_value(json_array_get(unit, c));
            }
            measure_alpha_add(&alpha, counts);
        }
        near(measure_alpha_value(&alpha), json_number_value(json_object_get(one, "alpha")), 1e-9);
    }
    json_decref(cases);
}

static void test_strengths_of_choix(void **state)
{
    (void)state;
    json_t *cases = fixture("strengths"), *one;
    size_t i;
    json_array_foreach(cases, i, one)
    {
        size_t models = (size_t)json_integer_value(json_object_get(one, "models"));
        double wins[400], strengths[20];
        for (size_t c = 0; c < models * models; c++) {
            wins[c] = json_number_value(json_array_get(json_object_get(one, "wins"), c));
        }
        assert_int_equal(measure_bradley_terry(strengths, wins, models, 0, &err), 0);
        for (size_t m = 0; m < models; m++) {
            near(strengths[m], json_number_value(json_array_get(json_object_get(one, "strengths"), m)), 1e-6);
        }
    }
    json_decref(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cohen_examples),
        cmocka_unit_test(test_krippendorff_example),
        cmocka_unit_test(test_wilson_examples),
        cmocka_unit_test(test_bradley_terry_example),
        cmocka_unit_test(test_who_never_lost_has_no_finite_strength),
        cmocka_unit_test(test_kappa_of_scikit_learn),
        cmocka_unit_test(test_alpha_of_krippendorff),
        cmocka_unit_test(test_strengths_of_choix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
