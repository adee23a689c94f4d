/* ppo/loss.c - see loss.h. */
#include "ppo/loss.h"
#include "ppo/kl.h"
#include <assert.h>
#include <math.h>

static int64_t tokens_of(const struct episodes *episodes, const int64_t *answers, int64_t count)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < count; i++) {
        tokens += episodes->items[answers[i]].length;
    }
    return tokens;
}

/* ---- policy ---- */

void policy_loss_begin(struct policy_loss *loss, const struct policy_loss_options *options,
                       const struct episodes *episodes, const int64_t *answers, int64_t count)
{
    assert(count > 0);
    *loss = (struct policy_loss){
        .options = *options, .episodes = episodes, .answers = count, .tokens = tokens_of(episodes, answers, count)};
}

/* What each token of an answer counts in the loss. */
static double token_weight(const struct policy_loss *loss, const struct episode *episode)
{
    switch (loss->options.loss_type) {
    case PPO_LOSS_DAPO:
        return 1 / (double)loss->tokens;
    case PPO_LOSS_GRPO:
        return 1 / ((double)loss->answers * (double)episode->length);
    case PPO_LOSS_DR_GRPO:
        break;
    }
    return 1 / ((double)loss->answers * (double)loss->options.response_length);
}

/* The clipped objective of one token, and its slope. Adds to the loss's statistics of ratios. */
static double objective_of(struct policy_loss *loss, double advantage, double log_ratio, double *slope)
{
    const struct policy_loss_options *options = &loss->options;
    double high = 1 + (options->epsilon_high > 0 ? options->epsilon_high : options->cliprange);
    double ratio = exp(log_ratio_clamp(log_ratio));
    double plain = -advantage * ratio, clipped = -advantage * fmax(1 - options->cliprange, fmin(high, ratio));
    bool is_clipped = clipped > plain;
    /* The clipped one is larger only where the clip holds the ratio, and then it does not depend on it. */
    *slope = is_clipped || fabs(log_ratio) > LOG_RATIO_MAX ? 0 : plain;
    loss->ratios += ratio;
    loss->log_ratio_squares += log_ratio * log_ratio;
    loss->clipped += is_clipped;
    return is_clipped ? clipped : plain;
}

void policy_loss_add(struct policy_loss *loss, int64_t answer, const float *logprobs, const float *entropies,
                     float *dlogprobs, float *dentropies)
{
    const struct episodes *episodes = loss->episodes;
    const struct episode *episode = &episodes->items[answer];
    const struct policy_loss_options *options = &loss->options;
    double weight = token_weight(loss, episode);
    for (int64_t i = 0; i < episode->length; i++) {
        int64_t t = episode->first + i;
        double logprob = (double)logprobs[i], slope;
        double from_reference = logprob - (double)episodes->reference_logprobs[t];
        double log_ratio = logprob - (double)episodes->old_logprobs[t];
        loss->objective += weight * objective_of(loss, episodes->advantages[t], log_ratio, &slope);
        if (options->kl_coef > 0) {
            loss->kl_term += weight * options->kl_coef * kl_estimate(options->kl_estimator, from_reference);
            slope += options->kl_coef * kl_slope(options->kl_estimator, from_reference);
        }
        dlogprobs[i] = (float)(weight * slope);
        if (entropies) {
            loss->entropies += (double)entropies[i];
            loss->entropy_term -= weight * options->entropy_coef * (double)entropies[i];
        }
        if (dentropies) {
            dentropies[i] = (float)(-weight * options->entropy_coef);
        }
    }
    loss->answers_added++;
    loss->tokens_added += episode->length;
    assert(loss->answers_added <= loss->answers && loss->tokens_added <= loss->tokens);
}

struct policy_statistics policy_loss_statistics(const struct policy_loss *loss)
{
    assert(loss->tokens_added > 0);
    double tokens = (double)loss->tokens_added;
    return (struct policy_statistics){.loss = loss->objective + loss->kl_term + loss->entropy_term,
                                      .objective = loss->objective,
                                      .approx_kl = loss->log_ratio_squares / tokens / 2,
                                      .clip_fraction = (double)loss->clipped / tokens,
                                      .ratio = loss->ratios / tokens,
                                      .entropy = loss->entropies / tokens};
}

enum update_verdict policy_loss_verdict(const struct policy_loss *loss)
{
    assert(loss->answers_added == loss->answers);
    const struct policy_loss_options *options = &loss->options;
    struct policy_statistics statistics = policy_loss_statistics(loss);
    if (options->target_kl > 0 && statistics.approx_kl > options->target_kl) {
        return UPDATE_STOP;
    }
    if (options->ratio_threshold > 0 && statistics.ratio > options->ratio_threshold) {
        return UPDATE_SKIP;
    }
    return UPDATE_STEP;
}

/* ---- value ---- */

void value_loss_begin(struct value_loss *loss, const struct value_loss_options *options,
                      const struct episodes *episodes, const int64_t *answers, int64_t count)
{
    assert(count > 0);
    *loss =
        (struct value_loss){.options = *options, .episodes = episodes, .tokens = tokens_of(episodes, answers, count)};
}

void value_loss_add(struct value_loss *loss, int64_t answer, const float *values, float *dvalues)
{
    const struct episode *episode = &loss->episodes->items[answer];
    double range = loss->options.cliprange_value, weight = loss->options.vf_coef / (double)loss->tokens;
    for (int64_t i = 0; i < episode->length; i++) {
        int64_t t = episode->first + i;
        double value = (double)values[i], old = (double)loss->episodes->values[t];
        double error = value - loss->episodes->returns[t];
        double clipped_error = fmax(old - range, fmin(old + range, value)) - loss->episodes->returns[t];
        bool is_clipped = clipped_error * clipped_error > error * error;
        loss->squares += is_clipped ? clipped_error * clipped_error : error * error;
        loss->clipped += is_clipped;
        dvalues[i] = is_clipped ? 0 : (float)(weight * error);
    }
    loss->tokens_added += episode->length;
    assert(loss->tokens_added <= loss->tokens);
}

double value_loss_mean(const struct value_loss *loss)
{
    return loss->squares / (double)loss->tokens_added / 2;
}

double value_loss_clip_fraction(const struct value_loss *loss)
{
    return (double)loss->clipped / (double)loss->tokens_added;
}

/* ---- text of the pretraining kind ---- */

double ptx_loss_add(double ptx_coef, int64_t trained, const float *logprobs, int64_t count, float *dlogprobs)
{
    double weight = ptx_coef / (double)trained, loss = 0;
    for (int64_t i = 0; i < count; i++) {
        loss -= weight * (double)logprobs[i];
        dlogprobs[i] = (float)-weight;
    }
    return loss;
}
