/*
 * ppo/roles.h - who takes part in PPO, and what of it is in memory once.
 *
 *     policy      trained: an adapter on the base (adapter_name_or_path goes on, or a fresh one), or all weights
 *     reference   the policy as it began, frozen: the same adapter once more, or the base as it is
 *     critic      gae only, trained: predicts the return; an adapter with a score head, or all weights with one
 *     reward      scores answers, unless reward_command does (roles/scorer.h)
 *
 * With adapters all roles that name one base share its weights. In full tuning policy and critic are models of their
 * own in f32, and the reference is a third one, frozen: the memory plan says what that costs.
 *
 * The critic begins as the reward model (critic_init): with adapters as a copy of the reward adapter and its head, or
 * as a fresh adapter on a reward model that was trained in full; in full tuning as a copy of its weights. That takes a
 * reward model with the policy's tokenizer and shape; without one the critic is the base with a head of zeros.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_ROLES_H
#define ATTUNE_PPO_ROLES_H

#include "roles/models.h"
#include "roles/scorer.h"
#include "roles/trainable.h"
#include "train/run.h"

struct ppo_roles {
    struct models models;
    struct trainable policy, critic;
    bool has_critic, has_reward;
    struct model *reference_model;
    struct adapter *reference_adapter; /* NULL: the model as it is */
    struct scorer reward;
    bool critic_is_fresh; /* it did not begin as the reward model */
};

int ppo_roles_open(struct ppo_roles *roles, const struct recipe *recipe, struct err *err);
int ppo_roles_plan(struct ppo_roles *roles, struct backend *backend, struct memory_plan *plan, struct err *err);
int ppo_roles_load(struct ppo_roles *roles, struct backend *backend, struct err *err);
void ppo_roles_close(struct ppo_roles *roles);

/* Sets what decides the roles' numbers besides what is trained: the base, the reference's adapter, the reward model. */
int ppo_roles_identify(const struct ppo_roles *roles, struct run_identity *identity, struct err *err);

/* The rank that passes must have room for. */
int32_t ppo_roles_max_rank(const struct ppo_roles *roles);

/* The reference's overlay; NULL where it is its model alone. */
const struct overlay *ppo_roles_reference_overlay(const struct ppo_roles *roles);

/* Whether a pass made for the one serves the other. */
bool ppo_same_shape(const struct model_config *a, const struct model_config *b);
/* Whether two model folders have the same tokenizer.json, byte for byte. */
int ppo_same_tokenizer(const char *one, const char *other, bool *same, struct err *err);

#endif
