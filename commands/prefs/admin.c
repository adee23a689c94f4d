/* attune prefs init, annotator, set, gold, check and backup. */
#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "commands/prefs/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUIDELINES_MAX ((size_t)1 << 20)

/* Closes the store and answers for `result`. */
static int finish(struct prefs *store, int result, const struct err *err)
{
    prefs_close(store);
    return result < 0 ? prefs_fail(err) : 0;
}

int prefs_command_init(int argc, char **argv)
{
    const char *path = NULL, *project = "default";
    bool named = false;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
    };
    const struct args_option options[] = {
        {.name = "project",
         .argument = "NAME",
         .help = "name of the project (default: default)",
         .text = &project,
         .given = &named},
    };
    const struct args_command command = {
        .name = "attune prefs init",
        .summary = "Makes a preference database. Where it exists already, --project adds a further project to it.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct err err;
    struct prefs *store = NULL;
    bool there = file_exists(path);
    if ((!there || !named) && prefs_create(path, &err) != 0) {
        return prefs_fail(&err);
    }
    int64_t id = 0;
    if (prefs_open(&store, path, PREFS_WRITE, &err) != 0) {
        return prefs_fail(&err);
    }
    int result = prefs_add_project(store, project, &id, &err);
    if (result == 0) {
        printf("%s: %s '%s'\n", path, there ? "added project" : "made with project", project);
    }
    status = finish(store, result, &err);
    if (result != 0 && !there) {
        prefs_discard(path); /* without a project it would only be in the way of another try */
    }
    return status;
}

static int add_annotator(struct prefs *store, const char *handle, bool admin, int64_t days, struct err *err)
{
    int64_t id = 0;
    char token[PREFS_TOKEN_SIZE];
    int result = prefs_add_annotator(store, handle, admin ? PREFS_ROLE_ADMIN : PREFS_ROLE_ANNOTATOR, &id, err);
    if (result == 0) {
        result = prefs_new_token(store, id, (int)days, token, err);
    }
    if (result == 0) {
        printf("%s\n", token);
        log_info("This token lets %s in for %lld days. It is shown this once; only its hash is kept.", handle,
                 (long long)days);
    }
    return result;
}

static int revoke_annotator(struct prefs *store, const char *handle, struct err *err)
{
    struct prefs_annotator annotator;
    int64_t revoked = 0;
    int result = prefs_find_annotator(store, handle, &annotator, err);
    if (result == 0) {
        result = prefs_revoke(store, annotator.id, &revoked, err);
    }
    if (result == 0) {
        printf("%s: %lld token%s revoked\n", handle, (long long)revoked, revoked == 1 ? "" : "s");
    }
    return result;
}

int prefs_command_annotator(int argc, char **argv)
{
    const char *action = NULL, *path = NULL, *handle = NULL;
    bool admin = false;
    int64_t days = 90;
    const struct args_operand operands[] = {
        {.name = "add|revoke", .help = "what to do", .text = &action},
        {.name = "DB", .help = "the database", .text = &path},
        {.name = "NAME", .help = "the person", .text = &handle},
    };
    const struct args_option options[] = {
        {.name = "admin", .help = "may also see the overview page", .flag = &admin},
        {.name = "days",
         .argument = "N",
         .help = "how long the token lasts (default: 90)",
         .whole = &days,
         .least = 1,
         .most = 3650},
    };
    const struct args_command command = {
        .name = "attune prefs annotator",
        .summary =
            "add prints a fresh token for the person, adding the person where needed; revoke ends all tokens of one.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    bool add = strcmp(action, "add") == 0;
    if (!add && strcmp(action, "revoke") != 0) {
        fprintf(stderr, "attune prefs annotator: '%s' is neither add nor revoke\n", action);
        return ARGS_USAGE;
    }
    struct err err;
    struct prefs *store = NULL;
    if (prefs_open(&store, path, PREFS_WRITE, &err) != 0) {
        return prefs_fail(&err);
    }
    int result = add ? add_annotator(store, handle, admin, days, &err) : revoke_annotator(store, handle, &err);
    return finish(store, result, &err);
}

static void print_settings(const struct prefs_settings *settings, int64_t guidelines)
{
    printf(
        "overlap          %lld annotators per item\nties             %s\nskip             %s\nstrength-levels  %lld\n"
        "gold             %lld per thousand tasks\nrepeat           %lld per thousand tasks\nlease            %lld s\n",
        (long long)settings->overlap, settings->allow_ties ? "yes" : "no", settings->allow_skip ? "yes" : "no",
        (long long)settings->strength_levels, (long long)settings->gold_permille, (long long)settings->repeat_permille,
        (long long)settings->lease_seconds);
    if (guidelines > 0) {
        printf("guidelines       version %lld\n", (long long)guidelines);
    } else {
        printf("guidelines       none\n");
    }
}

static int set_guidelines(struct prefs *store, int64_t project, const char *path, struct err *err)
{
    struct strbuf text = {0};
    int result = file_read(&text, path, GUIDELINES_MAX, err);
    if (result == 0) {
        result = prefs_set_guidelines(store, project, strbuf_text(&text), err);
    }
    strbuf_free(&text);
    return result;
}

/* What an option says where it was given, else what stands. */
static int64_t chosen(int64_t wanted, int64_t now)
{
    return wanted >= 0 ? wanted : now;
}

/* Brings the wanted changes into the settings of the project and stores them. */
static int change_settings(struct prefs *store, int64_t project, const struct prefs_settings *wanted, int ties,
                           int skip, struct prefs_settings *now, struct err *err)
{
    if (prefs_get_settings(store, project, now, err) != 0) {
        return -1;
    }
    now->overlap = chosen(wanted->overlap, now->overlap);
    now->strength_levels = chosen(wanted->strength_levels, now->strength_levels);
    now->gold_permille = chosen(wanted->gold_permille, now->gold_permille);
    now->repeat_permille = chosen(wanted->repeat_permille, now->repeat_permille);
    now->lease_seconds = chosen(wanted->lease_seconds, now->lease_seconds);
    now->allow_ties = chosen(ties, now->allow_ties) != 0;
    now->allow_skip = chosen(skip, now->allow_skip) != 0;
    return prefs_set_settings(store, project, now, err);
}

int prefs_command_set(int argc, char **argv)
{
    static const char *const switches[] = {"no", "yes", NULL};
    const char *path = NULL, *project_name = NULL, *guidelines = NULL;
    struct prefs_settings wanted = {-1, -1, false, false, -1, -1, -1}, now;
    int ties = -1, skip = -1;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
    };
    const struct args_option options[] = {
        {.name = "guidelines",
         .argument = "FILE",
         .help = "what annotators read beside the task (Markdown)",
         .text = &guidelines},
        {.name = "overlap",
         .argument = "N",
         .help = "annotators asked about every item",
         .whole = &wanted.overlap,
         .least = 1,
         .most = 99},
        {.name = "ties",
         .argument = "yes|no",
         .help = "whether answers may be called equal",
         .choice = &ties,
         .choices = switches},
        {.name = "skip",
         .argument = "yes|no",
         .help = "whether tasks may be skipped",
         .choice = &skip,
         .choices = switches},
        {.name = "strength-levels",
         .argument = "N",
         .help = "steps from slightly to much better",
         .whole = &wanted.strength_levels,
         .least = 1,
         .most = 4},
        {.name = "gold",
         .argument = "N",
         .help = "gold items per thousand tasks",
         .whole = &wanted.gold_permille,
         .least = 0,
         .most = 1000},
        {.name = "repeat",
         .argument = "N",
         .help = "own earlier items per thousand tasks",
         .whole = &wanted.repeat_permille,
         .least = 0,
         .most = 1000},
        {.name = "lease",
         .argument = "SECONDS",
         .help = "a task comes back to the others after this",
         .whole = &wanted.lease_seconds,
         .least = 1,
         .most = 604800},
        {.name = "project", .argument = "NAME", .help = "the project to change", .text = &project_name},
    };
    const struct args_command command = {
        .name = "attune prefs set",
        .summary = "Changes the rules of a project, and prints them.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct prefs *store = NULL;
    int64_t project = 0, version = 0;
    struct err err;
    struct strbuf text = {0};
    status = prefs_open_project(&store, path, PREFS_WRITE, project_name, &project);
    if (status >= 0) {
        return status;
    }
    int result = change_settings(store, project, &wanted, ties, skip, &now, &err);
    if (result == 0 && guidelines != NULL) {
        result = set_guidelines(store, project, guidelines, &err);
    }
    if (result == 0) {
        result = prefs_get_guidelines(store, project, &text, &version, &err);
    }
    if (result == 0) {
        print_settings(&now, version);
    }
    strbuf_free(&text);
    return finish(store, result, &err);
}

static int list_gold(struct prefs *store, int64_t project, struct err *err)
{
    struct prefs_gold gold = {0};
    int got;
    while ((got = prefs_next_gold(store, project, gold.item, &gold, err)) == 1) {
        if (gold.thumb != 0) {
            printf("item %lld  thumb %s  %s\n", (long long)gold.item, gold.thumb > 0 ? "up" : "down", gold.prompt);
        } else {
            printf("item %lld  answer %d beats %d  %s\n", (long long)gold.item, gold.better, gold.worse, gold.prompt);
        }
    }
    return got;
}

int prefs_command_gold(int argc, char **argv)
{
    static const char *const thumbs[] = {"down", "up", NULL};
    const char *action = NULL, *path = NULL, *item_text = NULL, *note = "", *project_name = NULL;
    int64_t better = -1, worse = -1;
    int thumb = -1;
    const struct args_operand operands[] = {
        {.name = "add|list", .help = "what to do", .text = &action},
        {.name = "DB", .help = "the database", .text = &path},
        {.name = "ITEM", .help = "the item to add", .text = &item_text, .optional = true},
    };
    const struct args_option options[] = {
        {.name = "better",
         .argument = "N",
         .help = "the answer that is better, counted from 0",
         .whole = &better,
         .least = 0,
         .most = PREFS_ANSWERS_MAX - 1},
        {.name = "worse",
         .argument = "N",
         .help = "the answer that is worse",
         .whole = &worse,
         .least = 0,
         .most = PREFS_ANSWERS_MAX - 1},
        {.name = "thumb",
         .argument = "up|down",
         .help = "for an item of one answer",
         .choice = &thumb,
         .choices = thumbs},
        {.name = "note", .argument = "TEXT", .help = "why", .text = &note},
        {.name = "project", .argument = "NAME", .help = "the project to list", .text = &project_name},
    };
    const struct args_command command = {
        .name = "attune prefs gold",
        .summary = "Gold items are handed to every annotator among the others and never trained on. 'export --format "
                   "answers' lists items and their answers.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    bool add = strcmp(action, "add") == 0;
    char *end = NULL;
    long long item = item_text != NULL ? strtoll(item_text, &end, 10) : 0;
    if ((!add && strcmp(action, "list") != 0) || add != (item_text != NULL) || (add && (*end != '\0' || item <= 0))) {
        fprintf(stderr, "attune prefs gold: say 'gold add DB ITEM --better N --worse N', 'gold add DB ITEM --thumb "
                        "up|down' or 'gold list DB'\n");
        return ARGS_USAGE;
    }
    struct prefs *store = NULL;
    int64_t project = 0;
    struct err err;
    if (add) {
        if (prefs_open(&store, path, PREFS_WRITE, &err) != 0) {
            return prefs_fail(&err);
        }
        int vote = thumb < 0 ? 0 : thumb == 1 ? 1 : -1;
        return finish(store, prefs_add_gold(store, item, (int)better, (int)worse, vote, note, &err), &err);
    }
    status = prefs_open_project(&store, path, PREFS_READ, project_name, &project);
    return status >= 0 ? status : finish(store, list_gold(store, project, &err), &err);
}

int prefs_command_check(int argc, char **argv)
{
    const char *path = NULL;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
    };
    const struct args_command command = {
        .name = "attune prefs check",
        .summary =
            "SQLite's integrity check, foreign keys, and the rules of docs/prefs.md that no constraint holds. Exit "
            "code 0: clean.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct prefs *store = NULL;
    struct err err;
    struct strbuf report = {0};
    int64_t faults = 0;
    if (prefs_open(&store, path, PREFS_READ, &err) != 0) {
        return prefs_fail(&err);
    }
    int result = prefs_check(store, &report, &faults, &err);
    if (result == 0 && faults == 0) {
        printf("%s: clean\n", path);
    } else if (result == 0) {
        printf("%s%s: %lld fault%s; go back to a backup, and keep this file for study\n", strbuf_text(&report), path,
               (long long)faults, faults == 1 ? "" : "s");
    }
    strbuf_free(&report);
    status = finish(store, result, &err);
    return status == 0 && faults > 0 ? ARGS_FAILURE : status;
}

int prefs_command_backup(int argc, char **argv)
{
    const char *path = NULL, *copy = NULL;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
        {.name = "FILE", .help = "the copy", .text = &copy},
    };
    const struct args_command command = {
        .name = "attune prefs backup",
        .summary = "Copies the database to a new file, also while it is in use.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct prefs *store = NULL;
    struct err err;
    if (prefs_open(&store, path, PREFS_READ, &err) != 0) {
        return prefs_fail(&err);
    }
    status = finish(store, prefs_backup(store, copy, &err), &err);
    if (status == 0) {
        printf("%s: a copy of %s\n", copy, path);
    }
    return status;
}
