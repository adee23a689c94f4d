/*
 * ppo/judge.h - the reward model at work: scores of sampled answers.
 *
 * An answer is scored as the reward model was trained: the same template, and read at the token that closes the answer.
 * Where the reward model has the policy's tokenizer and renders prompts to the same tokens, the sampled tokens go to it
 * as they are: an answer that was cut off gets the closing token, and one that ended with another stop token gets it
 * instead. Otherwise the words are rendered and tokenised anew. Which of the two it is all prompts decide together,
 * before the first is answered; a prompt that the reward model's template refuses is an error then.
 *
 *     judge_open()      which of the two it is; no memory to speak of
 *     judge_plan()      a pass of its own, where the reward model has another shape than the policy
 *     judge_start()     memory
 *     judge_score()
 */
#ifndef ATTUNE_PPO_JUDGE_H
#define ATTUNE_PPO_JUDGE_H

#include "ppo/data.h"
#include "ppo/episode.h"
#include "roles/scorer.h"

/* Prompts whose answers are made ready at once. */
#define JUDGE_FAMILIES 64

struct judge {
    const struct recipe *recipe;
    const struct scorer *scorer;
    bool anew;             /* words are rendered and tokenised anew */
    int32_t closing_token; /* of an answer */
    struct family_encoder *encoder;
    struct pass_limits limits;
    struct pass *pass, *own_pass; /* own_pass: NULL where the policy's serves */
    struct batch batch;
    int32_t *ids;            /* of one prompt's answers */
    struct family *families; /* [JUDGE_FAMILIES], filled again each time */
    float *scores;           /* of their answers */
};

/* The scorer is opened; its model need not be loaded. */
int judge_open(struct judge *judge, const struct recipe *recipe, const struct ppo_data *data,
               const struct scorer *scorer, const struct model *policy, struct err *err);
/* Whether a pass of the policy serves, if it has room for judge->limits. */
bool judge_shares_pass(const struct judge *judge, const struct model *policy);
/* Adds the memory of a pass of its own, where it needs one. */
int judge_plan(const struct judge *judge, const struct model *policy, struct backend *backend, struct memory_plan *plan,
               struct err *err);
/* The most there will be: answers to one prompt, tokens of a prompt and of an answer. */
struct judge_most {
    int64_t group, prompt, length;
};
/* Host memory that judge_start() and judge_score() take. */
size_t judge_size(const struct judge *judge, const struct judge_most *most);
/* `pass` is the policy's. */
int judge_start(struct judge *judge, struct pass *pass, const struct judge_most *most, struct err *err);
void judge_close(struct judge *judge);

/* Sets the scores of all episodes, answers to `prompts`; words[i] are those of answer i, looked at only if judge->anew.
 */
int judge_score(struct judge *judge, const struct prompt *const *prompts, struct episodes *episodes,
                const struct strbuf *words, struct err *err);

#endif
