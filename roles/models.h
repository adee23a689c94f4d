/*
 * roles/models.h - base models, each opened once however many roles name it.
 *
 *     models_open()   the model of a folder, opened now or by a role before
 *     models_plan()   the memory of all of them
 *     models_load()   their weights; only then overlays and heads on them can be loaded
 *     models_close()
 *
 * In PPO the policy, its reference, the reward model and the critic are mostly adapters and heads over one base: its
 * weights are there once. Folders are the same when they are the same on the disk, whatever path leads there.
 *
 * Errors:    0, or -1 with a sentence in *err.
 * Ownership: the list owns the models; it borrows the backend, and what was made over the models goes before the list.
 */
#ifndef ATTUNE_ROLES_MODELS_H
#define ATTUNE_ROLES_MODELS_H

#include "model/model.h"

/* What a role reads off the last hidden states with the base's own weights. */
enum models_head {
    MODELS_NO_HEAD,    /* the role brings a head of its own: a critic, a reward adapter */
    MODELS_VOCABULARY, /* logits */
    MODELS_SCORE       /* the score head of the folder's files */
};

struct models_entry {
    char *path; /* the real one */
    enum models_head head;
    bool backward;
    struct model *model;
};

/* Zeroed is empty. */
struct models {
    struct models_entry *items;
    size_t count, capacity;
};

/*
 * *model is opened and belongs to the list. backward: gradients will be taken through its weights (by an adapter that
 * is trained on it). Before models_load() only.
 */
int models_open(struct models *models, const char *folder, enum models_head head, bool backward, struct model **model,
                struct err *err);
/* Adds what models_load() will take. */
int models_plan(const struct models *models, struct backend *backend, struct memory_plan *plan, struct err *err);
int models_load(struct models *models, struct backend *backend, struct err *err);
void models_close(struct models *models);

#endif
