/* ppo/update.c - see update.h. */
#include "ppo/update.h"
#include "base/mem.h"
#include "base/random.h"
#include "ppo/options.h"
#include "ppo/recipe.h"

/* The update under way. */
struct updater {
    struct ppo_parts *parts;
    struct loop *loop;
    const struct ppo_view *view;
    int64_t iteration;
    double kl_coef;
    struct update_summary *summary;
    struct policy_loss policy;
    struct value_loss value;
};

struct mini_batch {
    const int64_t *answers;
    int64_t count;
};

/* ---- one pass ---- */

typedef int pass_work(struct updater *updater, const int64_t *answers, int64_t count, struct err *err);

/* All passes of a mini-batch, piece by piece. */
static int over_passes(struct updater *updater, const struct mini_batch *mini_batch, pass_work *work, struct err *err)
{
    int64_t pieces = updater->parts->recipe->gradient_accumulation_steps;
    int64_t piece = (mini_batch->count + pieces - 1) / pieces;
    for (int64_t first = 0, taken; first < mini_batch->count; first += taken) {
        int64_t end = (first / piece + 1) * piece;
        const int64_t *answers = mini_batch->answers + first;
        taken = ppo_pass_answers(updater->view, answers, (end < mini_batch->count ? end : mini_batch->count) - first);
        ppo_pass_load(updater->parts, updater->view, answers, taken);
        updater->summary->tokens += updater->parts->batch.tokens;
        if (work(updater, answers, taken, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int policy_pass(struct updater *updater, const int64_t *answers, int64_t count, struct err *err)
{
    struct ppo_parts *parts = updater->parts;
    const struct trainable *policy = &parts->roles.policy;
    const struct ppo_numbers *numbers = &parts->numbers;
    struct predictions out = {.logprob = numbers->logprobs, .entropy = numbers->entropies};
    float inverse_temperature = (float)(1 / ppo_keys(parts->recipe)->temperature);
    pass_use(parts->pass, policy->model);
    pass_forward(parts->pass, policy->overlay, true);
    if (pass_predict(parts->pass, policy->overlay, inverse_temperature, &out, err) != 0) {
        return -1;
    }
    int64_t place = 0;
    for (int64_t i = 0; i < count; i++) {
        policy_loss_add(&updater->policy, answers[i], numbers->logprobs + place, numbers->entropies + place,
                        numbers->dlogprobs + place, numbers->dentropies + place);
        place += updater->view->episodes->items[answers[i]].length;
    }
    pass_backward(parts->pass, policy->overlay, inverse_temperature, numbers->dlogprobs,
                  ppo_keys(parts->recipe)->entropy_coef > 0 ? numbers->dentropies : NULL);
    return 0;
}

static int critic_pass(struct updater *updater, const int64_t *answers, int64_t count, struct err *err)
{
    struct ppo_parts *parts = updater->parts;
    const struct trainable *critic = &parts->roles.critic;
    const struct score_head *head = trainable_score(critic);
    float *values = parts->numbers.logprobs, *slopes = parts->numbers.dlogprobs;
    pass_use(parts->pass, critic->model);
    pass_forward(parts->pass, critic->overlay, true);
    if (pass_score(parts->pass, head, values, err) != 0) {
        return -1;
    }
    int64_t place = 0;
    for (int64_t i = 0; i < count; i++) {
        value_loss_add(&updater->value, answers[i], values + place, slopes + place);
        place += updater->view->episodes->items[answers[i]].length;
    }
    pass_score_backward(parts->pass, critic->overlay, head, slopes);
    return 0;
}

/* ---- one mini-batch ---- */

/* PPO-ptx: as many texts as the mini-batch has answers, the next ones of their row. Adds to the policy's gradients. */
static int add_texts(struct updater *updater, int64_t count, double *loss, struct err *err)
{
    struct ppo_parts *parts = updater->parts;
    const struct trainable *policy = &parts->roles.policy;
    struct predictions out = {.logprob = parts->numbers.logprobs};
    const struct recipe *recipe = parts->recipe;
    int64_t first = updater->iteration * ppo_keys(recipe)->num_ppo_epochs * recipe->per_device_train_batch_size *
                        ppo_keys(recipe)->num_generations +
                    updater->summary->texts;
    int64_t trained = 0;
    for (int64_t i = 0; i < count; i++) {
        trained += ppo_data_ptx(&parts->data, first + i)->trained_count;
    }
    for (int64_t i = 0, taken; i < count; i += taken) {
        taken = ppo_pass_texts(parts, first + i, count - i);
        ppo_pass_load_texts(parts, first + i, taken);
        updater->summary->tokens += parts->batch.tokens;
        pass_use(parts->pass, policy->model);
        pass_forward(parts->pass, policy->overlay, true);
        if (pass_predict(parts->pass, policy->overlay, 1, &out, err) != 0) {
            return -1;
        }
        *loss += ptx_loss_add(ppo_keys(recipe)->ptx_coef, trained, out.logprob, parts->batch.prediction_count,
                              parts->numbers.dlogprobs);
        pass_backward(parts->pass, policy->overlay, 1, parts->numbers.dlogprobs, NULL);
    }
    updater->summary->texts += count;
    return 0;
}

/* One optimizer's step; not finite: nothing changed, and it is noted. */
static int take_step(struct updater *updater, struct optimizer *optimizer, double loss, double *norms, struct err *err)
{
    struct loop_step step = {0};
    if (loop_update(updater->loop, optimizer, loss, &step, err) != 0) {
        return -1;
    }
    updater->summary->rate = step.rate;
    updater->summary->finite = updater->summary->finite && step.applied;
    *norms += step.grad_norm;
    return 0;
}

static void add_policy_statistics(struct update_summary *summary, const struct policy_statistics *one)
{
    struct policy_statistics *sum = &summary->policy;
    sum->objective += one->objective;
    sum->approx_kl += one->approx_kl;
    sum->clip_fraction += one->clip_fraction;
    sum->ratio += one->ratio;
    sum->entropy += one->entropy;
    summary->ratio_squares += one->ratio * one->ratio;
    summary->mini_batches++;
}

static int train_policy(struct updater *updater, const struct mini_batch *mini_batch, enum update_verdict *verdict,
                        struct err *err)
{
    struct ppo_parts *parts = updater->parts;
    struct update_summary *summary = updater->summary;
    optimizer_clear_gradients(parts->policy_optimizer);
    struct policy_loss_options options = ppo_policy_loss_options(ppo_keys(parts->recipe), updater->kl_coef);
    policy_loss_begin(&updater->policy, &options, updater->view->episodes, mini_batch->answers, mini_batch->count);
    if (over_passes(updater, mini_batch, policy_pass, err) != 0) {
        return -1;
    }
    struct policy_statistics statistics = policy_loss_statistics(&updater->policy);
    add_policy_statistics(summary, &statistics);
    *verdict = policy_loss_verdict(&updater->policy);
    if (*verdict != UPDATE_STEP) {
        return 0;
    }
    double texts = 0;
    if (parts->data.ptx && add_texts(updater, mini_batch->count, &texts, err) != 0) {
        return -1;
    }
    summary->ptx_loss += texts;
    summary->loss += statistics.loss + texts;
    summary->updates++;
    return take_step(updater, parts->policy_optimizer, statistics.loss + texts, &summary->grad_norm, err);
}

static int train_critic(struct updater *updater, const struct mini_batch *mini_batch, struct err *err)
{
    struct ppo_parts *parts = updater->parts;
    struct update_summary *summary = updater->summary;
    optimizer_clear_gradients(parts->critic_optimizer);
    struct value_loss_options options = ppo_value_loss_options(ppo_keys(parts->recipe));
    value_loss_begin(&updater->value, &options, updater->view->episodes, mini_batch->answers, mini_batch->count);
    if (over_passes(updater, mini_batch, critic_pass, err) != 0) {
        return -1;
    }
    double loss = value_loss_mean(&updater->value);
    summary->value_loss += loss;
    summary->value_clip_fraction += value_loss_clip_fraction(&updater->value);
    summary->value_batches++;
    summary->loss += ppo_keys(parts->recipe)->vf_coef * loss;
    return take_step(updater, parts->critic_optimizer, loss, &summary->critic_grad_norm, err);
}

static int train(struct updater *updater, const struct mini_batch *mini_batch, struct err *err)
{
    const struct recipe *recipe = updater->parts->recipe;
    enum update_verdict verdict = UPDATE_STEP;
    bool warming_up = updater->parts->roles.has_critic && updater->iteration < ppo_keys(recipe)->critic_warmup_steps;
    if (!warming_up && train_policy(updater, mini_batch, &verdict, err) != 0) {
        return -1;
    }
    updater->summary->skipped += verdict == UPDATE_SKIP;
    updater->summary->stopped = verdict == UPDATE_STOP;
    if (verdict != UPDATE_STEP || !updater->parts->roles.has_critic) {
        return 0;
    }
    return train_critic(updater, mini_batch, err);
}

/* ---- all of them ---- */

/* The answers of all prompts, in the order of this epoch's permutation of the prompts. */
static void order_answers(const struct updater *updater, int64_t epoch, int64_t *prompts, int64_t *answers)
{
    const struct episodes *episodes = updater->view->episodes;
    int64_t group = episodes->group_size, count = episodes->count / group;
    uint64_t seed = random_u64((uint64_t)updater->parts->recipe->seed, RANDOM_MIX, 3, (uint64_t)updater->iteration);
    random_permutation(prompts, (size_t)count, seed, RANDOM_SHUFFLE, (uint64_t)epoch);
    for (int64_t i = 0; i < count; i++) {
        for (int64_t s = 0; s < group; s++) {
            answers[i * group + s] = prompts[i] * group + s;
        }
    }
}

static int train_epoch(struct updater *updater, const int64_t *answers, struct err *err)
{
    const struct episodes *episodes = updater->view->episodes;
    int64_t parts = ppo_keys(updater->parts->recipe)->num_mini_batches, group = episodes->group_size;
    int64_t unit = parts <= episodes->count / group ? group : 1, units = episodes->count / unit;
    for (int64_t m = 0; m < parts && !updater->summary->stopped; m++) {
        int64_t first = m * units / parts * unit, end = (m + 1) * units / parts * unit;
        struct mini_batch mini_batch = {answers + first, end - first};
        if (train(updater, &mini_batch, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int update_run(struct ppo_parts *parts, struct loop *loop, const struct ppo_view *view, int64_t iteration,
               double kl_coef, struct update_summary *summary, struct err *err)
{
    struct updater updater = {
        .parts = parts, .loop = loop, .view = view, .iteration = iteration, .kl_coef = kl_coef, .summary = summary};
    size_t count = (size_t)view->episodes->count;
    int64_t *answers = mem_alloc(count, sizeof *answers, err);
    int64_t *prompts = answers ? mem_alloc(count, sizeof *prompts, err) : NULL;
    int result = prompts ? 0 : -1;
    *summary = (struct update_summary){.finite = true};
    for (int64_t epoch = 0; result == 0 && epoch < ppo_keys(parts->recipe)->num_ppo_epochs && !summary->stopped;
         epoch++) {
        order_answers(&updater, epoch, prompts, answers);
        result = train_epoch(&updater, answers, err);
    }
    if (summary->updates + summary->value_batches > 0) {
        summary->loss /= (double)(summary->updates > 0 ? summary->updates : summary->value_batches);
    }
    mem_free(answers);
    mem_free(prompts);
    return result;
}
