/*
 * roles/scorer.h - a reward model that is only used: how good an answer is, as one number.
 *
 *     struct models models = {0};
 *     struct scorer scorer;
 *     scorer_open(&scorer, &(struct scorer_options){.folder = "runs/reward"}, &models, err)
 *     models_load(&models, backend, err), scorer_load(&scorer, backend, err)
 *     pass_create(&pass, scorer.model, &limits, err), batch_create(&batch, ..., err)
 *     scorer_score(&scorer, pass, &batch, families, count, scores, err)
 *     scorer_close(&scorer), models_close(&models)
 *
 * The folder is one of
 *     a run of attune reward, whether it trained an adapter or all weights,
 *     a PEFT adapter of the task SEQ_CLS, over the base that its adapter_config.json names or the caller does,
 *     a model of a class ...ForSequenceClassification with one label, as attune export --merge writes it.
 * Its text side is that of the model's folder; a run's recipe says which chat template it was trained with.
 *
 * Scores are those of training and evaluation: the same rendering, the same tokens, read at the token that closes the
 * answer (text/data/family.h), the offset included. A score does not depend on what else is scored with it.
 *
 * Errors:    0, or -1 with a sentence in *err.
 * Ownership: a scorer owns its adapter and text side; it borrows the model from the list of models.
 */
#ifndef ATTUNE_ROLES_SCORER_H
#define ATTUNE_ROLES_SCORER_H

#include "lora/adapter.h"
#include "model/pass.h"
#include "roles/models.h"
#include "text/data/family.h"
#include "text/model_text.h"

struct scorer_options {
    const char *folder;
    const char *base;          /* of an adapter; NULL: the one that it names */
    const char *chat_template; /* NULL: the one it was trained with, else the model's own */
};

struct scorer {
    char *folder;
    struct model *model;
    struct adapter *adapter; /* NULL: all weights are the model's */
    /* Where text.fingerprint is that of another role's text side, families may be made from that role's tokens. */
    struct model_text text;

    const struct overlay *overlay; /* set by scorer_load(); NULL without an adapter */
    const struct score_head *head; /* set by scorer_load() */
};

int scorer_open(struct scorer *scorer, const struct scorer_options *options, struct models *models, struct err *err);
/* Adds the memory of what lies over the base; the base's own is in models_plan(). */
int scorer_plan(struct scorer *scorer, struct backend *backend, struct memory_plan *plan, struct err *err);
/* After models_load(). */
int scorer_load(struct scorer *scorer, struct backend *backend, struct err *err);
void scorer_close(struct scorer *scorer);

/* Of what decides the scores: all weights, the offset, the text side. The base's weights are read for it. */
int scorer_fingerprint(const struct scorer *scorer, struct hash *out, struct err *err);

/*
 * For a family_encoder: the scorer's text side, and max_length tokens at most (0, or more than the model's positions:
 * those); of longer conversations the beginning is left out (FAMILY_KEEP_END).
 */
struct family_options scorer_family_options(const struct scorer *scorer, int64_t max_length);
/* Fails when a family holds a token that the model does not have. */
int scorer_check(const struct scorer *scorer, const struct family *family, struct err *err);

/* Rank that a pass must have room for. */
int32_t scorer_max_rank(const struct scorer *scorer);
/*
 * Limits of a pass (and a batch) for conversations of at most `longest` tokens: room for one such conversation, and for
 * about pass_tokens (the backend's) of shorter ones.
 */
#define SCORER_PASS_SEGMENTS 64
struct pass_limits scorer_limits(const struct scorer *scorer, int32_t longest, int32_t pass_tokens);

/*
 * scores[i]: of the i-th answer of all families, in their order. Pass and batch have room for any one conversation, by
 * assertion; a family that does not fit whole is scored in parts, which changes no score. The pass may have been made
 * for another model of the same shape (pass_fits()), and is that model's again afterwards.
 */
int scorer_score(const struct scorer *scorer, struct pass *pass, struct batch *batch, const struct family *families,
                 size_t count, float *scores, struct err *err);

#endif
