/* attune prefs init, annotator, set, gold, check and backup. */
#include "base/file.h"
#include "base/log.h"
#include "commands/prefs/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))
#define GUIDELINES_MAX ((size_t)1 << 20)

/* Closes the store and answers for `result`. */
static int finish(struct prefs *store, int result, const struct err *err)
{
    prefs_close(store);
    return result < 0 ? prefs_fail(err) : 0;
}

int prefs_command_init(int argc, char **argv)
{
    const char *words[PREFS_WORDS_MAX], *project = NULL;
    const struct prefs_option options[] = {
        {"project", OPTION_TEXT, &project, "NAME", "name of the project (default: default)", 0, 0}};
    const struct prefs_usage usage = {
        "init",
        "DB",
        1,
        1,
        "Makes a preference database. Where it exists already, --project adds a further project to it.",
        options,
        COUNT(options)};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    struct err err;
    struct prefs *store = NULL;
    bool there = file_exists(words[0]);
    if ((!there || project == NULL) && prefs_create(words[0], &err) != 0) {
        return prefs_fail(&err);
    }
    int64_t id = 0;
    if (prefs_open(&store, words[0], PREFS_WRITE, &err) != 0) {
        return prefs_fail(&err);
    }
    int result = prefs_add_project(store, project == NULL ? "default" : project, &id, &err);
    if (result == 0) {
        printf("%s: %s '%s'\n", words[0], there ? "added project" : "made with project",
               project == NULL ? "default" : project);
    }
    code = finish(store, result, &err);
    if (result != 0 && !there) {
        prefs_discard(words[0]); /* without a project it would only be in the way of another try */
    }
    return code;
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
    const char *words[PREFS_WORDS_MAX];
    bool admin = false;
    int64_t days = 90;
    const struct prefs_option options[] = {
        {"admin", OPTION_FLAG, &admin, NULL, "may also see the overview page", 0, 0},
        {"days", OPTION_NUMBER, &days, "N", "how long the token lasts (default: 90)", 1, 3650},
    };
    const struct prefs_usage usage = {
        "annotator",
        "add|revoke DB NAME",
        3,
        3,
        "add prints a fresh token for the person, adding the person where needed; revoke ends all tokens of one.",
        options,
        COUNT(options)};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    bool add = strcmp(words[0], "add") == 0;
    if (!add && strcmp(words[0], "revoke") != 0) {
        fprintf(stderr, "attune prefs annotator: '%s' is neither add nor revoke\n", words[0]);
        return COMMAND_USAGE;
    }
    struct err err;
    struct prefs *store = NULL;
    if (prefs_open(&store, words[1], PREFS_WRITE, &err) != 0) {
        return prefs_fail(&err);
    }
    int result = add ? add_annotator(store, words[2], admin, days, &err) : revoke_annotator(store, words[2], &err);
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

static int read_switch(const char *name, const char *value, bool *out)
{
    if (value != NULL && strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
        fprintf(stderr, "attune prefs set: --%s is yes or no, not '%s'\n", name, value);
        return COMMAND_USAGE;
    }
    if (value != NULL) {
        *out = strcmp(value, "yes") == 0;
    }
    return 0;
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

int prefs_command_set(int argc, char **argv)
{
    const char *words[PREFS_WORDS_MAX], *project_name = NULL, *guidelines = NULL, *ties = NULL, *skip = NULL;
    struct prefs_settings wanted = {-1, -1, false, false, -1, -1, -1};
    const struct prefs_option options[] = {
        {"guidelines", OPTION_TEXT, &guidelines, "FILE", "what annotators read beside the task (Markdown)", 0, 0},
        {"overlap", OPTION_NUMBER, &wanted.overlap, "N", "annotators asked about every item", 1, 99},
        {"ties", OPTION_TEXT, &ties, "yes|no", "whether answers may be called equal", 0, 0},
        {"skip", OPTION_TEXT, &skip, "yes|no", "whether tasks may be skipped", 0, 0},
        {"strength-levels", OPTION_NUMBER, &wanted.strength_levels, "N", "steps from slightly to much better", 1, 4},
        {"gold", OPTION_NUMBER, &wanted.gold_permille, "N", "gold items per thousand tasks", 0, 1000},
        {"repeat", OPTION_NUMBER, &wanted.repeat_permille, "N", "own earlier items per thousand tasks", 0, 1000},
        {"lease", OPTION_NUMBER, &wanted.lease_seconds, "SECONDS", "a task comes back to the others after this", 1,
         604800},
        {"project", OPTION_TEXT, &project_name, "NAME", "the project to change", 0, 0},
    };
    const struct prefs_usage usage = {"set",   "DB",          1, 1, "Changes the rules of a project, and prints them.",
                                      options, COUNT(options)};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    struct prefs *store = NULL;
    int64_t project = 0, version = 0;
    struct err err;
    struct strbuf text = {0};
    code = prefs_open_project(&store, words[0], PREFS_WRITE, project_name, &project);
    if (code >= 0) {
        return code;
    }
    struct prefs_settings now;
    int result = prefs_get_settings(store, project, &now, &err);
    if (result == 0) {
        now.overlap = wanted.overlap >= 0 ? wanted.overlap : now.overlap;
        now.strength_levels = wanted.strength_levels >= 0 ? wanted.strength_levels : now.strength_levels;
        now.gold_permille = wanted.gold_permille >= 0 ? wanted.gold_permille : now.gold_permille;
        now.repeat_permille = wanted.repeat_permille >= 0 ? wanted.repeat_permille : now.repeat_permille;
        now.lease_seconds = wanted.lease_seconds >= 0 ? wanted.lease_seconds : now.lease_seconds;
        if (read_switch("ties", ties, &now.allow_ties) != 0 || read_switch("skip", skip, &now.allow_skip) != 0) {
            prefs_close(store);
            return COMMAND_USAGE;
        }
        result = prefs_set_settings(store, project, &now, &err);
    }
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
    const char *words[PREFS_WORDS_MAX], *thumb = NULL, *note = "", *project_name = NULL;
    int64_t better = -1, worse = -1;
    const struct prefs_option options[] = {
        {"better", OPTION_NUMBER, &better, "N", "the answer that is better, counted from 0", 0, PREFS_ANSWERS_MAX - 1},
        {"worse", OPTION_NUMBER, &worse, "N", "the answer that is worse", 0, PREFS_ANSWERS_MAX - 1},
        {"thumb", OPTION_TEXT, &thumb, "up|down", "for an item of one answer", 0, 0},
        {"note", OPTION_TEXT, &note, "TEXT", "why", 0, 0},
        {"project", OPTION_TEXT, &project_name, "NAME", "the project to list", 0, 0},
    };
    const struct prefs_usage usage = {
        "gold",
        "add DB ITEM | list DB",
        2,
        3,
        "Gold items are handed to every annotator among the others and never trained on. 'export --format answers'\n"
        "lists items and their answers.",
        options,
        COUNT(options)};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    bool add = strcmp(words[0], "add") == 0;
    char *end = NULL;
    long long item = words[2] != NULL ? strtoll(words[2], &end, 10) : 0;
    if ((!add && strcmp(words[0], "list") != 0) || add != (words[2] != NULL) || (add && (*end != '\0' || item <= 0)) ||
        (thumb != NULL && strcmp(thumb, "up") != 0 && strcmp(thumb, "down") != 0)) {
        fprintf(stderr, "attune prefs gold: say 'gold add DB ITEM --better N --worse N', 'gold add DB ITEM --thumb "
                        "up|down' or 'gold list DB'\n");
        return COMMAND_USAGE;
    }
    struct prefs *store = NULL;
    int64_t project = 0;
    struct err err;
    if (add) {
        if (prefs_open(&store, words[1], PREFS_WRITE, &err) != 0) {
            return prefs_fail(&err);
        }
        int vote = thumb == NULL ? 0 : strcmp(thumb, "up") == 0 ? 1 : -1;
        return finish(store, prefs_add_gold(store, item, (int)better, (int)worse, vote, note, &err), &err);
    }
    code = prefs_open_project(&store, words[1], PREFS_READ, project_name, &project);
    return code >= 0 ? code : finish(store, list_gold(store, project, &err), &err);
}

int prefs_command_check(int argc, char **argv)
{
    const char *words[PREFS_WORDS_MAX];
    const struct prefs_usage usage = {
        "check",
        "DB",
        1,
        1,
        "SQLite's integrity check, foreign keys, and the rules of docs/prefs.md that no constraint holds.\n"
        "Exit code 0: clean.",
        NULL,
        0};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    struct prefs *store = NULL;
    struct err err;
    struct strbuf report = {0};
    int64_t faults = 0;
    if (prefs_open(&store, words[0], PREFS_READ, &err) != 0) {
        return prefs_fail(&err);
    }
    int result = prefs_check(store, &report, &faults, &err);
    if (result == 0 && faults == 0) {
        printf("%s: clean\n", words[0]);
    } else if (result == 0) {
        printf("%s%s: %lld fault%s; go back to a backup, and keep this file for study\n", strbuf_text(&report),
               words[0], (long long)faults, faults == 1 ? "" : "s");
    }
    strbuf_free(&report);
    code = finish(store, result, &err);
    return code == 0 && faults > 0 ? COMMAND_FAILED : code;
}

int prefs_command_backup(int argc, char **argv)
{
    const char *words[PREFS_WORDS_MAX];
    const struct prefs_usage usage = {
        "backup", "DB FILE", 2, 2, "Copies the database to a new file, also while it is in use.", NULL, 0};
    int code = prefs_read_words(&usage, argc, argv, words);
    if (code >= 0) {
        return code;
    }
    struct prefs *store = NULL;
    struct err err;
    if (prefs_open(&store, words[0], PREFS_READ, &err) != 0) {
        return prefs_fail(&err);
    }
    code = finish(store, prefs_backup(store, words[1], &err), &err);
    if (code == 0) {
        printf("%s: a copy of %s\n", words[1], words[0]);
    }
    return code;
}
