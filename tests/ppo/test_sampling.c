/*
 * tests/ppo/test_sampling.c - what rollouts draw is what the policy says: 200 000 first tokens of answers against the
 * probabilities of a training-path forward, by chi-square, and neighbouring samples against independence. In f32 and in
 * bf16.
 */
#include "support/cmocka.h"

#include "base/random.h"
#include "model/generate/generate.h"
#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>

#define VOCABULARY  320
#define PROMPT      12
#define REQUESTS    200
#define SAMPLES     1000
#define DRAWS       (REQUESTS * SAMPLES)
#define TEMPERATURE 0.7
#define LIKELY      8 /* tokens of the table of neighbours; the ninth is all others */

static const int32_t prompt[PROMPT] = {1, 9, 40, 60, 11, 12, 13, 200, 201, 2, 300, 1};
static int32_t drawn[REQUESTS][SAMPLES];

static int keep(void *context, const struct generated *answer, struct err *err)
{
    (void)context;
    (void)err;
    assert_int_equal(answer->length, 1);
    drawn[answer->request][answer->sample] = answer->ids[0];
    return 0;
}

static void draw(struct model *model)
{
    struct err err;
    struct generator *generator;
    struct generate_request requests[REQUESTS];
    struct generator_limits limits = {.sequences = SAMPLES, .samples = SAMPLES, .max_prompt = PROMPT, .max_new = 1};
    struct generate_options options = {
        .sampling = {.temperature = (float)TEMPERATURE, .top_p = 1, .repetition_penalty = 1},
        .max_new_tokens = 1,
        .seed = 7};
    struct generate_events events = {.finished = keep};
    for (uint64_t r = 0; r < REQUESTS; r++) { /* keys as ppo/loop.c makes them */
        requests[r] = (struct generate_request){prompt, PROMPT, SAMPLES, random_u64(99, RANDOM_MIX, r, 1)};
    }
    must(generator_create(&generator, model, &limits, &err));
    must(generator_run(generator, NULL, requests, REQUESTS, &options, &events, &err));
    generator_free(generator);
}

/* p[v]: every token as an answer of its own, as the update sees answers. */
static void probabilities(struct model *model, double p[VOCABULARY])
{
    struct err err;
    struct pass *pass;
    struct batch batch;
    float logprobs[VOCABULARY];
    uint8_t trained = 1;
    struct pass_limits limits = {
        .tokens = PROMPT + VOCABULARY, .segments = 1 + VOCABULARY, .predictions = VOCABULARY, .training = true};
    must(pass_create(&pass, model, &limits, &err));
    must(batch_create(&batch, limits.tokens, limits.segments, limits.predictions, &err));
    int32_t parent = batch_append(&batch, prompt, NULL, PROMPT, -1, 0);
    for (int32_t v = 0; v < VOCABULARY; v++) {
        batch_append(&batch, &v, &trained, 1, parent, 0);
    }
    pass_load(pass, &batch);
    pass_forward(pass, NULL, true);
    must(pass_predict(pass, NULL, (float)(1 / TEMPERATURE), &(struct predictions){.logprob = logprobs}, &err));
    double sum = 0;
    for (int v = 0; v < VOCABULARY; v++) {
        sum += p[v] = exp((double)logprobs[v]);
    }
    assert_true(fabs(sum - 1) < 1e-4);
    batch_free(&batch);
    pass_free(pass);
}

/* Five deviations above the mean of chi-square with that many degrees of freedom. */
static void check(const char *what, double square, int freedom)
{
    print_message("%s: chi-square %.1f of %d degrees of freedom\n", what, square, freedom);
    if (!(square < freedom + 5 * sqrt(2.0 * freedom))) {
        fail_msg("%s: chi-square is %g with %d degrees of freedom", what, square, freedom);
    }
}

static void check_shares(const double p[VOCABULARY])
{
    double square = 0, rare_expected = 0, rare = 0;
    int counts[VOCABULARY] = {0}, bins = 0;
    for (int r = 0; r < REQUESTS; r++) {
        for (int s = 0; s < SAMPLES; s++) {
            counts[drawn[r][s]]++;
        }
    }
    for (int v = 0; v < VOCABULARY; v++) {
        double expected = p[v] * DRAWS;
        if (expected < 10) {
            rare_expected += expected;
            rare += counts[v];
            continue;
        }
        square += (counts[v] - expected) * (counts[v] - expected) / expected;
        bins++;
    }
    if (rare_expected >= 10) {
        square += (rare - rare_expected) * (rare - rare_expected) / rare_expected;
        bins++;
    }
    assert_true(bins > 50);
    check("shares", square, bins - 1);
}

/* 0 .. LIKELY - 1 for the likeliest tokens, LIKELY for the others. */
static void rank(const double p[VOCABULARY], int ranks[VOCABULARY], double shares[LIKELY + 1])
{
    for (int v = 0; v < VOCABULARY; v++) {
        ranks[v] = LIKELY;
    }
    shares[LIKELY] = 1;
    for (int n = 0; n < LIKELY; n++) {
        int best = -1;
        for (int v = 0; v < VOCABULARY; v++) {
            if (ranks[v] == LIKELY && (best < 0 || p[v] > p[best])) {
                best = v;
            }
        }
        ranks[best] = n;
        shares[n] = p[best];
        shares[LIKELY] -= p[best];
    }
}

/* Neighbours: the next sample of the prompt, or the same sample of the next one. */
static void check_neighbours(const double p[VOCABULARY], int requests, int samples, const char *what)
{
    int ranks[VOCABULARY];
    double shares[LIKELY + 1], square = 0, pairs = (double)(REQUESTS - requests) * (SAMPLES - samples);
    double counts[LIKELY + 1][LIKELY + 1] = {{0}};
    rank(p, ranks, shares);
    for (int r = 0; r + requests < REQUESTS; r++) {
        for (int s = 0; s + samples < SAMPLES; s++) {
            counts[ranks[drawn[r][s]]][ranks[drawn[r + requests][s + samples]]]++;
        }
    }
    for (int a = 0; a <= LIKELY; a++) {
        for (int b = 0; b <= LIKELY; b++) {
            double expected = shares[a] * shares[b] * pairs;
            assert_true(expected > 5);
            square += (counts[a][b] - expected) * (counts[a][b] - expected) / expected;
        }
    }
    check(what, square, (LIKELY + 1) * (LIKELY + 1) - 1);
}

static void draws_of(enum dtype compute)
{
    struct err err;
    struct model *model;
    double p[VOCABULARY];
    struct backend *backend = cpu_backend(compute, 2);
    must(model_open(&model, temporary("model"), &err));
    must(model_load(model, backend, &(struct model_options){.backward = true}, &err));
    draw(model);
    probabilities(model, p);
    check_shares(p);
    check_neighbours(p, 0, 1, "neighbouring samples");
    check_neighbours(p, 1, 0, "neighbouring prompts");
    model_free(model);
    backend->free(backend);
}

static void in_f32(void **state)
{
    (void)state;
    draws_of(DTYPE_F32);
}

static void in_bf16(void **state)
{
    (void)state;
    draws_of(DTYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_f32),
        cmocka_unit_test(in_bf16),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
