/*
 * tests/model/test_sample.c - one token from one row of logits: what each filter leaves, in what order they apply, and
 * that draws have the distribution they should.
 */
#include "support/cmocka.h"

#include "base/random.h"
#include "model/generate/sample.h"
#include "support/fixture.h"
#include <math.h>
#include <string.h>

#define VOCABULARY 12
#define DRAWS      20000

static const float logits[VOCABULARY] = {1.0f, -2.0f, 0.5f, 3.0f, 2.5f, -1.0f, -8.0f, 2.0f, 0.5f, 0.5f, -0.5f, 1.5f};

static struct sampler sampler;

static int setup(void **state)
{
    (void)state;
    struct err err;
    return sampler_create(&sampler, VOCABULARY, &err);
}

static int teardown(void **state)
{
    (void)state;
    sampler_free(&sampler);
    return 0;
}

static int32_t draw(const struct sample_options *options, double uniform, float *logprob)
{
    return sampler_draw(&sampler, logits, options, NULL, 0, uniform, logprob);
}

/* p = softmax(logits / temperature) over the tokens with allowed[i] (all where NULL). */
static void softmax(double *p, const float *values, double temperature, const int *allowed)
{
    double sum = 0;
    for (int i = 0; i < VOCABULARY; i++) {
        sum += p[i] = allowed && !allowed[i] ? 0 : exp((double)values[i] / temperature);
    }
    for (int i = 0; i < VOCABULARY; i++) {
        p[i] /= sum;
    }
}

/*
 * Tokens, drawn for evenly spread numbers, against p: with uniform = (n + 0.5) / DRAWS every token's share is right to
 * one draw at each of its ends.
 */
static void expect_shares(const struct sample_options *options, const double *p)
{
    int counts[VOCABULARY] = {0}, last = 0;
    for (int n = 0; n < DRAWS; n++) {
        int32_t token = draw(options, (n + 0.5) / DRAWS, NULL);
        assert_in_range(token, 0, VOCABULARY - 1);
        assert_true(token >= last); /* inverse transform in the order of ids */
        last = token;
        counts[token]++;
    }
    for (int i = 0; i < VOCABULARY; i++) {
        if (!(fabs(counts[i] - p[i] * DRAWS) <= 1.5)) {
            fail_msg("token %d was drawn %d times instead of %.1f", i, counts[i], p[i] * DRAWS);
        }
    }
}

static void greedy(void **state)
{
    (void)state;
    float logprob;
    double p[VOCABULARY];
    struct sample_options options = {.top_p = 1, .repetition_penalty = 1};
    softmax(p, logits, 1, NULL);
    for (int n = 0; n < 10; n++) {
        assert_int_equal(draw(&options, n / 10.0, &logprob), 3);
    }
    assert_true(fabs((double)logprob - log(p[3])) < 1e-6);
    /* Of equals the first. */
    static const float equal[VOCABULARY] = {0, 5, 5, 0, 5};
    assert_int_equal(sampler_draw(&sampler, equal, &options, NULL, 0, 0.9, NULL), 1);
}

static void temperature(void **state)
{
    (void)state;
    static const float temperatures[] = {0.5f, 1, 2};
    for (int t = 0; t < 3; t++) {
        double p[VOCABULARY];
        float logprob;
        struct sample_options options = {.temperature = temperatures[t], .top_p = 1, .repetition_penalty = 1};
        softmax(p, logits, (double)temperatures[t], NULL);
        expect_shares(&options, p);
        int32_t token = draw(&options, 0.3, &logprob);
        assert_true(fabs((double)logprob - log(p[token])) < 1e-5);
    }
    struct sample_options options = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    assert_int_equal(draw(&options, 0, NULL), 0);
    assert_int_equal(draw(&options, nextafter(1, 0), NULL), VOCABULARY - 1);
}

static void top_k(void **state)
{
    (void)state;
    double p[VOCABULARY];
    struct sample_options options = {.temperature = 1, .top_k = 3, .top_p = 1, .repetition_penalty = 1};
    static const int three[VOCABULARY] = {[3] = 1, [4] = 1, [7] = 1};
    softmax(p, logits, 1, three);
    expect_shares(&options, p);
    /* Equals of the k-th stay: 0.5 stands at 2, 8 and 9. */
    static const int equals[VOCABULARY] = {1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1};
    options.top_k = 6;
    softmax(p, logits, 1, equals);
    expect_shares(&options, p);
    options.top_k = 1;
    for (int n = 0; n < 10; n++) {
        assert_int_equal(draw(&options, n / 10.0, NULL), 3);
    }
    options.top_k = 1000; /* more than there are: all */
    softmax(p, logits, 1, NULL);
    expect_shares(&options, p);
    /* The log-probability is that before the filters. */
    float logprob;
    options.top_k = 1;
    assert_int_equal(draw(&options, 0.5, &logprob), 3);
    assert_true(fabs((double)logprob - log(p[3])) < 1e-6);
}

static void top_p(void **state)
{
    (void)state;
    double p[VOCABULARY], q[VOCABULARY];
    softmax(p, logits, 1, NULL);
    /* 3, 4, 7 and 11 in falling order: the least set that reaches the sum. */
    struct sample_options options = {.temperature = 1, .repetition_penalty = 1};
    static const int order[] = {3, 4, 7, 11};
    double sum = 0;
    int allowed[VOCABULARY] = {0};
    for (int kept = 1; kept <= 4; kept++) {
        allowed[order[kept - 1]] = 1;
        softmax(q, logits, 1, allowed);
        options.top_p = (float)(sum + 0.5 * p[order[kept - 1]]); /* in the middle of the last one kept */
        expect_shares(&options, q);
        sum += p[order[kept - 1]];
    }
    options.top_p = 1e-9f; /* one always stays */
    for (int n = 0; n < 10; n++) {
        assert_int_equal(draw(&options, n / 10.0, NULL), 3);
    }
    /* After top-k: top-p counts shares of what top-k left, as transformers does. */
    static const int two[VOCABULARY] = {[3] = 1, [4] = 1};
    double share = p[3] / (p[3] + p[4] + p[7]);
    options.top_k = 3;
    options.top_p = (float)(share + 0.01);
    softmax(q, logits, 1, two);
    expect_shares(&options, q);
}

/* Seen tokens once, however often they were: positive logits divided, negative ones multiplied; before the temperature.
 */
static void repetition_penalty(void **state)
{
    (void)state;
    static const int32_t history[] = {3, 1, 3, 3, 1};
    float changed[VOCABULARY], logprob;
    double p[VOCABULARY];
    memcpy(changed, logits, sizeof changed);
    changed[3] /= 2;
    changed[1] *= 2;
    struct sample_options options = {.temperature = 0.5f, .top_p = 1, .repetition_penalty = 2};
    softmax(p, changed, 0.5, NULL);
    for (int n = 0; n < 100; n++) {
        int32_t token = sampler_draw(&sampler, logits, &options, history, 5, (n + 0.5) / 100, &logprob);
        assert_true(fabs((double)logprob - log(p[token])) < 1e-5);
    }
    options.temperature = 0;
    assert_int_equal(sampler_draw(&sampler, logits, &options, history, 5, 0.5, NULL), 4);
    /* Nothing of one call stays for the next. */
    options.repetition_penalty = 1;
    assert_int_equal(sampler_draw(&sampler, logits, &options, history, 5, 0.5, NULL), 3);
    options.repetition_penalty = 2;
    assert_int_equal(sampler_draw(&sampler, logits, &options, NULL, 0, 0.5, NULL), 3);
}

/* Chi-square of random draws; the bound is that of 11 degrees of freedom at one in 100 000. */
static void random_draws(void **state)
{
    (void)state;
    double p[VOCABULARY], square = 0;
    int counts[VOCABULARY] = {0};
    struct sample_options options = {.temperature = 1.5f, .top_p = 1, .repetition_penalty = 1};
    softmax(p, logits, 1.5, NULL);
    for (uint64_t n = 0; n < DRAWS; n++) {
        counts[draw(&options, random_uniform(5, RANDOM_SAMPLE, n, 0), NULL)]++;
    }
    for (int i = 0; i < VOCABULARY; i++) {
        square += (counts[i] - p[i] * DRAWS) * (counts[i] - p[i] * DRAWS) / (p[i] * DRAWS);
    }
    if (!(square < 43.2)) {
        fail_msg("chi-square of %d draws is %g", DRAWS, square);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy), cmocka_unit_test(temperature),        cmocka_unit_test(top_k),
        cmocka_unit_test(top_p),  cmocka_unit_test(repetition_penalty), cmocka_unit_test(random_draws),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
