/*
 * tests/model/test_greedy.c - greedy answers of a real model are transformers' (tests/fixtures/greedy_smollm2.json) up
 * to the first token where the two best logits are closer than 1e-4, whatever decodes beside them.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "model/generate/generate.h"
#include "support/fixture.h"
#include "support/real.h"
#include <string.h>

#define PROMPTS_MAX 16
#define IDS_MAX     128
#define TIE         1e-4

struct case_ids {
    int32_t prompt[IDS_MAX], answer[IDS_MAX];
    int32_t prompt_length, answer_length;
    int32_t certain; /* tokens of the answer before the first near tie */
};

struct cases {
    struct case_ids items[PROMPTS_MAX];
    size_t count;
    int32_t stop[2];
    int32_t longest_prompt, longest_answer;
};

static int32_t read_ids(int32_t *out, const json_t *list)
{
    size_t count = json_array_size(list);
    assert_in_range(count, 1, IDS_MAX);
    for (size_t i = 0; i < count; i++) {
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    return (int32_t)count;
}

static void read_cases(struct cases *cases)
{
    struct err err;
    json_t *root = json_read_file(fixture_path("greedy_smollm2.json", NULL), 1 << 24, &err);
    assert_non_null(root);
    const json_t *answers = json_object_get(root, "answers");
    *cases = (struct cases){.count = json_array_size(answers)};
    cases->stop[0] = (int32_t)json_integer_value(json_object_get(root, "eos_id"));
    cases->stop[1] = -1;
    assert_in_range(cases->count, 1, PROMPTS_MAX);
    for (size_t i = 0; i < cases->count; i++) {
        struct case_ids *one = &cases->items[i];
        const json_t *answer = json_array_get(answers, i), *gaps = json_object_get(answer, "gaps");
        one->prompt_length = read_ids(one->prompt, json_object_get(answer, "prompt_ids"));
        one->answer_length = read_ids(one->answer, json_object_get(answer, "new_ids"));
        while (one->certain < one->answer_length &&
               json_number_value(json_array_get(gaps, (size_t)one->certain)) >= TIE) {
            one->certain++;
        }
        if (one->prompt_length > cases->longest_prompt) {
            cases->longest_prompt = one->prompt_length;
        }
        if (one->answer_length > cases->longest_answer) {
            cases->longest_answer = one->answer_length;
        }
    }
    json_decref(root);
}

/* The answers of one way of decoding. */
struct made {
    int32_t ids[PROMPTS_MAX][IDS_MAX], length[PROMPTS_MAX];
};

static int keep(void *context, const struct generated *answer, struct err *err)
{
    (void)err;
    struct made *made = context;
    memcpy(made->ids[answer->request], answer->ids, (size_t)answer->length * sizeof *answer->ids);
    made->length[answer->request] = answer->length;
    return 0;
}

static void answer_all(struct made *made, struct model *model, const struct cases *cases, int32_t sequences)
{
    struct err err;
    struct generator *generator;
    struct generate_request requests[PROMPTS_MAX];
    struct generator_limits limits = {
        .sequences = sequences, .samples = 1, .max_prompt = cases->longest_prompt, .max_new = cases->longest_answer};
    struct generate_options options = {.sampling = {.top_p = 1, .repetition_penalty = 1},
                                       .max_new_tokens = cases->longest_answer,
                                       .stop_tokens = cases->stop};
    for (size_t i = 0; i < cases->count; i++) {
        requests[i] = (struct generate_request){cases->items[i].prompt, cases->items[i].prompt_length, 1, i};
    }
    must(generator_create(&generator, model, &limits, &err));
    must(generator_run(generator, NULL, requests, cases->count, &options,
                       &(struct generate_events){.context = made, .finished = keep}, &err));
    generator_free(generator);
}

static void answers(void **state)
{
    (void)state;
    static struct made made[2];
    static struct cases cases;
    struct err err;
    struct model *model;
    struct backend *backend = fixture_backend();
    read_cases(&cases);
    must(model_open(&model, real_model(), &err));
    must(model_load(model, backend, &(struct model_options){0}, &err));
    answer_all(&made[0], model, &cases, 5);
    answer_all(&made[1], model, &cases, (int32_t)cases.count);
    int32_t compared = 0;
    for (size_t i = 0; i < cases.count; i++) {
        const struct case_ids *want = &cases.items[i];
        assert_int_equal(made[0].length[i], made[1].length[i]);
        assert_memory_equal(made[0].ids[i], made[1].ids[i], (size_t)made[0].length[i] * sizeof(int32_t));
        if (want->certain == want->answer_length) {
            assert_int_equal(made[0].length[i], want->answer_length);
        }
        for (int32_t t = 0; t < want->certain; t++) {
            if (made[0].ids[i][t] != want->answer[t]) {
                fail_msg("prompt %zu: token %d of the answer is %d instead of %d", i, t, made[0].ids[i][t],
                         want->answer[t]);
            }
        }
        compared += want->certain;
    }
    print_message("%d tokens of %zu answers are transformers'\n", compared, cases.count);
    model_free(model);
    backend->free(backend);
}

int main(void)
{
    if (!real_model()) {
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
