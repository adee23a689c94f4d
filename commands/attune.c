/*
 * attune: the front command. `attune <verb> ...` runs `attune-<verb> ...`, from the folder that attune itself lies in
 * or from PATH, as git does; so a verb may be added by putting a program on PATH.
 */
#include "base/args.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include "recipe/stage.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

struct verb {
    const char *group;
    const char *name;
    const char *purpose;
};

/* Beside the stages of training. */
static const struct verb other_verbs[] = {
    {"Models", "generate", "answer prompts with a model"},
    {"Models", "chat", "talk to a model in the terminal"},
    {"Models", "eval", "measure a model: loss, perplexity, exact answers"},
    {"Models", "export", "write a tuned model: the adapter, or the merged model"},
    {"Models", "init", "make a model with random weights from a config.json"},
    {"Data", "data", "look at a dataset: its format, its records, what is trained on"},
    {"Data", "tokenize", "show how a text or a chat becomes tokens"},
    {"Data", "prefs", "collect preferences: import, label in a browser, export"},
    {"Help", "help", "explain the keys of recipes"},
    {"Help", "report", "draw what happened in a run"},
};
#define OTHER_COUNT (sizeof other_verbs / sizeof *other_verbs)
#define VERBS_MAX   (STAGES_MAX + OTHER_COUNT)

/* The verbs that attune knows, those of a group side by side. Returns how many they are. */
static size_t list_verbs(struct verb verbs[VERBS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < all_stages.count; i++) {
        const struct recipe_stage *stage = all_stages.items[i];
        verbs[count++] = (struct verb){"Tune", stage->name, stage->purpose};
    }
    for (size_t i = 0; i < OTHER_COUNT; i++) {
        verbs[count++] = other_verbs[i];
    }
    return count;
}

/* Sets *path to "<folder>/attune-<verb>" and returns whether that can be run. */
static bool in_folder(struct strbuf *path, const char *folder, size_t length, const char *verb)
{
    strbuf_clear(path);
    strbuf_append(path, folder, length);
    strbuf_printf(path, "/attune-%s", verb);
    return !path->failed && !file_is_dir(path->data) && access(path->data, X_OK) == 0;
}

/* Sets *path to the program of a verb; false where there is none. */
static bool find_program(struct strbuf *path, const char *verb)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self);
    const char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;
    if (slash && in_folder(path, self, (size_t)(slash - self), verb)) {
        return true;
    }
    const char *folder = getenv("PATH");
    while (folder && *folder) {
        size_t folder_length = strcspn(folder, ":");
        if (folder_length > 0 && in_folder(path, folder, folder_length, verb)) {
            return true;
        }
        folder += folder_length + (folder[folder_length] == ':');
    }
    return false;
}

static bool is_there(const char *verb)
{
    struct strbuf path = {0};
    bool found = find_program(&path, verb);
    strbuf_free(&path);
    return found;
}

static int print_usage(void)
{
    printf("attune " ATTUNE_VERSION " tunes open-weights language models.\n\n"
           "usage: attune <command> [arguments]\n");
    struct verb verbs[VERBS_MAX];
    size_t count = list_verbs(verbs);
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        if (!is_there(verbs[i].name)) {
            continue;
        }
        if (strcmp(verbs[i].group, group) != 0) {
            group = verbs[i].group;
            printf("\n%s\n", group);
        }
        printf("  %-10s %s\n", verbs[i].name, verbs[i].purpose);
    }
    printf("\n'attune <command> --help' tells more about a command.\n");
    return args_flush("attune", EXIT_SUCCESS);
}

static int unknown_verb(const char *verb)
{
    struct verb verbs[VERBS_MAX];
    size_t count = list_verbs(verbs), present_count = 0;
    const char *present[VERBS_MAX];
    for (size_t i = 0; i < count; i++) {
        if (strcmp(verbs[i].name, verb) == 0) {
            fprintf(stderr, "attune: the command '%s' is not installed: no attune-%s beside attune or on PATH\n", verb,
                    verb);
            return EXIT_USAGE;
        }
        if (is_there(verbs[i].name)) {
            present[present_count++] = verbs[i].name;
        }
    }
    const char *nearest = suggest_nearest(verb, present, present_count);
    if (nearest) {
        fprintf(stderr, "attune: there is no command '%s'; did you mean '%s'?\n", verb, nearest);
    } else {
        fprintf(stderr, "attune: there is no command '%s'; 'attune --help' lists them\n", verb);
    }
    return EXIT_USAGE;
}

/* Does not return where the command could be started. */
static int run_verb(char **arguments)
{
    const char *verb = arguments[0];
    struct strbuf path = {0};
    if (strchr(verb, '/') || !find_program(&path, verb)) {
        strbuf_free(&path);
        return unknown_verb(verb);
    }
    arguments[0] = path.data;
    execv(path.data, arguments);
    fprintf(stderr, "attune: cannot start '%s': %s\n", path.data, strerror(errno));
    strbuf_free(&path);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return print_usage();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("attune " ATTUNE_VERSION "\n");
        return args_flush("attune", EXIT_SUCCESS);
    }
    if (argv[1][0] == '-') {
        fprintf(stderr, "attune: there is no option '%s'; 'attune --help' tells how to call attune\n", argv[1]);
        return EXIT_USAGE;
    }
    return run_verb(argv + 1);
}
