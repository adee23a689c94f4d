/*
 * ppo/scoring.h - scores of sampled answers, by the reward model or by reward_command.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_SCORING_H
#define ATTUNE_PPO_SCORING_H

#include "ppo/command.h"
#include "ppo/reward_model.h"
#include "ppo/roles.h"

struct scoring {
    const struct model_text *text; /* the policy's */
    bool has_reward_model;
    struct reward_model reward_model;
    struct reward_command *command; /* or the program */
};

/* What is scored by; no memory to speak of, and no program started. */
int scoring_open(struct scoring *scoring, const struct recipe *recipe, const struct ppo_data *data,
                 const struct ppo_roles *roles, int32_t pass_tokens, struct err *err);
int scoring_plan(const struct scoring *scoring, const struct model *policy, struct backend *backend,
                 struct memory_plan *plan, struct err *err);
/* Host memory for what is scored at once by a reward model. */
size_t scoring_size(const struct scoring *scoring, const struct answer_most *most);
/* `pass` is the policy's; `command` is for a program. */
int scoring_start(struct scoring *scoring, struct pass *pass, const struct answer_most *most,
                  const struct reward_command_options *command, struct err *err);
void scoring_close(struct scoring *scoring);

/* When and where answers were sampled: names them for reward_command. */
struct scoring_occasion {
    int64_t iteration, first_index;
};

/* Sets the scores of all episodes, answers to `prompts`. */
int scoring_score(struct scoring *scoring, const struct prompt *const *prompts, struct episodes *episodes,
                  const struct scoring_occasion *occasion, struct err *err);

/* The words of an answer, without its end-of-turn token; appended to *out. */
int scoring_words(const struct scoring *scoring, const struct episodes *episodes, int64_t answer, struct strbuf *out,
                  struct err *err);

#endif
