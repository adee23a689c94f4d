/*
 * ppo/update.h - the optimizer steps of an iteration: num_ppo_epochs times num_mini_batches of them.
 *
 * Each epoch goes over the answers in a fresh order of their prompts, a function of seed, iteration and epoch. A
 * mini-batch is a run of whole families, or of answers where there are more mini-batches than prompts. Policy and
 * critic go forward and backward one after the other over the same pass, each with gradients, clipping and optimizer of
 * its own.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_UPDATE_H
#define ATTUNE_PPO_UPDATE_H

#include "ppo/batches.h"
#include "ppo/loss.h"
#include "train/loop.h"

/* Of an iteration: sums over its mini-batches, but for the counts. */
struct update_summary {
    int64_t mini_batches;            /* that the policy went through */
    int64_t updates;                 /* that the policy took a step for */
    int64_t value_batches;           /* that the critic took a step for */
    int64_t skipped;                 /* whose mean ratio was above ratio_threshold */
    bool stopped;                    /* by target_kl */
    bool finite;                     /* no loss and no gradient was NaN or infinite */
    struct policy_statistics policy; /* but for `loss` */
    double ratio_squares;
    double value_loss, value_clip_fraction;
    double ptx_loss;
    double loss; /* the whole of it, mean over the mini-batches that were taken; NaN where one was not finite */
    double grad_norm, critic_grad_norm;
    double rate;
    int64_t tokens; /* that went through the model */
    int64_t texts;  /* of ptx_dataset */
};

/*
 * Trains on the episodes, whose advantages and returns are there. The policy stays as it is while
 * `iteration` < critic_warmup_steps.
 */
int update_run(struct ppo_parts *parts, struct loop *loop, const struct ppo_view *view, int64_t iteration,
               double kl_coef, struct update_summary *summary, struct err *err);

#endif
