/*
 * tests/model/test_generate.c - generation: an answer depends on its prompt, its key and the options alone, not on what
 * else is decoded beside it; where answers end; what the events say.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "base/random.h"
#include "model/generate/generate.h"
#include "support/fixture.h"
#include <math.h>
#include <string.h>

#define REQUESTS 7
#define SAMPLES  3
#define PROMPT   300 /* longer than one pass takes of prompts */
#define NEW      10

struct setting {
    struct backend *backend;
    struct model *model;
    int32_t prompts[REQUESTS][PROMPT];
    struct generate_request requests[REQUESTS];
};

static struct setting setting;

static int setup(void **state)
{
    (void)state;
    static const int32_t lengths[REQUESTS] = {5, 1, PROMPT, 17, 2, 260, 9};
    setting.backend = fixture_backend();
    setting.model = fixture_model("tiny-llama3", setting.backend, false);
    for (int r = 0; r < REQUESTS; r++) {
        for (int i = 0; i < PROMPT; i++) {
            setting.prompts[r][i] = (int32_t)(random_u64(3, RANDOM_MIX, (uint64_t)r, (uint64_t)i) % 96);
        }
        setting.requests[r] =
            (struct generate_request){setting.prompts[r], lengths[r], 1 + r % SAMPLES, 40 + (uint64_t)r};
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(setting.model);
    setting.backend->free(setting.backend);
    return 0;
}

struct made {
    int32_t ids[REQUESTS][SAMPLES][NEW], length[REQUESTS][SAMPLES];
    float logprobs[REQUESTS][SAMPLES][NEW];
    bool stopped[REQUESTS][SAMPLES];
    int finished, tokens;
    int end_after;   /* the token event ends an answer after so many tokens; 0: never */
    int break_after; /* the finished event breaks the run after so many answers; 0: never */
    int seen[REQUESTS][SAMPLES];
};

static int on_token(void *context, size_t request, int32_t sample, int32_t id)
{
    struct made *made = context;
    made->ids[request][sample][made->seen[request][sample]++] = id;
    made->tokens++;
    return made->end_after && made->seen[request][sample] == made->end_after;
}

static int on_finished(void *context, const struct generated *answer, struct err *err)
{
    struct made *made = context;
    size_t r = answer->request;
    assert_int_equal(made->seen[r][answer->sample], answer->length);
    assert_memory_equal(made->ids[r][answer->sample], answer->ids, (size_t)answer->length * sizeof(int32_t));
    memcpy(made->logprobs[r][answer->sample], answer->logprobs, (size_t)answer->length * sizeof(float));
    made->length[r][answer->sample] = answer->length;
    made->stopped[r][answer->sample] = answer->stopped;
    return ++made->finished == made->break_after ? err_set(err, "enough") : 0;
}

static int generate(struct made *made, const struct generate_request *requests, size_t count, int32_t sequences,
                    const struct generate_options *options, struct err *failure)
{
    struct err err;
    struct generator *generator;
    struct generator_limits limits = {.sequences = sequences, .samples = SAMPLES, .max_prompt = PROMPT, .max_new = NEW};
    struct generate_events events = {made, on_token, on_finished};
    must(generator_create(&generator, setting.model, &limits, &err));
    int result = generator_run(generator, NULL, requests, count, options, &events, failure);
    generator_free(generator);
    return result;
}

static struct generate_options sampling(uint64_t seed)
{
    return (struct generate_options){
        .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}, .max_new_tokens = NEW, .seed = seed};
}

static void assert_same(const struct made *a, const struct made *b)
{
    assert_memory_equal(a->ids, b->ids, sizeof a->ids);
    assert_memory_equal(a->length, b->length, sizeof a->length);
    assert_memory_equal(a->logprobs, b->logprobs, sizeof a->logprobs);
}

static void batch_size_changes_nothing(void **state)
{
    (void)state;
    struct err err;
    static struct made made[4];
    static const int32_t sequences[4] = {1, 3, 7, 64};
    struct generate_options options = sampling(9);
    memset(made, 0, sizeof made);
    for (int i = 0; i < 4; i++) {
        must(generate(&made[i], setting.requests, REQUESTS, sequences[i], &options, &err));
        assert_int_equal(made[i].finished, 1 + 2 + 3 + 1 + 2 + 3 + 1);
        assert_int_equal(made[i].tokens, made[i].finished * NEW);
        assert_same(&made[0], &made[i]);
    }
    /* Samples of one prompt differ, another seed gives others. */
    assert_memory_not_equal(made[0].ids[2][0], made[0].ids[2][1], sizeof made[0].ids[2][0]);
    memset(&made[1], 0, sizeof made[1]);
    options.seed = 10;
    must(generate(&made[1], setting.requests, REQUESTS, 7, &options, &err));
    assert_memory_not_equal(made[0].ids, made[1].ids, sizeof made[0].ids);
}

/* A request alone gives what it gave among others; sample 0 does not depend on how many samples were asked for. */
static void requests_are_independent(void **state)
{
    (void)state;
    struct err err;
    static struct made all, alone;
    struct generate_options options = sampling(9);
    memset(&all, 0, sizeof all);
    must(generate(&all, setting.requests, REQUESTS, 7, &options, &err));
    for (int r = 0; r < REQUESTS; r++) {
        memset(&alone, 0, sizeof alone);
        must(generate(&alone, &setting.requests[r], 1, 3, &options, &err));
        assert_memory_equal(alone.ids[0], all.ids[r], sizeof all.ids[r]);
        assert_memory_equal(alone.logprobs[0], all.logprobs[r], sizeof all.logprobs[r]);
        struct generate_request one = setting.requests[r];
        one.samples = 1;
        memset(&alone, 0, sizeof alone);
        must(generate(&alone, &one, 1, 3, &options, &err));
        assert_memory_equal(alone.ids[0][0], all.ids[r][0], sizeof all.ids[r][0]);
    }
    /* The key, not the place, decides. */
    struct generate_request again = setting.requests[1];
    again.key++;
    memset(&alone, 0, sizeof alone);
    must(generate(&alone, &again, 1, 3, &options, &err));
    assert_memory_not_equal(alone.ids[0], all.ids[1], sizeof all.ids[1]);
}

/* Log-probabilities of the answers are those of a plain forward pass over prompt and answer. */
static void logprobs_are_the_models(void **state)
{
    (void)state;
    struct err err;
    static struct made made;
    struct batch batch;
    struct pass *pass;
    struct generate_options options = sampling(9);
    memset(&made, 0, sizeof made);
    must(generate(&made, setting.requests, REQUESTS, 7, &options, &err));
    must(batch_create(&batch, PROMPT + NEW, 1, NEW, &err));
    struct pass_limits limits = {.tokens = PROMPT + NEW, .segments = 1, .predictions = NEW};
    must(pass_create(&pass, setting.model, &limits, &err));
    for (int r = 0; r < REQUESTS; r++) {
        for (int s = 0; s < setting.requests[r].samples; s++) {
            int32_t ids[PROMPT + NEW], length = setting.requests[r].length;
            uint8_t trained[PROMPT + NEW] = {0};
            float logprob[NEW];
            memcpy(ids, setting.prompts[r], (size_t)length * sizeof *ids);
            memcpy(ids + length, made.ids[r][s], NEW * sizeof *ids);
            memset(trained + length, 1, NEW);
            batch_clear(&batch);
            batch_append(&batch, ids, trained, length + NEW, -1, 0);
            pass_load(pass, &batch);
            pass_forward(pass, NULL, false);
            must(pass_predict(pass, NULL, 1.0f, &(struct predictions){.logprob = logprob}, &err));
            assert_true(largest_difference(logprob, made.logprobs[r][s], NEW) < 1e-4);
        }
    }
    pass_free(pass);
    batch_free(&batch);
}

static void where_answers_end(void **state)
{
    (void)state;
    struct err err;
    static struct made whole, made;
    struct generate_options options = sampling(9);
    memset(&whole, 0, sizeof whole);
    must(generate(&whole, setting.requests, REQUESTS, 7, &options, &err));
    /* At a stop token, which is part of the answer; the other answers go on. */
    int32_t stop[] = {whole.ids[2][1][4], whole.ids[5][2][0], -1};
    options.stop_tokens = stop;
    memset(&made, 0, sizeof made);
    must(generate(&made, setting.requests, REQUESTS, 7, &options, &err));
    int stopped = 0;
    for (int r = 0; r < REQUESTS; r++) {
        for (int s = 0; s < setting.requests[r].samples; s++) {
            int32_t expected = 0;
            bool at_stop = false;
            while (!at_stop && expected < NEW) {
                int32_t id = whole.ids[r][s][expected++];
                at_stop = id == stop[0] || id == stop[1];
            }
            assert_int_equal(made.length[r][s], expected);
            assert_int_equal(made.stopped[r][s], at_stop);
            assert_memory_equal(made.ids[r][s], whole.ids[r][s], (size_t)expected * sizeof(int32_t));
            stopped += at_stop;
        }
    }
    assert_true(stopped >= 2);
    /* At max_new_tokens. */
    options.stop_tokens = NULL;
    options.max_new_tokens = 1;
    memset(&made, 0, sizeof made);
    must(generate(&made, setting.requests, REQUESTS, 3, &options, &err));
    assert_int_equal(made.tokens, made.finished);
    assert_int_equal(made.ids[2][1][0], whole.ids[2][1][0]);
    /* Where the token event says so; and the finished event can end the run. */
    options.max_new_tokens = NEW;
    memset(&made, 0, sizeof made);
    made.end_after = 3;
    must(generate(&made, setting.requests, REQUESTS, 7, &options, &err));
    assert_int_equal(made.tokens, 3 * made.finished);
    memset(&made, 0, sizeof made);
    made.break_after = 4;
    assert_int_equal(generate(&made, setting.requests, REQUESTS, 7, &options, &err), -1);
    assert_string_equal(err.text, "enough");
    assert_int_equal(made.finished, 4);
    /* No request at all. */
    memset(&made, 0, sizeof made);
    must(generate(&made, setting.requests, 0, 7, &options, &err));
    assert_int_equal(made.finished, 0);
}

/* The penalty looks at prompt and answer: with a huge one no token comes twice, nor one of the prompt. */
static void repetition_penalty(void **state)
{
    (void)state;
    struct err err;
    static struct made made;
    struct generate_options options = sampling(9);
    options.sampling.temperature = 0;
    options.sampling.repetition_penalty = 1000;
    memset(&made, 0, sizeof made);
    must(generate(&made, setting.requests, 2, 7, &options, &err));
    for (int r = 0; r < 2; r++) {
        for (int i = 0; i < NEW; i++) {
            for (int j = 0; j < i; j++) {
                assert_int_not_equal(made.ids[r][0][i], made.ids[r][0][j]);
            }
            for (int32_t j = 0; j < setting.requests[r].length; j++) {
                assert_int_not_equal(made.ids[r][0][i], setting.prompts[r][j]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_size_changes_nothing), cmocka_unit_test(requests_are_independent),
        cmocka_unit_test(logprobs_are_the_models),    cmocka_unit_test(where_answers_end),
        cmocka_unit_test(repetition_penalty),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
