/*
 * ppo/loop.h - what an iteration and an evaluation of the PPO stage are, over the parts that ppo.c has made.
 *
 *     prompts -> answers -> scores -> log-probabilities, values -> rewards, advantages -> updates -> the price of a nat
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_LOOP_H
#define ATTUNE_PPO_LOOP_H

#include "ppo/advantage.h"
#include "ppo/internal.h"
#include "ppo/kl.h"
#include "ppo/sums.h"
#include "train/loop.h"

struct ppo_loop {
    struct ppo_parts *parts;
    struct loop steps;
    struct episodes episodes;      /* of the iteration */
    struct episodes looks;         /* of evaluations: one answer to a prompt */
    const struct prompt **prompts; /* [prompts of an iteration, or of an evaluation] */
    uint64_t *keys;                /* as many */
    struct kl_controller controller;
    struct score_statistics statistics;
    double leaps;         /* iterations in a row that moved the policy too far */
    double score_before;  /* mean score before the first of them */
    double widest_spread; /* largest deviation of an iteration's scores before a leap */
    double critic_offset; /* of a fresh critic's head */
    struct ppo_sums sums;
};

/* Prompts of an iteration, or of an evaluation where those are more. */
int64_t ppo_loop_most_prompts(const struct ppo_data *data);

/* The callbacks for train/loop.h. */
struct loop_stage ppo_loop_stage(struct ppo_loop *loop);

/* Sets the offset of a fresh critic's head to loop->critic_offset: it is no tensor, so a checkpoint keeps it here. */
int ppo_loop_set_critic_offset(struct ppo_loop *loop, struct err *err);

/* The numbers of the loop that decide what comes. */
void ppo_loop_numbers(struct ppo_loop *loop, struct run_numbers *numbers);

#endif
