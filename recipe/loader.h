/*
 * recipe/loader.h - the parts that make a recipe, one after the other: yaml.c reads the file,
 * options.c the command line, recipe.c fills the defaults, check.c looks at keys that must fit together.
 * Only these files include it.
 *
 * A user's mistake does not end the load: it is noted, and all are reported at the end. What returns -1 with *err is a
 * failure that ends it (memory, or a file that cannot be read).
 */
#ifndef ATTUNE_RECIPE_LOADER_H
#define ATTUNE_RECIPE_LOADER_H

#include "base/err.h"
/* This stands in a circle with recipe.h: recipe_load() is what the loader works for, and a recipe is what it fills in.
 */
#include "recipe/keys.h"
#include "recipe/recipe.h"

/* Where a key was given. */
enum origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_OPTION };
struct place {
    enum origin origin;
    int line, column;   /* ORIGIN_FILE: from 1 */
    const char *option; /* ORIGIN_OPTION: as in argv, behind its dashes; ends at '=' or zero */
};

#define MISTAKES_MAX     24
#define MISTAKE_TEXT_MAX 512
struct mistake {
    struct place place;
    char text[MISTAKE_TEXT_MAX];
};

struct loader {
    struct recipe *recipe;
    const char *name;                   /* of the file, in messages; NULL: there is none */
    struct place places[KEY_COUNT_MAX]; /* by row of recipe_keys: where it was given last */
    bool filled[KEY_COUNT_MAX];         /* by row: it has a value, so no default is wanted */
    struct mistake mistakes[MISTAKES_MAX];
    int mistake_count;        /* may pass MISTAKES_MAX; the rest is counted only */
    bool unreadable;          /* the file is no recipe at all, so nothing is said about what it lacks */
    int foreign[STAGE_COUNT]; /* keys given that the stage does not have */
};

/* Notes a mistake; the text does not name the place. ORIGIN_DEFAULT stands for the recipe as a whole. */
void loader_mistake(struct loader *loader, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether so much is wrong that reading on helps nobody. */
bool loader_has_enough(const struct loader *loader);
/* 0, or -1 with all mistakes in *err. */
int loader_verdict(struct loader *loader, struct err *err);

/* Row of a key in recipe_keys. */
size_t loader_row(const struct key *key);
/* Where a key of this name was given. */
struct place loader_place(const struct loader *loader, const char *key);

/*
 * The key that `name` means in this stage, or NULL with a mistake noted: unknown, another tool's, or another stage's.
 * `rows` are recipe_keys or dataset_keys.
 */
const struct key *loader_key(struct loader *loader, const struct key *rows, size_t count, const char *name,
                             struct place place);

/* A key's field, from text; what is wrong with it is noted. */
int loader_set(struct loader *loader, void *base, const struct key *key, const char *text, struct place place,
               struct err *err);
/* Appends an entry with its defaults to a list of datasets; *out is NULL, and a mistake noted, when the list is full.
 */
int loader_add_dataset(struct loader *loader, struct recipe_dataset **out, const struct key *key, struct place place,
                       struct err *err);
/* Notes that a row of recipe_keys was given. */
void loader_given(struct loader *loader, const struct key *key, struct place place, bool filled);

/* All keys of a YAML text. */
int loader_read_yaml(struct loader *loader, const char *text, size_t length, struct err *err);
/* One key from a YAML text, for options such as --dataset '[{path: a.jsonl, weight: 2}]'. */
int loader_read_value(struct loader *loader, const struct key *key, const char *text, struct place place,
                      struct err *err);
int loader_read_options(struct loader *loader, int argc, char **argv, struct err *err);
/* Keys that must be there, and keys that must fit together. */
void loader_check(struct loader *loader);

#endif
