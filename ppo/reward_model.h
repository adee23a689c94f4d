/*
 * ppo/reward_model.h - the reward model at work: scores of sampled answers.
 *
 * An answer is scored as the reward model was trained: the same template, and read at the token that closes the answer.
 * Where the reward model has the policy's tokenizer and renders prompts to the same tokens, the sampled tokens go to it
 * as they are: an answer that was cut off gets the closing token, and one that ended with another stop token gets it
 * instead. Otherwise the words are rendered and tokenised anew. Which of the two it is all prompts decide together,
 * before the first is answered; a prompt that the reward model's template refuses is an error then.
 *
 *     reward_model_open()      which of the two it is; no memory to speak of
 *     reward_model_plan()      a pass of its own, where the reward model has another shape than the policy
 *     reward_model_start()     memory
 *     reward_model_score()
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_REWARD_MODEL_H
#define ATTUNE_PPO_REWARD_MODEL_H

#include "ppo/data.h"
#include "ppo/episode.h"
#include "roles/scorer.h"

/* Prompts whose answers are made ready at once. */
#define REWARD_MODEL_FAMILIES 64

struct reward_model {
    const struct recipe *recipe;
    const struct scorer *scorer;
    bool anew;             /* words are rendered and tokenised anew */
    int32_t closing_token; /* of an answer */
    struct family_encoder *encoder;
    struct pass_limits limits;
    struct pass *pass, *own_pass; /* own_pass: NULL where the policy's serves */
    struct batch batch;
    int32_t *ids;            /* of one prompt's answers */
    struct family *families; /* [REWARD_MODEL_FAMILIES], filled again each time */
    float *scores;           /* of their answers */
};

/* The scorer is opened; its model need not be loaded. */
int reward_model_open(struct reward_model *reward, const struct recipe *recipe, const struct ppo_data *data,
                      const struct scorer *scorer, const struct model *policy, int32_t pass_tokens, struct err *err);
/* Whether a pass of the policy serves, if it has room for reward->limits. */
bool reward_model_shares_pass(const struct reward_model *reward, const struct model *policy);
/* Adds the memory of a pass of its own, where it needs one. */
int reward_model_plan(const struct reward_model *reward, const struct model *policy, struct backend *backend,
                      struct memory_plan *plan, struct err *err);
/* The most there will be: answers to one prompt, tokens of a prompt and of an answer. */
struct answer_most {
    int64_t group, prompt, length;
};
/* Host memory that reward_model_start() and reward_model_score() take. */
size_t reward_model_size(const struct reward_model *reward, const struct answer_most *most);
/* `pass` is the policy's. */
int reward_model_start(struct reward_model *reward, struct pass *pass, const struct answer_most *most, struct err *err);
void reward_model_close(struct reward_model *reward);

/* Sets the scores of all episodes, answers to `prompts`; words[i] are those of answer i, looked at only if
 * reward->anew.
 */
int reward_model_score(struct reward_model *reward, const struct prompt *const *prompts, struct episodes *episodes,
                       const struct strbuf *words, struct err *err);

#endif
