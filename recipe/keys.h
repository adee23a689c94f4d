/*
 * recipe/keys.h - the one table of recipe keys.
 *
 * A row says all there is to say about a key: its field in struct recipe, type, unit, range, choices, default (by stage
 * and method where they differ), the stages it belongs to, whether it may change when a run is resumed, a sentence, and
 * what other tools call it. The parser, --help, attune-help, docs/recipes.md and the resolved recipe are all made from
 * these rows, in their order. To add a key, add its field to struct recipe and its row to keys.c.
 */
#ifndef ATTUNE_RECIPE_KEYS_H
#define ATTUNE_RECIPE_KEYS_H

#include "base/err.h"
#include "base/strbuf.h"
#include "recipe/recipe.h"
#include <stdbool.h>
#include <stddef.h>

enum key_type { KEY_SWITCH, KEY_WHOLE, KEY_REAL, KEY_TEXT, KEY_CHOICE, KEY_TEXTS, KEY_DATASETS };

enum key_group {
    GROUP_MODEL,
    GROUP_LORA,
    GROUP_DATA,
    GROUP_STEPS,
    GROUP_OPTIMIZER,
    GROUP_REWARD,
    GROUP_SCORES,
    GROUP_ROLLOUTS,
    GROUP_UPDATE,
    GROUP_REFERENCE,
    GROUP_EVALUATION,
    GROUP_RUN,
    GROUP_DATASET_ENTRY,
};
#define GROUP_COUNT 13
const char *key_group_title(enum key_group group);

/* Bits of key.stages. */
#define IN_SFT    (1u << STAGE_SFT)
#define IN_REWARD (1u << STAGE_REWARD)
#define IN_PPO    (1u << STAGE_PPO)
#define IN_ALL    (IN_SFT | IN_REWARD | IN_PPO)

struct key_choice {
    const char *name; /* NULL ends the list */
    int value;
    bool alias; /* understood, but not how it is written */
};

/* One value of another key. */
struct key_condition {
    const char *key; /* name of a KEY_CHOICE; NULL: no condition */
    int value;
};
#define KEY_CONDITIONS_MAX 2

/* A default that holds in some stages only, or only beside some values of other keys. */
struct key_default {
    unsigned stages; /* 0 ends the list */
    struct key_condition when[KEY_CONDITIONS_MAX];
    const char *text;
};
#define KEY_DEFAULTS_MAX 9

struct key {
    const char *name;
    enum key_group group;
    enum key_type type;
    size_t offset; /* in struct recipe; of dataset entries, in struct recipe_dataset */
    unsigned stages;
    const char *unit;                             /* "tokens", or NULL */
    const char *range;                            /* "[0, 1)", of numbers */
    const struct key_choice *choices;             /* KEY_CHOICE; of texts, the only ones allowed; or NULL */
    const char *initial;                          /* the default as one would write it; NULL: not set */
    struct key_default instead[KEY_DEFAULTS_MAX]; /* the first that holds goes before `initial` */
    bool required;
    bool may_change;       /* when a run is resumed */
    bool verbatim;         /* KEY_TEXTS: a single text is one item, commas and all */
    const char *help;      /* begins small, no full stop at the end */
    const char *synonyms;  /* names accepted as this one, separated by blanks */
    const char *elsewhere; /* other tools' names, "axolotl:base_model torchtune:checkpointer.checkpoint_dir" */
};

/* The rows; KEY_COUNT_MAX bounds arrays with an element a row. */
extern const struct key recipe_keys[];
extern const size_t recipe_key_count;
extern const struct key dataset_keys[];
extern const size_t dataset_key_count;
#define KEY_COUNT_MAX 160

/* The row of a name or of a synonym, or NULL. */
const struct key *key_find(const struct key *rows, size_t count, const char *name);
/* Whether the key belongs to the stage. */
bool key_in_stage(const struct key *key, enum stage stage);

/* Whether the key says something about an adapter, and so nothing where every weight is trained. */
bool key_is_of_lora(const struct key *key);

/*
 * What other tools' users mean by `name`, which may be a path of nested keys ("tokenizer.max_seq_len"): fills either
 * `key` (one of the rows) and `tool`, or `advice` for what needs no key here. False when nobody is known to call
 * anything so.
 */
struct key_meaning {
    const struct key *key;
    char tool[24];
    const char *advice; /* a clause: "the stage is the command: attune sft" */
};
bool key_meaning_of(const struct key *rows, size_t count, const char *name, struct key_meaning *meaning);
/* The row whose name is written most like `name`, of those in one of the stages, or NULL. */
const struct key *key_nearest(const struct key *rows, size_t count, const char *name, unsigned stages);

/* The default that holds for this stage and these values of other keys; NULL: not set. */
const char *key_default_text(const struct key *key, const struct recipe *recipe);

/* What a value of the key looks like: "a whole number in [1, 65536]", "one of: lora, full". */
void key_describe(struct strbuf *out, const struct key *key);

/*
 * Sets the key's field under `base` (a struct recipe or a struct recipe_dataset) from a text. Returns 0, -1 with *err
 * for want of memory, and 1 when the text is no such value: then *err holds a clause that fits behind the key's name
 * ("must be a number, not 'x'"). Not for KEY_DATASETS.
 */
int key_set(void *base, const struct key *key, const char *text, struct err *err);
/* Appends one item to a KEY_TEXTS field; same results. */
int key_append(void *base, const struct key *key, const char *text, struct err *err);
/* The word that a KEY_CHOICE field stands at. */
const char *key_choice_name(const struct key *key, const void *base);
/* Frees what the field holds and makes it zero. */
void key_clear(void *base, const struct key *key);
/* The value as YAML, on one line; "null" where a text or a list of entries is not set. */
void key_format(struct strbuf *out, const void *base, const struct key *key);

/* docs/recipes.md. */
void keys_print_markdown(FILE *out);
/* Everything about one key, for attune-help KEY. */
void key_print(FILE *out, const struct key *key);

#endif
