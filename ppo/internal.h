/*
 * ppo/internal.h - what the files of this room share: the parts that an iteration works with. ppo.c makes and closes
 * them.
 */
#ifndef ATTUNE_PPO_INTERNAL_H
#define ATTUNE_PPO_INTERNAL_H

#include "model/generate/generate.h"
#include "ppo/data.h"
#include "ppo/roles.h"
#include "ppo/scoring.h"
#include "train/optimizer.h"

/* Host numbers of a pass, [predictions] each. */
struct ppo_numbers {
    float *logprobs, *entropies, *dlogprobs, *dentropies;
};

struct ppo_parts {
    const struct recipe *recipe;
    struct backend *backend;
    struct ppo_data data;
    struct ppo_roles roles;
    struct scoring scoring;
    struct generator *generator;
    struct pass *pass; /* of policy, reference and critic, one after the other */
    struct batch batch;
    struct ppo_numbers numbers;
    uint8_t *trained; /* [longest answer] of ones: every token of an answer is predicted */
    struct optimizer *policy_optimizer, *critic_optimizer; /* critic's: NULL without one */
};

/* What answers are sampled for. */
struct ppo_asked {
    const struct prompt *const *prompts; /* [count] */
    const uint64_t *keys;                /* [count], for random numbers */
    int64_t count;
};

#endif
