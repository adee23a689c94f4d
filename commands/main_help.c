/*
 * attune-help - what the keys of a recipe mean.
 *
 *     attune help                 all keys, by purpose
 *     attune help KEY             one key; another tool's name for it will do
 *     attune help sft|reward|ppo  the keys of a stage, with its defaults
 *     attune help --markdown      docs/recipes.md
 */
#include "base/args.h"
#include "base/mem.h"
#include "recipe/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void list_keys(void)
{
    printf("attune help KEY explains a key of a recipe, attune help sft|reward|ppo all keys of a stage,\n"
           "attune COMMAND --help a command. Every key can be set on the command line: --KEY VALUE.\n");
    int column = 0;
    for (size_t i = 0; i < recipe_key_count; i++) {
        const struct key *key = &recipe_keys[i];
        int length = (int)strlen(key->name);
        if (i == 0 || recipe_keys[i - 1].group != key->group) {
            printf("\n\n%s\n   ", key_group_title(key->group));
            column = 3;
        } else if (column + 1 + length > 100) {
            printf("\n   ");
            column = 3;
        }
        printf(" %s", key->name);
        column += 1 + length;
    }
    printf("\n\n%s\n   ", key_group_title(GROUP_DATASET_ENTRY));
    for (size_t i = 0; i < dataset_key_count; i++) {
        printf(" %s", dataset_keys[i].name);
    }
    printf("\n");
}

/* A word of another tool, or one that was mistyped. */
static int explain_foreign(const char *word)
{
    struct key_meaning meaning;
    bool known = key_meaning_of(recipe_keys, recipe_key_count, word, &meaning) ||
                 key_meaning_of(dataset_keys, dataset_key_count, word, &meaning);
    if (known && meaning.key) {
        printf("%s is the name in %s. Here it is\n\n", word, meaning.tool);
        key_print(stdout, meaning.key);
        return EXIT_SUCCESS;
    }
    if (known) {
        printf("%s is no key here: %s.\n", word, meaning.advice);
        return EXIT_SUCCESS;
    }
    const struct key *nearest = key_nearest(recipe_keys, recipe_key_count, word, IN_ALL);
    fprintf(stderr, "attune help: there is no key '%s'%s%s%s `attune help` lists them\n", word,
            nearest ? "; did you mean " : ";", nearest ? nearest->name : "", nearest ? "?" : "");
    return ARGS_USAGE;
}

static int explain(const char *word)
{
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        if (strcmp(word, stage_name((enum stage)stage)) == 0) {
            printf("Keys of attune %s. Each may be given as an option, which wins over the recipe.\n", word);
            recipe_print_help(stdout, (enum stage)stage);
            return EXIT_SUCCESS;
        }
    }
    const struct key *key = key_find(recipe_keys, recipe_key_count, word),
                     *member = key_find(dataset_keys, dataset_key_count, word);
    if (!key && !member) {
        return explain_foreign(word);
    }
    key_print(stdout, key ? key : member);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    int status = EXIT_SUCCESS;
    if (argc > 2) {
        fprintf(stderr, "attune help: give one key; `attune help` lists them\n");
        status = ARGS_USAGE;
    } else if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        keys_print_markdown(stdout);
    } else if (argc == 2 && strcmp(argv[1], "--help") != 0) {
        status = explain(argv[1] + (strncmp(argv[1], "--", 2) == 0 ? 2 : 0));
    } else {
        list_keys();
    }
    return args_flush("attune help", status);
}
