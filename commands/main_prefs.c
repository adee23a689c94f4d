/* attune-prefs: the preference database and its labelling page. */
#include "base/args.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "commands/prefs/command.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"init", "make a database, or a further project in one", prefs_command_init},
    {"import", "read prompts, answers and labels from a data set", prefs_command_import},
    {"sample", "let one or several models answer prompts, for items to be judged", prefs_command_sample},
    {"annotator", "add a person and print a token, or revoke tokens", prefs_command_annotator},
    {"serve", "serve the labelling page", prefs_command_serve},
    {"label", "label in the terminal", prefs_command_label},
    {"set", "show or change guidelines, overlap, ties and the other rules", prefs_command_set},
    {"gold", "add or list items whose answer is known", prefs_command_gold},
    {"score", "score the answers with a reward model and ask about the least sure items first", prefs_command_score},
    {"stats", "progress, agreement, biases and the leaderboard", prefs_command_stats},
    {"export", "write labels as JSON lines", prefs_command_export},
    {"check", "look for damage", prefs_command_check},
    {"backup", "copy the database while it is in use", prefs_command_backup},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(void)
{
    printf("usage: attune prefs COMMAND DB ...\n\nCollects human preferences in one SQLite file.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    printf("\n'attune prefs COMMAND --help' tells the options of a command.\n"
           "A first session: attune prefs init prefs.db; attune prefs import prefs.db FILE --as items;\n"
           "attune prefs annotator add prefs.db NAME; attune prefs serve prefs.db\n");
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
    }
    const char *near = suggest_nearest(name, names, COMMAND_COUNT);
    fprintf(stderr, "attune prefs: unknown command '%s'%s%s%s; 'attune prefs --help' lists them\n", name,
            near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'" : "");
    return ARGS_USAGE;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    if (argc < 2) {
        fprintf(stderr, "usage: attune prefs COMMAND DB ...; 'attune prefs --help' lists the commands\n");
        return ARGS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return args_flush("attune prefs", 0);
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return args_flush("attune prefs", commands[i].run(argc - 1, argv + 1));
        }
    }
    return unknown_command(argv[1]);
}
