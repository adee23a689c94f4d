/* ppo/advantage.c - see advantage.h. */
#include "ppo/advantage.h"
#include "ppo/kl.h"
#include <assert.h>
#include <math.h>

#define WHITEN_EPSILON    1e-8 /* added to the variance */
#define SCORE_EPSILON     1e-8 /* added to the deviation */
#define GROUP_EPSILON     1e-4 /* added to the deviation, as in TRL */
#define EQUAL_REWARDS_MAX 1e-8 /* a deviation that counts as none, as in TRL */

/* Of some numbers, in two passes. */
struct moments {
    double mean;
    double squares; /* sum of squared distances from the mean */
};

static struct moments moments_of(const double *values, int64_t count)
{
    struct moments moments = {0};
    for (int64_t i = 0; i < count; i++) {
        moments.mean += values[i];
    }
    moments.mean /= (double)count;
    for (int64_t i = 0; i < count; i++) {
        moments.squares += (values[i] - moments.mean) * (values[i] - moments.mean);
    }
    return moments;
}

static struct moments moments_of_scores(const struct episodes *episodes)
{
    struct moments moments = {0};
    for (int64_t i = 0; i < episodes->count; i++) {
        moments.mean += episodes->items[i].score;
    }
    moments.mean /= (double)episodes->count;
    for (int64_t i = 0; i < episodes->count; i++) {
        double distance = episodes->items[i].score - moments.mean;
        moments.squares += distance * distance;
    }
    return moments;
}

static void score_statistics_add(struct score_statistics *statistics, struct moments batch, double count)
{
    double total = statistics->count + count, distance = batch.mean - statistics->mean;
    statistics->squares += batch.squares + distance * distance * statistics->count * count / total;
    statistics->mean += distance * count / total;
    statistics->count = total;
}

/* What is added to the reward of the answer's last token. */
static double final_score(const struct episode *episode, const struct advantage_options *options,
                          const struct score_statistics *statistics)
{
    double score = episode->score;
    if (options->use_score_norm) {
        double deviation = sqrt(statistics->squares / statistics->count);
        score = (score - statistics->mean) / (deviation + SCORE_EPSILON);
    }
    if (options->score_clip > 0 && fabs(score) > options->score_clip) {
        score = copysign(options->score_clip, score);
    }
    return episode->stopped ? score : score - options->missing_eos_penalty;
}

static void set_rewards(struct episodes *episodes, const struct advantage_options *options, double kl_coef,
                        const struct score_statistics *statistics, struct advantage_summary *summary)
{
    double price = options->estimator == PPO_ADVANTAGE_GRPO ? 0 : kl_coef;
    for (int64_t i = 0; i < episodes->count; i++) {
        const struct episode *episode = &episodes->items[i];
        double kl = 0, non_score_reward = 0;
        for (int64_t t = episode->first; t < episode->first + episode->length; t++) {
            double d = (double)episodes->old_logprobs[t] - (double)episodes->reference_logprobs[t];
            double estimate = kl_estimate(options->kl_estimator, d);
            episodes->rewards[t] = price > 0 ? -price * estimate : 0;
            non_score_reward += episodes->rewards[t];
            kl += estimate;
        }
        double score = final_score(episode, options, statistics);
        episodes->rewards[episode->first + episode->length - 1] += score;
        summary->kl += kl;
        summary->non_score_reward += non_score_reward;
        summary->rlhf_reward += non_score_reward + score;
        summary->stopped += episode->stopped;
    }
    double count = (double)episodes->count;
    summary->kl /= count;
    summary->non_score_reward /= count;
    summary->rlhf_reward /= count;
    summary->length = (double)episodes->token_count / count;
}

static void whiten(double *values, int64_t count, bool keep_mean)
{
    struct moments moments = moments_of(values, count);
    double deviation = sqrt(moments.squares / (double)count + WHITEN_EPSILON);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (values[i] - moments.mean) / deviation + (keep_mean ? moments.mean : 0);
    }
}

static void generalised_advantages(struct episodes *episodes, const struct advantage_options *options)
{
    for (int64_t i = 0; i < episodes->count; i++) {
        const struct episode *episode = &episodes->items[i];
        double next_value = 0, advantage = 0;
        for (int64_t t = episode->first + episode->length - 1; t >= episode->first; t--) {
            double value = (double)episodes->values[t];
            double delta = episodes->rewards[t] + options->gamma * next_value - value;
            advantage = delta + options->gamma * options->lam * advantage;
            next_value = value;
            episodes->advantages[t] = advantage;
            episodes->returns[t] = advantage + value;
        }
    }
}

static void fill(double *values, const struct episode *episode, double value)
{
    for (int64_t t = episode->first; t < episode->first + episode->length; t++) {
        values[t] = value;
    }
}

/* Every token's return: the sum of its answer's rewards. */
static void sum_rewards(struct episodes *episodes)
{
    for (int64_t i = 0; i < episodes->count; i++) {
        const struct episode *episode = &episodes->items[i];
        double sum = 0;
        for (int64_t t = episode->first; t < episode->first + episode->length; t++) {
            sum += episodes->rewards[t];
        }
        fill(episodes->returns, episode, sum);
    }
}

/* Mean and squares of the returns of `count` answers from number `first`. */
static struct moments moments_of_answers(const struct episodes *episodes, int64_t first, int64_t count)
{
    struct moments moments = {0};
    for (int64_t i = first; i < first + count; i++) {
        moments.mean += episodes->returns[episodes->items[i].first];
    }
    moments.mean /= (double)count;
    for (int64_t i = first; i < first + count; i++) {
        double distance = episodes->returns[episodes->items[i].first] - moments.mean;
        moments.squares += distance * distance;
    }
    return moments;
}

/* With Bessel's correction; 0 for a single number. */
static double corrected_deviation(struct moments moments, int64_t count)
{
    return count > 1 ? sqrt(moments.squares / (double)(count - 1)) : 0;
}

static void group_advantages(struct episodes *episodes, const struct advantage_options *options,
                             struct advantage_summary *summary)
{
    int64_t size = episodes->group_size;
    sum_rewards(episodes);
    double of_batch = corrected_deviation(moments_of_answers(episodes, 0, episodes->count), episodes->count);
    for (int64_t first = 0; first < episodes->count; first += size) {
        struct moments group = moments_of_answers(episodes, first, size);
        double deviation = corrected_deviation(group, size), factor = 1;
        if (options->estimator == PPO_ADVANTAGE_RLOO) { /* R - mean of the others = K / (K - 1) (R - mean) */
            factor = size > 1 ? (double)size / (double)(size - 1) : 0;
        } else if (options->scale_rewards != PPO_SCALE_NONE) {
            factor = 1 / ((options->scale_rewards == PPO_SCALE_GROUP ? deviation : of_batch) + GROUP_EPSILON);
        }
        for (int64_t i = first; i < first + size; i++) {
            const struct episode *episode = &episodes->items[i];
            fill(episodes->advantages, episode, (episodes->returns[episode->first] - group.mean) * factor);
        }
        summary->equal_groups += deviation <= EQUAL_REWARDS_MAX;
    }
}

double advantage_mean_score(const struct episodes *episodes, const struct advantage_options *options)
{
    struct score_statistics statistics = {0};
    double sum = 0;
    score_statistics_add(&statistics, moments_of_scores(episodes), (double)episodes->count);
    for (int64_t i = 0; i < episodes->count; i++) {
        sum += final_score(&episodes->items[i], options, &statistics);
    }
    return sum / (double)episodes->count;
}

void advantage_compute(struct episodes *episodes, const struct advantage_options *options, double kl_coef,
                       struct score_statistics *statistics, struct advantage_summary *summary)
{
    int64_t count = episodes->count, tokens = episodes->token_count;
    assert(count > 0 && count % episodes->group_size == 0);
    struct moments scores = moments_of_scores(episodes);
    *summary = (struct advantage_summary){.score = scores.mean,
                                          .score_deviation = sqrt(scores.squares / (double)count),
                                          .groups = count / episodes->group_size};
    if (options->use_score_norm) {
        score_statistics_add(statistics, scores, (double)count);
    }
    set_rewards(episodes, options, kl_coef, statistics, summary);
    bool with_critic = options->estimator == PPO_ADVANTAGE_GAE;
    if (with_critic) {
        if (options->whiten_rewards) {
            whiten(episodes->rewards, tokens, true);
        }
        generalised_advantages(episodes, options);
    } else {
        group_advantages(episodes, options, summary);
    }
    summary->advantage_deviation = sqrt(moments_of(episodes->advantages, tokens).squares / (double)tokens);
    if (with_critic) {
        whiten(episodes->advantages, tokens, false);
    }
}

double explained_variance(const struct episodes *episodes)
{
    struct moments returns = moments_of(episodes->returns, episodes->token_count);
    double mean = 0, squares = 0;
    for (int64_t t = 0; t < episodes->token_count; t++) {
        mean += episodes->returns[t] - (double)episodes->values[t];
    }
    mean /= (double)episodes->token_count;
    for (int64_t t = 0; t < episodes->token_count; t++) {
        double distance = episodes->returns[t] - (double)episodes->values[t] - mean;
        squares += distance * distance;
    }
    return returns.squares > 0 ? 1 - squares / returns.squares : NAN;
}
