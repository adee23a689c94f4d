/* ppo/rollout.c - see rollout.h. */
#include "ppo/rollout.h"
#include "base/mem.h"
#include "ppo/batches.h"
#include "ppo/recipe.h"
#include "train/stop_tokens.h"
#include <math.h>
#include <string.h>

struct generator_limits rollout_limits(const struct ppo_data *data, int32_t max_rank)
{
    const struct recipe *recipe = data->recipe;
    int64_t answers = recipe->per_device_train_batch_size * ppo_keys(recipe)->num_generations;
    return (struct generator_limits){
        .sequences =
            (int32_t)(ppo_keys(recipe)->rollout_batch_size < answers ? ppo_keys(recipe)->rollout_batch_size : answers),
        .samples = (int32_t)ppo_keys(recipe)->num_generations,
        .max_prompt = ppo_data_longest(data),
        .max_new = ppo_data_longest_answer(data),
        .max_rank = max_rank,
    };
}

/* Answers as they arrive, in the order they end; each at its place. */
struct arrivals {
    int64_t group_size;
    int32_t most; /* tokens of an answer */
    int32_t *ids;
    float *logprobs;  /* [answers, most] */
    int32_t *lengths; /* [answers] */
    bool *stopped;
};

static int keep_answer(void *context, const struct generated *answer, struct err *err)
{
    (void)err;
    struct arrivals *arrivals = context;
    size_t place = answer->request * (size_t)arrivals->group_size + (size_t)answer->sample;
    size_t first = place * (size_t)arrivals->most, count = (size_t)answer->length;
    memcpy(arrivals->ids + first, answer->ids, count * sizeof *answer->ids);
    memcpy(arrivals->logprobs + first, answer->logprobs, count * sizeof *answer->logprobs);
    arrivals->lengths[place] = answer->length;
    arrivals->stopped[place] = answer->stopped;
    return 0;
}

static void append_all(const struct arrivals *arrivals, size_t count, struct episodes *episodes)
{
    episodes_clear(episodes);
    for (size_t i = 0; i < count; i++) {
        size_t first = i * (size_t)arrivals->most, length = (size_t)arrivals->lengths[i];
        const struct episode *episode =
            episodes_append(episodes, arrivals->ids + first, arrivals->lengths[i], arrivals->stopped[i]);
        memcpy(episodes->sampled_logprobs + episode->first, arrivals->logprobs + first,
               length * sizeof *arrivals->logprobs);
    }
}

static int generate(struct ppo_parts *parts, const struct ppo_asked *asked, struct generate_request *requests,
                    struct arrivals *arrivals, struct err *err)
{
    const struct recipe *recipe = parts->recipe;
    struct stop_tokens stop_tokens = stop_tokens_of(&parts->roles.policy.model->config, &parts->data.text);
    for (int64_t i = 0; i < asked->count; i++) {
        requests[i] = (struct generate_request){asked->prompts[i]->ids, asked->prompts[i]->count,
                                                (int32_t)arrivals->group_size, asked->keys[i]};
    }
    struct generate_options options = {
        .sampling = {.temperature = (float)ppo_keys(recipe)->temperature,
                     .top_k = (int32_t)ppo_keys(recipe)->top_k,
                     .top_p = (float)ppo_keys(recipe)->top_p,
                     .repetition_penalty = 1},
        .max_new_tokens = arrivals->most,
        .stop_tokens = stop_tokens.ids,
        .seed = (uint64_t)recipe->seed,
    };
    struct generate_events events = {.context = arrivals, .finished = keep_answer};
    return generator_run(parts->generator, parts->roles.policy.overlay, requests, (size_t)asked->count, &options,
                         &events, err);
}

size_t rollout_size(int64_t answers, int64_t max_new_tokens)
{
    const struct arrivals *arrivals = NULL;
    size_t by_answer = sizeof *arrivals->lengths + sizeof *arrivals->stopped + sizeof(struct generate_request);
    return (size_t)answers * by_answer +
           (size_t)(answers * max_new_tokens) * (sizeof *arrivals->ids + sizeof *arrivals->logprobs);
}

int rollout_sample(struct ppo_parts *parts, const struct ppo_asked *asked, int32_t max_new_tokens,
                   struct episodes *episodes, struct err *err)
{
    size_t count = (size_t)(asked->count * episodes->group_size), tokens = count * (size_t)max_new_tokens;
    struct arrivals arrivals = {.group_size = episodes->group_size, .most = max_new_tokens};
    struct generate_request *requests = mem_alloc((size_t)asked->count, sizeof *requests, err);
    arrivals.ids = mem_alloc(tokens, sizeof *arrivals.ids, err);
    arrivals.logprobs = mem_alloc(tokens, sizeof *arrivals.logprobs, err);
    arrivals.lengths = mem_alloc(count, sizeof *arrivals.lengths, err);
    arrivals.stopped = mem_alloc(count, sizeof *arrivals.stopped, err);
    int result = requests && arrivals.ids && arrivals.logprobs && arrivals.lengths && arrivals.stopped ? 0 : -1;
    if (result == 0) {
        result = generate(parts, asked, requests, &arrivals, err);
    }
    if (result == 0) {
        append_all(&arrivals, count, episodes);
    }
    mem_free(requests);
    mem_free(arrivals.ids);
    mem_free(arrivals.logprobs);
    mem_free(arrivals.lengths);
    mem_free(arrivals.stopped);
    return result;
}

/* ---- what the roles make of the answers ---- */

/* Log-probabilities of the loaded answers by one role. */
static int predict(struct ppo_parts *parts, struct model *model, const struct overlay *overlay, float *logprobs,
                   struct err *err)
{
    struct predictions out = {.logprob = logprobs};
    pass_use(parts->pass, model);
    pass_forward(parts->pass, overlay, false);
    return pass_predict(parts->pass, overlay, (float)(1 / ppo_keys(parts->recipe)->temperature), &out, err);
}

/* The answers of one pass, whose numbers stand at `first` of every array by token. */
static int measure_pass(struct ppo_parts *parts, struct episodes *episodes, int64_t first, struct err *err)
{
    struct ppo_roles *roles = &parts->roles;
    if (predict(parts, roles->policy.model, roles->policy.overlay, episodes->old_logprobs + first, err) != 0 ||
        predict(parts, roles->reference_model, ppo_roles_reference_overlay(roles), episodes->reference_logprobs + first,
                err) != 0) {
        return -1;
    }
    if (!roles->has_critic) {
        return 0;
    }
    pass_use(parts->pass, roles->critic.model);
    pass_forward(parts->pass, roles->critic.overlay, false);
    return pass_score(parts->pass, trainable_score(&roles->critic), episodes->values + first, err);
}

static void summarise(const struct episodes *episodes, struct rollout_summary *summary)
{
    double entropy = 0, reference = 0;
    for (int64_t t = 0; t < episodes->token_count; t++) {
        double old = (double)episodes->old_logprobs[t];
        double drift = fabs(old - (double)episodes->sampled_logprobs[t]);
        entropy -= old;
        reference -= (double)episodes->reference_logprobs[t];
        if (!(drift <= summary->decode_drift)) {
            summary->decode_drift = drift;
        }
    }
    summary->entropy = entropy / (double)episodes->count;
    summary->reference_perplexity = exp(reference / (double)episodes->token_count);
    summary->token_kl = (reference - entropy) / (double)episodes->token_count;
}

int rollout_measure(struct ppo_parts *parts, const struct prompt *const *prompts, struct episodes *episodes,
                    struct rollout_summary *summary, struct err *err)
{
    const struct ppo_view view = {episodes, prompts, parts->backend->traits.pass_tokens};
    int64_t most = ppo_piece_answers(parts->recipe);
    int64_t *answers = mem_alloc((size_t)episodes->count, sizeof *answers, err);
    int result = answers ? 0 : -1;
    *summary = (struct rollout_summary){0};
    for (int64_t i = 0; result == 0 && i < episodes->count; i++) {
        answers[i] = i;
    }
    for (int64_t i = 0, taken; result == 0 && i < episodes->count; i += taken) {
        int64_t left = episodes->count - i;
        taken = ppo_pass_answers(&view, answers + i, left < most ? left : most);
        ppo_pass_load(parts, &view, answers + i, taken);
        result = measure_pass(parts, episodes, episodes->items[i].first, err);
        summary->tokens += parts->batch.tokens;
    }
    mem_free(answers);
    if (result == 0) {
        summarise(episodes, summary);
    }
    return result;
}
