/*
 * recipe/keys.h - the keys of recipes.
 *
 * A row says all there is to say about a key: its field, type, unit, range, choices, default, whether it may change
 * when a run is resumed, a sentence, and what other tools call it. The parser, --help, attune help, docs/recipes.md and
 * the resolved recipe are all made from these rows, in their order.
 *
 * Keys of all stages (and those that most have) stand in recipe/keys.c, with their fields in struct recipe. A stage's
 * own keys stand in its folder (recipe/stage.h). To add a key, add its field and its row.
 */
#ifndef ATTUNE_RECIPE_KEYS_H
#define ATTUNE_RECIPE_KEYS_H

#include "recipe/recipe.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum key_type { KEY_SWITCH, KEY_WHOLE, KEY_REAL, KEY_TEXT, KEY_CHOICE, KEY_TEXTS, KEY_DATASETS };

/* Titles under which the common keys stand together. A stage may give its own keys titles of its own. */
#define GROUP_MODEL         "Model"
#define GROUP_LORA          "Method and adapter"
#define GROUP_DATA          "Data"
#define GROUP_STEPS         "Batches and steps"
#define GROUP_OPTIMIZER     "Optimizer"
#define GROUP_EVALUATION    "Evaluation"
#define GROUP_RUN           "The run"
#define GROUP_DATASET_ENTRY "An entry of dataset, eval_dataset or ptx_dataset"

struct key_choice {
    const char *name; /* NULL ends the list */
    int value;
    bool alias; /* understood, but not how it is written */
};

/* A default that holds only beside some values of other keys, which are KEY_CHOICE: all of `when`. */
#define KEY_CONDITIONS_MAX 2
struct key_default {
    const char *text; /* NULL ends the list */
    struct {
        const char *key, *value; /* NULL: no condition */
    } when[KEY_CONDITIONS_MAX];
};
#define KEY_DEFAULTS_MAX 4

struct key {
    const char *name;
    const char *group; /* its title; the keys of a group stand together */
    enum key_type type;
    size_t offset;      /* in the struct that a KEY_ROW names */
    const char *before; /* of a stage's own key in a group of common keys: the common key that it stands in front of */
    const char *unit;   /* "tokens", or NULL */
    const char *range;  /* "[0, 1)", of numbers */
    const struct key_choice *choices;             /* KEY_CHOICE; of texts, the only ones allowed; or NULL */
    const char *initial;                          /* the default as one would write it; NULL: not set */
    struct key_default instead[KEY_DEFAULTS_MAX]; /* the first that holds goes before `initial` */
    bool required;
    bool may_change;       /* when a run is resumed */
    bool verbatim;         /* KEY_TEXTS: a single text is one item, commas and all */
    const char *unless;    /* a switch; where it is true, this key says nothing */
    const char *help;      /* begins small, no full stop at the end */
    const char *synonyms;  /* names accepted as this one, separated by blanks */
    const char *elsewhere; /* other tools' names, "axolotl:base_model torchtune:checkpointer.checkpoint_dir" */
};

/* The beginning of a row: name, type and place of a field of `struct record`, which must have the type's C type. */
#define KEY_ROW(kind, record, field, c_type)                                                                           \
    .name = #field, .type = kind,                                                                                      \
    .offset = offsetof(struct record, field) + 0 * (size_t) _Generic(((struct record *)0)->field, c_type : 1)
#define SWITCH_KEY(record, field)   KEY_ROW(KEY_SWITCH, record, field, bool)
#define WHOLE_KEY(record, field)    KEY_ROW(KEY_WHOLE, record, field, int64_t)
#define REAL_KEY(record, field)     KEY_ROW(KEY_REAL, record, field, double)
#define TEXT_KEY(record, field)     KEY_ROW(KEY_TEXT, record, field, char *)
#define TEXTS_KEY(record, field)    KEY_ROW(KEY_TEXTS, record, field, struct recipe_strings)
#define DATASETS_KEY(record, field) KEY_ROW(KEY_DATASETS, record, field, struct recipe_datasets)
#define CHOICE_KEY(record, field)   KEY_ROW(KEY_CHOICE, record, field, default) /* every enum is stored as an int is */

/* Rows in the order in which they are listed; KEY_COUNT_MAX bounds arrays with an element a row. */
#define KEY_COUNT_MAX 256
struct key_table {
    const struct recipe_stages *stages; /* whose keys they are */
    const struct key *rows[KEY_COUNT_MAX];
    size_t count;
};
/* The keys that any of the stages has: the common ones, and before those of GROUP_EVALUATION the stages' own groups. */
void keys_of_stages(struct key_table *table, const struct recipe_stages *stages);
/* The members that an entry of a list of datasets has in any of the stages. */
void members_of_stages(struct key_table *table, const struct recipe_stages *stages);

/* The row of a name or of a synonym, or NULL. */
const struct key *key_find(const struct key_table *table, const char *name);

/*
 * What other tools' users mean by `name`, which may be a path of nested keys ("tokenizer.max_seq_len"): fills either
 * `key` (one of the rows) and `tool`, or `advice` for what needs no key here. False when nobody is known to call
 * anything so.
 */
struct key_meaning {
    const struct key *key;
    char tool[24];
    char advice[256]; /* a clause: "write dtype: bf16, f32 or auto" */
};
bool key_meaning_of(const struct key_table *table, const char *name, struct key_meaning *meaning);
/* The row whose name is written most like `name`, or NULL. */
const struct key *key_nearest(const struct key_table *table, const char *name);

/* The keys of a stage for its --help, grouped, with defaults. */
void keys_print_help(FILE *out, const struct recipe_stage *stage);
/* docs/recipes.md. */
void keys_print_markdown(FILE *out, const struct recipe_stages *stages);
/* Everything about one key, for attune-help KEY. */
void key_print(FILE *out, const struct key *key, const struct recipe_stages *stages);

#endif
