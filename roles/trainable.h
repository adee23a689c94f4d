/*
 * roles/trainable.h - what a stage trains: an adapter on a frozen model, or all of the model's weights.
 *
 *     trainable_open()    the model and adapter that the recipe names, checked
 *     trainable_plan()    their memory
 *     trainable_load()    their values
 *
 * A checkpoint holds the trained tensors exactly (f32): adapter files, or masters as model.safetensors. The final
 * result is an adapter in PEFT's form, or a model folder in the base's dtype.
 */
#ifndef ATTUNE_ROLES_TRAINABLE_H
#define ATTUNE_ROLES_TRAINABLE_H

#include "lora/adapter.h"
#include "recipe/recipe.h"

struct trainable {
    struct model *model;
    bool borrows_model;                      /* another role has opened it, and loads and closes it */
    bool scorer;                             /* a score head in place of the vocabulary's */
    uint64_t seed;                           /* of a fresh score head */
    const char *chat_template;               /* the recipe's, for the texts beside the result */
    struct adapter *adapter;                 /* NULL: full tuning */
    const struct overlay *overlay;           /* the adapter's, or NULL; set by trainable_load() */
    const struct parameter_list *parameters; /* its sizes are set by trainable_plan(), the rest by trainable_load() */
};

/* `scorer`: with a score head in place of the vocabulary's. */
int trainable_open(struct trainable *trainable, const struct recipe *recipe, bool scorer, struct err *err);
/*
 * The same for one role of several. `model`: opened already, and loaded (before trainable_load(), with `backward`) and
 * closed by the caller; NULL: model_folder is opened, whose weights are trained where the recipe says full. With an
 * adapter_folder the role goes on from that adapter; the recipe's lora keys are for a fresh one.
 */
struct trainable_role {
    struct model *model;
    const char *model_folder;
    const char *adapter_folder; /* NULL: a fresh adapter, as the recipe describes it */
    bool scorer;                /* with a score head */
    uint64_t seed;
};
int trainable_open_role(struct trainable *trainable, const struct recipe *recipe, const struct trainable_role *role,
                        struct err *err);
int trainable_plan(struct trainable *trainable, struct backend *backend, struct memory_plan *plan, struct err *err);
int trainable_load(struct trainable *trainable, struct backend *backend, struct err *err);
void trainable_close(struct trainable *trainable);
/* Says which model it is, on which backend, and how much of it is trained. */
void trainable_introduce(const struct trainable *trainable, const struct backend *backend);
/* Fails where token ids up to `highest` are none of the model's. */
int trainable_check_ids(const struct trainable *trainable, int32_t highest, struct err *err);
/* The same, and fails where the model was not made for so many tokens as the longest one of `what` ("an example") has.
 */
int trainable_check_tokens(const struct trainable *trainable, int32_t highest, int32_t longest, const char *what,
                           struct err *err);
/* Trained numbers, and the rank that passes must have room for. */
int64_t trainable_count(const struct trainable *trainable);
int32_t trainable_max_rank(const struct trainable *trainable);
/* The score head of a scorer, after trainable_load(). */
const struct score_head *trainable_score(const struct trainable *trainable);
/* score becomes gain * score + offset: the gain goes into the head's weight, the rest into its offset. */
int trainable_scale_score(struct trainable *trainable, double gain, double offset, struct err *err);

int trainable_save_checkpoint(const struct trainable *trainable, const char *folder, struct err *err);
int trainable_load_checkpoint(struct trainable *trainable, const char *folder, struct err *err);
/* The result, at the top of the run's folder, each file written whole or not at all. */
int trainable_save_result(const struct trainable *trainable, const char *folder, struct err *err);

#endif
