/*
 * tests/reward/test_rankings.c - the loss and the gradients of whole rankings, whose prompts are computed once, equal
 * those of their pairs written out one by one, each answer a sequence of its own with its own copy of the prompt; and a
 * step is the same however its rankings are put into batches.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "model/pass.h"
#include "reward/data.h"
#include "reward/helper_reward.h"
#include "roles/trainable.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>

#define ONE_STEP                                                                                                       \
    "dataset: @/trees.jsonl\nmax_length: 250\nshuffle: false\nmax_steps: 1\nlogging_steps: 1\nsave_steps: 1\n"         \
    "max_grad_norm: 0\nlearning_rate: 0.01\n"
#define BOUND 1e-5

static const struct {
    const char *name, *lines;
} methods[] = {{"full", "finetuning_type: full\n"}, {"lora", "lora_r: 4\nlora_dropout: 0\n"}};

struct naive {
    struct recipe *recipe;
    struct backend *backend;
    struct reward_data data;
    struct trainable trainable;
    struct pass *pass;
    struct batch batch;
    int64_t tokens;
    double loss;
};

static void naive_open(struct naive *naive, const char *lines)
{
    struct err err;
    *naive = (struct naive){.recipe = reward_recipe("naive", lines), .backend = cpu_backend(DTYPE_F32, 1)};
    must(trainable_open(&naive->trainable, naive->recipe, true, &err));
    must(reward_data_open(&naive->data, naive->recipe, &err));
    must(trainable_load(&naive->trainable, naive->backend, &err));
    const struct pass_limits limits = {.tokens = 2 * reward_data_longest(&naive->data),
                                       .segments = 2,
                                       .predictions = 2,
                                       .max_rank = trainable_max_rank(&naive->trainable),
                                       .training = true,
                                       .scorer = true};
    must(pass_create(&naive->pass, naive->trainable.model, &limits, &err));
    must(batch_create(&naive->batch, limits.tokens, limits.segments, limits.predictions, &err));
}

static void naive_close(struct naive *naive)
{
    batch_free(&naive->batch);
    pass_free(naive->pass);
    trainable_close(&naive->trainable);
    reward_data_close(&naive->data);
    naive->backend->free(naive->backend);
    recipe_free(naive->recipe);
}

/* A conversation from its first token on, as a segment without a parent. */
static void append_whole(struct naive *naive, const struct family *family, int32_t answer)
{
    int32_t ids[512], length = family_length(family, answer);
    assert_in_range(length, 1, 512);
    memcpy(ids, family->ids, (size_t)family->shared * sizeof *ids);
    memcpy(ids + family->shared, family->ids + family->starts[answer], (size_t)(length - family->shared) * sizeof *ids);
    int32_t segment = batch_append(&naive->batch, ids, NULL, length, -1, 0);
    batch_read(&naive->batch, segment, naive->batch.tokens - 1);
    naive->tokens += length;
}

/* Adds -weight log sigmoid(better - worse), and its gradients. */
static void add_pair(struct naive *naive, const struct family *family, int32_t better, int32_t worse, double weight)
{
    struct err err;
    float scores[2], slopes[2];
    const struct score_head *head = trainable_score(&naive->trainable);
    batch_clear(&naive->batch);
    append_whole(naive, family, better);
    append_whole(naive, family, worse);
    pass_load(naive->pass, &naive->batch);
    pass_forward(naive->pass, naive->trainable.overlay, true);
    must(pass_score(naive->pass, head, scores, &err));
    double apart = (double)scores[0] - (double)scores[1];
    naive->loss += weight * log1p(exp(-apart));
    slopes[1] = (float)(weight / (1 + exp(apart)));
    slopes[0] = -slopes[1];
    pass_score_backward(naive->pass, naive->trainable.overlay, head, slopes);
}

/* The first step's rankings; every pair of a ranking weighs the same, and every ranking. */
static void naive_step(struct naive *naive)
{
    const int64_t *indices;
    int64_t count = row_order_step(&naive->data.order, 0, &indices);
    for (int64_t r = 0; r < count; r++) {
        const struct ranking *ranking = &naive->data.train->rankings[indices[r]];
        for (int32_t a = 0; a < ranking->family.count; a++) {
            for (int32_t b = 0; b < ranking->family.count; b++) {
                if (ranking->ranks[a] < ranking->ranks[b]) {
                    add_pair(naive, &ranking->family, a, b, 1.0 / ranking->pairs / (double)count);
                }
            }
        }
    }
}

static void rankings_are_the_sum_of_their_pairs(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct naive naive;
        char lines[512];
        double most = 0;
        snprintf(lines, sizeof lines, ONE_STEP "per_device_train_batch_size: 8\n%s", methods[m].lines);
        reward_finish(methods[m].name, lines, NULL);
        naive_open(&naive, lines);
        naive_step(&naive);
        double loss = run_metric(methods[m].name, 1, "loss");
        if (!(fabs(loss - naive.loss) <= BOUND)) {
            fail_msg("%s: the loss is %.9g, written out %.9g", methods[m].name, loss, naive.loss);
        }
        const struct parameter_list *parameters = naive.trainable.parameters;
        for (int32_t p = 0; p < parameters->count; p++) {
            const struct parameter *parameter = &parameters->items[p];
            int64_t count;
            float *got = reward_first_gradient(methods[m].name, parameter->name, &count),
                  *want = fetch(naive.backend, parameter->gradient, count);
            double apart = relative_difference(got, want, count, 1e-3);
            most = fmax(most, apart);
            if (!(apart <= BOUND)) {
                fail_msg("%s: the gradient of %s is %.2g of its norm from the one written out", methods[m].name,
                         parameter->name, apart);
            }
            mem_free(got);
            mem_free(want);
        }
        int64_t tokens = (int64_t)run_metric(methods[m].name, 1, "num_tokens");
        print_message("%s: loss %.1e and gradients %.1e apart; %lld tokens instead of %lld\n", methods[m].name,
                      fabs(loss - naive.loss), most, (long long)tokens, (long long)naive.tokens);
        assert_true(tokens * 2 < naive.tokens);
        naive_close(&naive);
    }
}

static const char *const ways[] = {
    "per_device_train_batch_size: 12\n",
    "per_device_train_batch_size: 4\ngradient_accumulation_steps: 3\n",
    "per_device_train_batch_size: 5\ngradient_accumulation_steps: 3\n",
    "per_device_train_batch_size: 1\ngradient_accumulation_steps: 12\n",
    "per_device_train_batch_size: 12\ngradient_checkpointing: true\n",
};

static void batches_change_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        double loss = 0, norm = 0, tokens = 0;
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            char lines[512];
            snprintf(lines, sizeof lines, ONE_STEP "%s%s", methods[m].lines, ways[w]);
            reward_finish("run", lines, NULL);
            double now = run_metric("run", 1, "loss"), norm_now = run_metric("run", 1, "grad_norm");
            if (w == 0) {
                loss = now;
                norm = norm_now;
                tokens = run_metric("run", 1, "num_tokens");
                assert_true(loss > 0.1 && norm > 0.01);
            }
            if (!(fabs(now - loss) <= 1e-6 && fabs(norm_now / norm - 1) <= 1e-5)) {
                fail_msg("%s, way %zu: loss %.9g and norm %.9g instead of %.9g and %.9g", methods[m].name, w, now,
                         norm_now, loss, norm);
            }
            assert_true(run_metric("run", 1, "num_tokens") == tokens);
            remove_tree(temporary("run"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rankings_are_the_sum_of_their_pairs),
        cmocka_unit_test(batches_change_nothing),
    };
    return cmocka_run_group_tests(tests, reward_setup, temporary_teardown);
}
