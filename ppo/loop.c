/* ppo/loop.c - see loop.h. */
#include "ppo/loop.h"
#include "base/log.h"
#include "base/random.h"
#include "ppo/options.h"
#include "ppo/recipe.h"
#include "ppo/rollout.h"
#include "ppo/update.h"
#include <math.h>
#include <stdio.h>

/*
 * Signs that a policy is lost. Its answers are this unlikely to the reference (nats a token); or one iteration moved
 * their log-probabilities this far (policy/approxkl_avg, which is below 0.1 where all is well), several times in a row
 * or for the worse, since a policy that has just found out what is wanted may leap once.
 */
#define LOST_KL     50.0
#define LEAP        3.0
#define LEAPS_MOST  2
#define LEAP_AT_ALL 100.0

int64_t ppo_loop_most_prompts(const struct ppo_data *data)
{
    size_t most = (size_t)data->recipe->per_device_train_batch_size;
    most = data->eval.count > most ? data->eval.count : most;
    return (int64_t)(data->samples.count > most ? data->samples.count : most);
}

/* ---- an iteration ---- */

static struct ppo_asked ask_iteration(struct ppo_loop *loop, int64_t iteration)
{
    int64_t count = loop->parts->recipe->per_device_train_batch_size;
    for (int64_t i = 0; i < count; i++) {
        int64_t place = iteration * count + i;
        loop->prompts[i] = ppo_data_prompt(&loop->parts->data, place);
        loop->keys[i] = random_u64(loop->prompts[i]->record, RANDOM_MIX, (uint64_t)place, 1);
    }
    return (struct ppo_asked){loop->prompts, loop->keys, count};
}

/* Seconds since *moment, which becomes now. */
static double lap(double *moment)
{
    double now = clock_seconds(), seconds = now - *moment;
    *moment = now;
    return seconds;
}

static int lost(const struct ppo_loop *loop, int64_t iteration, const char *what, double value, struct err *err)
{
    const struct recipe *recipe = loop->parts->recipe;
    return err_set(err,
                   "iteration %lld: %s is %.3g nats a token: the training diverged; what was saved before is in %s. A "
                   "lower learning_rate (now %g) or a larger kl_coef (now %g) usually helps",
                   (long long)iteration + 1, what, value, recipe->output_dir, recipe->learning_rate,
                   loop->controller.kl_coef);
}

/*
 * A fresh critic expects of every answer what those of the first iteration got on the mean. Its head's weight is zero
 * at first; without that offset it would have to learn the mean before advantages said anything, and until then every
 * answer would look better towards its end, where less of the score is discounted by lam.
 */
static int begin_critic(struct ppo_loop *loop, struct err *err)
{
    struct advantage_options options = ppo_advantage_options(ppo_keys(loop->parts->recipe));
    loop->critic_offset = advantage_mean_score(&loop->episodes, &options);
    return ppo_loop_set_critic_offset(loop, err);
}

/* From prompts to episodes with scores, log-probabilities and values. */
static int roll_out(struct ppo_loop *loop, int64_t iteration, struct rollout_summary *rollout, struct err *err)
{
    struct ppo_parts *parts = loop->parts;
    struct ppo_sums *sums = &loop->sums;
    struct scoring_occasion occasion = {.iteration = iteration};
    double moment = clock_seconds();
    struct ppo_asked asked = ask_iteration(loop, iteration);
    if (rollout_sample(parts, &asked, (int32_t)ppo_keys(parts->recipe)->response_length, &loop->episodes, err) != 0) {
        return -1;
    }
    sums->seconds[PPO_ROLLOUT] += lap(&moment);
    if (scoring_score(&parts->scoring, loop->prompts, &loop->episodes, &occasion, err) != 0) {
        return -1;
    }
    sums->seconds[PPO_SCORING] += lap(&moment);
    if (iteration == 0 && parts->roles.has_critic && parts->roles.critic_is_fresh && begin_critic(loop, err) != 0) {
        return -1;
    }
    if (rollout_measure(parts, loop->prompts, &loop->episodes, rollout, err) != 0) {
        return -1;
    }
    sums->seconds[PPO_FORWARD] += lap(&moment);
    if (!(rollout->token_kl < LOST_KL)) {
        return lost(loop, iteration, "the KL to the reference", rollout->token_kl, err);
    }
    return 0;
}

static void count_rollout(struct ppo_loop *loop, const struct rollout_summary *rollout,
                          const struct advantage_summary *summary)
{
    struct ppo_sums *sums = &loop->sums;
    ppo_sums_add(sums, PPO_SCORES, summary->score);
    ppo_sums_add(sums, PPO_RLHF_REWARD, summary->rlhf_reward);
    ppo_sums_add(sums, PPO_NON_SCORE_REWARD, summary->non_score_reward);
    ppo_sums_add(sums, PPO_KL, summary->kl);
    ppo_sums_add(sums, PPO_KL_COEF, loop->controller.kl_coef);
    ppo_sums_add(sums, PPO_ENTROPY, rollout->entropy);
    ppo_sums_add(sums, PPO_RESPONSE_LENGTH, summary->length);
    ppo_sums_add(sums, PPO_EOS_TOKENS, (double)summary->stopped);
    ppo_sums_add(sums, PPO_REFERENCE_PERPLEXITY, rollout->reference_perplexity);
    if (loop->parts->roles.has_critic) {
        ppo_sums_add(sums, PPO_EXPLAINED_VARIANCE, explained_variance(&loop->episodes));
    } else {
        ppo_sums_add(sums, PPO_EQUAL_GROUPS, (double)summary->equal_groups / (double)summary->groups);
    }
    if (rollout->decode_drift > sums->decode_drift) {
        sums->decode_drift = rollout->decode_drift;
    }
}

static void count_update(struct ppo_loop *loop, const struct update_summary *summary)
{
    struct ppo_sums *sums = &loop->sums;
    double batches = (double)summary->mini_batches, value_batches = (double)summary->value_batches;
    if (batches > 0) {
        double ratio = summary->policy.ratio / batches;
        ppo_sums_add(sums, PPO_POLICY_LOSS, summary->policy.objective / batches);
        ppo_sums_add(sums, PPO_APPROX_KL, summary->policy.approx_kl / batches);
        ppo_sums_add(sums, PPO_CLIP_FRACTION, summary->policy.clip_fraction / batches);
        ppo_sums_add(sums, PPO_TOKEN_ENTROPY, summary->policy.entropy / batches);
        ppo_sums_add(sums, PPO_RATIO, ratio);
        ppo_sums_add(sums, PPO_RATIO_VARIANCE, fmax(0, summary->ratio_squares / batches - ratio * ratio));
        ppo_sums_add(sums, PPO_UPDATES, (double)summary->updates);
    }
    if (summary->updates > 0) {
        ppo_sums_add(sums, PPO_GRAD_NORM, summary->grad_norm / (double)summary->updates);
    }
    if (summary->texts > 0) {
        ppo_sums_add(sums, PPO_PTX_LOSS,
                     summary->ptx_loss / (double)summary->updates / ppo_keys(loop->parts->recipe)->ptx_coef);
    }
    if (value_batches > 0) {
        ppo_sums_add(sums, PPO_VALUE_LOSS, summary->value_loss / value_batches);
        ppo_sums_add(sums, PPO_VALUE_CLIP_FRACTION, summary->value_clip_fraction / value_batches);
        ppo_sums_add(sums, PPO_CRITIC_GRAD_NORM, summary->critic_grad_norm / value_batches);
    }
}

/*
 * A leap is learning unless it was clearly for the worse: by half the widest spread of scores so far. (Of the last
 * spread before it one cannot tell: answers of a policy that has nearly learned its task all score alike.)
 */
static int check_landing(const struct ppo_loop *loop, int64_t iteration, double score, struct err *err)
{
    const struct recipe *recipe = loop->parts->recipe;
    if (loop->leaps == 0 || score >= loop->score_before - loop->widest_spread / 2) {
        return 0;
    }
    return err_set(
        err,
        "iteration %lld: the policy moved by more than %g nats a token at once (policy/approxkl_avg), and the "
        "mean score fell from %.4g to %.4g: the training diverged; what was saved before is in %s. A lower "
        "learning_rate (now %g) or a larger kl_coef (now %g) usually helps",
        (long long)iteration + 1, LEAP, loop->score_before, score, recipe->output_dir, recipe->learning_rate,
        loop->controller.kl_coef);
}

/* How far the iteration moved the policy, and whether that is still training. */
static int check_leaps(struct ppo_loop *loop, int64_t iteration, const struct update_summary *update,
                       const struct advantage_summary *before, struct err *err)
{
    double moved = update->mini_batches ? update->policy.approx_kl / (double)update->mini_batches : 0;
    if (loop->leaps == 0) {
        loop->score_before = before->score;
        loop->widest_spread = fmax(loop->widest_spread, before->score_deviation);
    }
    loop->leaps = moved > LEAP ? loop->leaps + 1 : 0;
    if (loop->leaps > LEAPS_MOST || moved > LEAP_AT_ALL) {
        return lost(loop, iteration, "the policy's move since the rollout (policy/approxkl_avg)", moved, err);
    }
    return 0;
}

static int train_step(void *context, int64_t iteration, struct loop_step *result, struct err *err)
{
    struct ppo_loop *loop = context;
    struct ppo_parts *parts = loop->parts;
    struct rollout_summary rollout;
    struct advantage_summary advantages;
    struct update_summary update;
    const struct advantage_options options = ppo_advantage_options(ppo_keys(parts->recipe));
    const struct ppo_view view = {&loop->episodes, loop->prompts, parts->backend->traits.pass_tokens};
    if (roll_out(loop, iteration, &rollout, err) != 0) {
        return -1;
    }
    advantage_compute(&loop->episodes, &options, loop->controller.kl_coef, &loop->statistics, &advantages);
    count_rollout(loop, &rollout, &advantages);
    if (check_landing(loop, iteration, advantages.score, err) != 0) {
        return -1;
    }
    double moment = clock_seconds();
    if (update_run(parts, &loop->steps, &view, iteration, loop->controller.kl_coef, &update, err) != 0) {
        return -1;
    }
    loop->sums.seconds[PPO_UPDATE] += lap(&moment);
    count_update(loop, &update);
    if (check_leaps(loop, iteration, &update, &advantages, err) != 0) {
        return -1;
    }
    if (iteration >=
        ppo_keys(parts->recipe)->critic_warmup_steps) { /* before, the policy stays where its reference is */
        kl_controller_update(&loop->controller, advantages.kl, loop->episodes.count);
    }
    *result = (struct loop_step){
        .loss = update.loss,
        .grad_norm = update.grad_norm,
        .rate = update.rate,
        .tokens = rollout.tokens + update.tokens,
        .applied = update.finite,
    };
    snprintf(result->note, sizeof result->note, "score %.3f  KL %.2f", advantages.score, advantages.kl);
    return 0;
}

static void record(void *context, struct metrics *metrics)
{
    struct ppo_loop *loop = context;
    const struct run_state *state = &loop->steps.run->state;
    metrics_real(metrics, "loss", state->window_loss / (double)state->window_steps);
    ppo_sums_record(&loop->sums, metrics);
    metrics_real(metrics, "lr", loop->steps.window.last.rate);
    metrics_whole(metrics, "episode", state->step * loop->episodes.capacity);
}

/* ---- evaluations ---- */

/* One answer to each prompt, with the same random numbers in every evaluation. */
static int answer(struct ppo_loop *loop, const struct ppo_prompts *prompts, int64_t most, int64_t first_index,
                  struct err *err)
{
    struct ppo_parts *parts = loop->parts;
    struct scoring_occasion occasion = {loop->steps.run->state.step, first_index};
    for (size_t i = 0; i < prompts->count; i++) {
        loop->prompts[i] = prompts->items[i];
        loop->keys[i] = random_u64(prompts->items[i]->record, RANDOM_MIX, i, 2);
    }
    struct ppo_asked asked = {loop->prompts, loop->keys, (int64_t)prompts->count};
    if (rollout_sample(parts, &asked, (int32_t)most, &loop->looks, err) != 0) {
        return -1;
    }
    return scoring_score(&parts->scoring, loop->prompts, &loop->looks, &occasion, err);
}

static int evaluate_prompts(struct ppo_loop *loop, double *error, struct err *err)
{
    struct metrics *metrics = loop->steps.run->metrics;
    const struct recipe *recipe = loop->parts->recipe;
    int64_t step = loop->steps.run->state.step, ended = 0, tokens = 0;
    double start = clock_seconds(), sum = 0;
    if (answer(loop, &loop->parts->data.eval, ppo_keys(recipe)->response_length, loop->episodes.capacity, err) != 0) {
        return -1;
    }
    double count = (double)loop->looks.count;
    for (int64_t i = 0; i < loop->looks.count; i++) {
        sum += loop->looks.items[i].score;
        tokens += loop->looks.items[i].length;
        ended += loop->looks.items[i].stopped;
    }
    metrics_begin(metrics, step, loop_epoch(&loop->steps, step));
    metrics_real(metrics, "eval_score", sum / count);
    metrics_real(metrics, "eval_response_length", (double)tokens / count);
    metrics_whole(metrics, "eval_num_eos_tokens", ended);
    metrics_timing(metrics, "time/eval", clock_seconds() - start);
    log_info("step %lld: eval score %.4f, %.1f tokens an answer", (long long)step, sum / count, (double)tokens / count);
    *error = -sum / count;
    return metrics_end(metrics, err);
}

static int write_samples(struct ppo_loop *loop, struct err *err)
{
    const struct ppo_data *data = &loop->parts->data;
    struct run *run = loop->steps.run;
    int64_t first_index = loop->episodes.capacity + (int64_t)data->eval.count;
    struct strbuf words = {0};
    int result = answer(loop, &data->samples, loop->parts->recipe->sample_max_new_tokens, first_index, err);
    for (size_t i = 0; result == 0 && i < data->samples.count; i++) {
        double score = loop->looks.items[i].score;
        strbuf_clear(&words);
        if (scoring_words(&loop->parts->scoring, &loop->looks, (int64_t)i, &words, err) != 0) {
            result = -1;
            break;
        }
        log_info("  > %s\n    %s\n    score %.3f", data->samples.items[i]->text, strbuf_text(&words), score);
        metrics_begin(run->samples, run->state.step, loop_epoch(&loop->steps, run->state.step));
        metrics_text(run->samples, "prompt", data->samples.items[i]->text);
        metrics_text(run->samples, "answer", strbuf_text(&words));
        metrics_real(run->samples, "score", score);
        result = metrics_end(run->samples, err);
    }
    strbuf_free(&words);
    return result;
}

static int evaluate(void *context, double *error, struct err *err)
{
    struct ppo_loop *loop = context;
    if (loop->parts->data.eval.count && evaluate_prompts(loop, error, err) != 0) {
        return -1;
    }
    return write_samples(loop, err);
}

/* ---- for ppo.c ---- */

struct loop_stage ppo_loop_stage(struct ppo_loop *loop)
{
    return (struct loop_stage){
        .context = loop, .step = train_step, .record = record, .evaluate = evaluate, .of = "negative eval score"};
}

int ppo_loop_set_critic_offset(struct ppo_loop *loop, struct err *err)
{
    struct ppo_roles *roles = &loop->parts->roles;
    if (!roles->has_critic || !roles->critic_is_fresh) {
        return 0;
    }
    return trainable_scale_score(&roles->critic, 1, loop->critic_offset - trainable_score(&roles->critic)->offset, err);
}

void ppo_loop_numbers(struct ppo_loop *loop, struct run_numbers *numbers)
{
    run_numbers_add(numbers, "kl_coef", &loop->controller.kl_coef);
    run_numbers_add(numbers, "scores_counted", &loop->statistics.count);
    run_numbers_add(numbers, "scores_mean", &loop->statistics.mean);
    run_numbers_add(numbers, "scores_squares", &loop->statistics.squares);
    run_numbers_add(numbers, "leaps", &loop->leaps);
    run_numbers_add(numbers, "score_before", &loop->score_before);
    run_numbers_add(numbers, "widest_spread", &loop->widest_spread);
    run_numbers_add(numbers, "critic_offset", &loop->critic_offset);
    ppo_sums_numbers(&loop->sums, numbers);
}
