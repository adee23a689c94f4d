/*
 * attune-help - what the keys of a recipe mean.
 *
 *     attune help                 all keys, by purpose
 *     attune help KEY             one key; another tool's name for it will do
 *     attune help STAGE           the keys of a stage, with its defaults
 *     attune help --markdown      docs/recipes.md
 */
#include "base/args.h"
#include "base/mem.h"
#include "recipe/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void list_keys(void)
{
    struct key_table keys, members;
    struct strbuf names = {0};
    keys_of_stages(&keys, &all_stages);
    members_of_stages(&members, &all_stages);
    stages_put_names(&names, &all_stages, "", "|", "|");
    printf("attune help KEY explains a key of a recipe, attune help %s all keys of a stage,\n"
           "attune COMMAND --help a command. Every key can be set on the command line: --KEY VALUE.\n",
           strbuf_text(&names));
    strbuf_free(&names);
    int column = 0;
    for (size_t i = 0; i < keys.count; i++) {
        const struct key *key = keys.rows[i];
        int length = (int)strlen(key->name);
        if (i == 0 || strcmp(keys.rows[i - 1]->group, key->group) != 0) {
            printf("\n\n%s\n   ", key->group);
            column = 3;
        } else if (column + 1 + length > 100) {
            printf("\n   ");
            column = 3;
        }
        printf(" %s", key->name);
        column += 1 + length;
    }
    printf("\n\n%s\n   ", GROUP_DATASET_ENTRY);
    for (size_t i = 0; i < members.count; i++) {
        printf(" %s", members.rows[i]->name);
    }
    printf("\n");
}

/* A word of another tool, or one that was mistyped. */
static int explain_foreign(const struct key_table *keys, const struct key_table *members, const char *word)
{
    struct key_meaning meaning;
    bool known = key_meaning_of(keys, word, &meaning) || key_meaning_of(members, word, &meaning);
    if (known && meaning.key) {
        printf("%s is the name in %s. Here it is\n\n", word, meaning.tool);
        key_print(stdout, meaning.key, &all_stages);
        return EXIT_SUCCESS;
    }
    if (known) {
        printf("%s is no key here: %s.\n", word, meaning.advice);
        return EXIT_SUCCESS;
    }
    const struct key *nearest = key_nearest(keys, word);
    fprintf(stderr, "attune help: there is no key '%s'%s%s%s `attune help` lists them\n", word,
            nearest ? "; did you mean " : ";", nearest ? nearest->name : "", nearest ? "?" : "");
    return ARGS_USAGE;
}

static int explain(const char *word)
{
    const struct recipe_stage *stage = stage_named(&all_stages, word);
    if (stage) {
        printf("Keys of attune %s. Each may be given as an option, which wins over the recipe.\n", word);
        keys_print_help(stdout, stage);
        return EXIT_SUCCESS;
    }
    struct key_table keys, members;
    keys_of_stages(&keys, &all_stages);
    members_of_stages(&members, &all_stages);
    const struct key *member = key_find(&members, word), *first = key_find(&keys, word);
    if (!first && !member) {
        return explain_foreign(&keys, &members, word);
    }
    /* Stages may have keys of one name that mean different things: all are told. */
    for (size_t i = 0; first && i < keys.count; i++) {
        if (strcmp(keys.rows[i]->name, first->name) == 0) {
            printf("%s", keys.rows[i] == first ? "" : "\n");
            key_print(stdout, keys.rows[i], &all_stages);
        }
    }
    if (!first) {
        key_print(stdout, member, &all_stages);
    }
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
        keys_print_markdown(stdout, &all_stages);
    } else if (argc == 2 && strcmp(argv[1], "--help") != 0) {
        status = explain(argv[1] + (strncmp(argv[1], "--", 2) == 0 ? 2 : 0));
    } else {
        list_keys();
    }
    return args_flush("attune help", status);
}
