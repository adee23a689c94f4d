/*
 * attune: the front command. `attune <verb> ...` runs `attune-<verb> ...`, from the folder that attune itself lies in
 * or from PATH, as git does; so a verb may be added by putting a program on PATH.
 */
#include "base/args.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

struct verb {
    const char *name;
    const char *purpose;
};

struct group {
    const char *title;
    struct verb verbs[7]; /* ends with a name of NULL */
};

static const struct group groups[] = {
    {"Tune",
     {{"sft", "supervised fine-tuning on instructions, chats or plain text"},
      {"reward", "train a reward model from rankings of answers"},
      {"ppo", "optimise a model against a reward by PPO"}}},
    {"Models",
     {{"generate", "answer prompts with a model"},
      {"chat", "talk to a model in the terminal"},
      {"eval", "measure a model: loss, perplexity, exact answers"},
      {"export", "write a tuned model: the adapter, or the merged model"},
      {"init", "make a model with random weights from a config.json"}}},
    {"Data",
     {{"data", "look at a dataset: its format, its records, what is trained on"},
      {"tokenize", "show how a text or a chat becomes tokens"},
      {"prefs", "collect preferences: import, label in a browser, export"}}},
    {"Help", {{"help", "explain the keys of recipes"}, {"report", "draw what happened in a run"}}},
};
#define GROUP_COUNT (sizeof groups / sizeof *groups)

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
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        bool titled = false;
        for (const struct verb *verb = groups[i].verbs; verb->name; verb++) {
            if (is_there(verb->name)) {
                printf("%s%s%s  %-10s %s\n", titled ? "" : "\n", titled ? "" : groups[i].title, titled ? "" : "\n",
                       verb->name, verb->purpose);
                titled = true;
            }
        }
    }
    printf("\n'attune <command> --help' tells more about a command.\n");
    return args_flush("attune", EXIT_SUCCESS);
}

static int unknown_verb(const char *verb)
{
    const char *present[GROUP_COUNT * sizeof groups[0].verbs / sizeof groups[0].verbs[0]];
    size_t count = 0;
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        for (const struct verb *known = groups[i].verbs; known->name; known++) {
            if (strcmp(known->name, verb) == 0) {
                fprintf(stderr, "attune: the command '%s' is not installed: no attune-%s beside attune or on PATH\n",
                        verb, verb);
                return EXIT_USAGE;
            }
            if (is_there(known->name)) {
                present[count++] = known->name;
            }
        }
    }
    const char *nearest = suggest_nearest(verb, present, count);
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
