/*
 * recipe/stage.h - what a stage of training says about itself: one constant that stands in the stage's own folder.
 *
 *     const struct recipe_stage ppo_stage = {.name = "ppo", .keys = keys, .defaults = defaults, .check = check, ...};
 *
 * recipe/ and report/ know no stage by name. The parser, --help, attune help, docs/recipes.md, the resolved recipe and
 * the report go through the stages of the list that they are given.
 */
#ifndef ATTUNE_RECIPE_STAGE_H
#define ATTUNE_RECIPE_STAGE_H

#include "base/strbuf.h"
#include "recipe/keys.h"
#include "recipe/recipe.h"

struct metric_panel; /* report/metrics.h */

/* A default that a key of all stages has in this one. */
struct stage_default {
    const char *key;
    struct key_default value;
};

/* The recipe while the stage looks at it; for the functions at the end of this file. */
struct recipe_loader;

struct recipe_stage {
    const char *name;     /* "ppo": the verb on the command line */
    const char *purpose;  /* "optimise a model against a reward by PPO": beside the verb in the list of commands */
    const char *summary;  /* one sentence, for --help */
    const char *examples; /* two of its command lines, for --help */

    /* The recipe. The first of several defaults of a key that hold is taken. */
    const struct key *keys; /* the stage's own; their fields are in its struct, whose first member is a struct recipe */
    size_t key_count;
    size_t size;       /* of that struct; a stage without keys of its own has sizeof(struct recipe) */
    const char *lacks; /* keys of recipe/keys.c that the stage does not have, separated by blanks; or NULL */
    const struct stage_default *defaults;
    size_t default_count;
    /* Notes which keys do not fit together; each by itself is right already. NULL: all fit. */
    void (*check)(struct recipe_loader *loader, const struct recipe *recipe);
    bool always_samples; /* it writes answers to samples.jsonl whether or not the recipe has prompts for that */

    /* The report. */
    const char *title;                 /* "PPO training" */
    const char *title_joint;           /* between the title and the model's name: "of" */
    const struct metric_panel *panels; /* what it measures beside the metrics of report/metrics.c; ends with {0} */
};

struct recipe_stages {
    const struct recipe_stage *const *items;
    size_t count;
};
#define STAGES_MAX 16

/*
 * All stages there are, in the order in which they are listed to the user. commands/stages.c defines it, and the main
 * functions hand it on; nothing else names it.
 */
extern const struct recipe_stages all_stages;

/* The stage of that name, or NULL. */
const struct recipe_stage *stage_named(const struct recipe_stages *stages, const char *name);
/* Their names as a text: `before` each, `between` two of them, and `last` between the last two. */
void stages_put_names(struct strbuf *out, const struct recipe_stages *stages, const char *before, const char *between,
                      const char *last);

/* Whether the stage has the key: a row of its own, or one of recipe/keys.c that it does not lack. */
bool stage_has_key(const struct recipe_stage *stage, const struct key *key);
/* The key that has this name, or synonym, in the stage; NULL: it has none. */
const struct key *stage_find_key(const struct recipe_stage *stage, const char *name);

/* ---- for recipe_stage.check ---- */

/* Whether the user gave the key. */
bool check_given(const struct recipe_loader *loader, const char *key);
/* Whether the user gave both keys, and both in the file or both on the command line. */
bool check_given_together(const struct recipe_loader *loader, const char *one, const char *other);
/* Notes a mistake where `key` was given; NULL: in the recipe as a whole. */
void check_mistake(struct recipe_loader *loader, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
