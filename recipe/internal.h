/*
 * recipe/internal.h - what the files of this room share.
 *
 *     keys.c, keys_table.c    the common keys, and the tables of a stage's and of all keys
 *     keys_value.c            values from text and to text
 *     keys_names.c            what keys are called, here and elsewhere
 *     recipe.c                a recipe is made, one part after the other: yaml.c reads the file, options.c the command
 *                             line, recipe.c fills the defaults, check.c looks at keys that must fit together
 *     loader.c                what these share
 *
 * A user's mistake does not end the load: it is noted, and all are reported at the end. What returns -1 with *err is a
 * failure that ends it (memory, or a file that cannot be read).
 */
#ifndef ATTUNE_RECIPE_INTERNAL_H
#define ATTUNE_RECIPE_INTERNAL_H

#include "base/err.h"
#include "base/strbuf.h"
#include "recipe/keys.h"
#include "recipe/recipe.h"
#include "recipe/stage.h"

/* ---- rows ---- */

extern const struct key common_keys[];
extern const size_t common_key_count;
extern const struct key dataset_keys[]; /* of an entry of a list of datasets; their fields are in recipe_dataset */
extern const size_t dataset_key_count;

/* The rows that one stage has. */
void keys_of_stage(struct key_table *table, const struct recipe_stage *stage);
void members_of_stage(struct key_table *table, const struct recipe_stage *stage);

/* Whether a name is among some that blanks separate. */
bool name_among(const char *list, const char *name);
bool key_has_name(const struct key *key, const char *name);
/* Whether the key says something about an adapter, and so nothing where every weight is trained. */
bool key_is_of_lora(const struct key *key);

/* The i-th of the defaults that may go before key->initial in the stage, or NULL behind the last. */
const struct key_default *key_instead(const struct key *key, const struct recipe_stage *stage, size_t i);
bool key_default_equal(const struct key_default *one, const struct key_default *other);
/* The default that holds for the values of other keys in `recipe` (NULL: as none of them is given); NULL: not set. */
const char *key_default_text(const struct key *key, const struct recipe_stage *stage, const struct recipe *recipe);

/* ---- values ---- */

/* What a value of the key looks like: "a whole number in [1, 65536]", "one of: lora, full". */
void key_describe(struct strbuf *out, const struct key *key);
/*
 * Sets the key's field under `base` (a recipe or a struct recipe_dataset) from a text. Returns 0, -1 with *err for want
 * of memory, and 1 when the text is no such value: then *err holds a clause that fits behind the key's name ("must be a
 * number, not 'x'"). Not for KEY_DATASETS.
 */
int key_set(void *base, const struct key *key, const char *text, struct err *err);
/* Appends one item to a KEY_TEXTS field; same results. */
int key_append(void *base, const struct key *key, const char *text, struct err *err);
/* The word that a KEY_CHOICE field stands at. */
const char *key_choice_name(const struct key *key, const void *base);
/* Whether a KEY_SWITCH field is on. */
bool key_is_on(const struct key *key, const void *base);
/* What a KEY_TEXT field holds, which then holds nothing. */
char *key_take_text(const struct key *key, void *base);
/* The list of a KEY_DATASETS field. */
struct recipe_datasets *key_datasets(const struct key *key, struct recipe *recipe);
/* Frees what the field holds and makes it zero. */
void key_clear(void *base, const struct key *key);
/* The value as YAML, on one line; "null" where a text or a list of entries is not set. */
void key_format(struct strbuf *out, const void *base, const struct key *key);

/* ---- a recipe being made ---- */

/* Where a key was given. */
enum origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_OPTION };
struct key_place {
    enum origin origin;
    int line, column;   /* ORIGIN_FILE: from 1 */
    const char *option; /* ORIGIN_OPTION: as in argv, behind its dashes; ends at '=' or zero */
};

#define MISTAKES_MAX     24
#define MISTAKE_TEXT_MAX 512
struct mistake {
    struct key_place place;
    char text[MISTAKE_TEXT_MAX];
};

/* The keys that a name may mean: those of the stage, and in messages those of other stages. */
struct key_scope {
    struct key_table own, all;
};

/* The keys of a recipe's stage, and by row which of them the user gave (enum origin). */
struct recipe_given {
    struct key_table keys;
    unsigned char origins[KEY_COUNT_MAX];
};

struct recipe_loader {
    struct recipe *recipe;
    const struct recipe_stages *stages;
    struct key_scope keys, members;         /* of the recipe, and of an entry of a list of datasets */
    const struct key *only;                 /* the one key that is read, or NULL: all of them */
    const char *name;                       /* of the file, in messages; NULL: there is none */
    struct key_place places[KEY_COUNT_MAX]; /* by row of keys.own: where it was given last */
    bool filled[KEY_COUNT_MAX];             /* by row: it has a value, so no default is wanted */
    struct mistake mistakes[MISTAKES_MAX];
    int mistake_count;       /* may pass MISTAKES_MAX; the rest is counted only */
    bool unreadable;         /* the file is no recipe at all, so nothing is said about what it lacks */
    int foreign[STAGES_MAX]; /* by stage: keys given that it does not have */
};

/* Notes a mistake; the text does not name the place. ORIGIN_DEFAULT stands for the recipe as a whole. */
void loader_mistake(struct recipe_loader *loader, struct key_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether so much is wrong that reading on helps nobody. */
bool loader_has_enough(const struct recipe_loader *loader);
/* 0, or -1 with all mistakes in *err. */
int loader_verdict(struct recipe_loader *loader, struct err *err);

/* Row of a key in keys.own. */
size_t loader_row(const struct recipe_loader *loader, const struct key *key);
/* Where a key of this name was given. */
struct key_place loader_place(const struct recipe_loader *loader, const char *key);

/*
 * The key that `name` means in this stage, or NULL with a mistake noted: unknown, another tool's, or another stage's.
 * `scope` is the loader's keys or members.
 */
const struct key *loader_key(struct recipe_loader *loader, const struct key_scope *scope, const char *name,
                             struct key_place place);

/* A key's field, from text; what is wrong with it is noted. */
int loader_set(struct recipe_loader *loader, void *base, const struct key *key, const char *text,
               struct key_place place, struct err *err);
/* Appends an entry with its defaults to a list of datasets; *out is NULL, and a mistake noted, when the list is full.
 */
int loader_add_dataset(struct recipe_loader *loader, struct recipe_dataset **out, const struct key *key,
                       struct key_place place, struct err *err);
/* Notes that a key of the recipe was given. */
void loader_given(struct recipe_loader *loader, const struct key *key, struct key_place place, bool filled);

/* All keys of a YAML text. */
int loader_read_yaml(struct recipe_loader *loader, const char *text, size_t length, struct err *err);
/* One key from a YAML text, for options such as --dataset '[{path: a.jsonl, weight: 2}]'. */
int loader_read_value(struct recipe_loader *loader, const struct key *key, const char *text, struct key_place place,
                      struct err *err);
int loader_read_options(struct recipe_loader *loader, int argc, char **argv, struct err *err);
/* Keys that must be there, and keys that must fit together. */
void loader_check(struct recipe_loader *loader);

#endif
