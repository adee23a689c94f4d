/* Options and words of the commands of attune-prefs. */
#include "base/suggest.h"
#include "commands/prefs/command.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32

int prefs_fail(const struct err *err)
{
    fprintf(stderr, "attune prefs: %s\n", err->text);
    return COMMAND_FAILED;
}

int prefs_open_project(struct prefs **store, const char *path, enum prefs_mode mode, const char *name, int64_t *project)
{
    struct err err;
    if (prefs_open(store, path, mode, &err) != 0) {
        return prefs_fail(&err);
    }
    if (prefs_find_project(*store, name, project, &err) != 0) {
        prefs_close(*store);
        return prefs_fail(&err);
    }
    return -1;
}

static void print_usage(FILE *out, const struct prefs_usage *usage)
{
    fprintf(out, "usage: attune prefs %s %s%s\n", usage->name, usage->words,
            usage->option_count > 0 ? " [options]" : "");
}

static void print_help(const struct prefs_usage *usage)
{
    print_usage(stdout, usage);
    printf("\n%s\n", usage->text);
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct prefs_option *option = &usage->options[i];
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
                 option->argument != NULL ? option->argument : "");
        printf("%s  %-26s %s\n", i == 0 ? "\n" : "", left, option->help);
    }
}

static int mistake(const struct prefs_usage *usage, const char *format, const char *word, const char *more)
{
    fprintf(stderr, "attune prefs %s: ", usage->name);
    fprintf(stderr, format, word, more);
    fprintf(stderr, "\n");
    print_usage(stderr, usage);
    return COMMAND_USAGE;
}

static const struct prefs_option *find_option(const struct prefs_usage *usage, const char *name, size_t length)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        if (strlen(usage->options[i].name) == length && memcmp(usage->options[i].name, name, length) == 0) {
            return &usage->options[i];
        }
    }
    return NULL;
}

static int unknown_option(const struct prefs_usage *usage, const char *word)
{
    const char *names[OPTIONS_MAX];
    for (size_t i = 0; i < usage->option_count; i++) {
        names[i] = usage->options[i].name;
    }
    const char *near = suggest_nearest(word + 2, names, usage->option_count);
    return near != NULL ? mistake(usage, "unknown option '%s'; did you mean '--%s'?", word, near)
                        : mistake(usage, "unknown option '%s'%s", word, "");
}

static int set_option(const struct prefs_usage *usage, const struct prefs_option *option, const char *value)
{
    char *end = NULL;
    errno = 0;
    switch (option->kind) {
    case OPTION_TEXT:
        *(const char **)option->value = value;
        return -1;
    case OPTION_FLAG:
        *(bool *)option->value = true;
        return -1;
    case OPTION_NUMBER: {
        long long number = strtoll(value, &end, 10);
        if (errno == 0 && end != value && *end == '\0' && number >= option->least && number <= option->most) {
            *(int64_t *)option->value = number;
            return -1;
        }
        break;
    }
    case OPTION_REAL: {
        double number = strtod(value, &end);
        if (end != value && *end == '\0' && isfinite(number) && number >= (double)option->least &&
            number <= (double)option->most) {
            *(double *)option->value = number;
            return -1;
        }
        break;
    }
    }
    char range[96];
    snprintf(range, sizeof range, "%s takes a number from %lld to %lld", option->name, (long long)option->least,
             (long long)option->most);
    return mistake(usage, "'%s': --%s", value, range);
}

/* --name, --name value or --name=value; *at moves over what was taken. */
static int read_option(const struct prefs_usage *usage, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word - 2) : strlen(word + 2);
    const struct prefs_option *option = find_option(usage, word + 2, length);
    if (option == NULL) {
        return unknown_option(usage, word);
    }
    if (option->kind == OPTION_FLAG) {
        return equals != NULL ? mistake(usage, "'%s' takes no value%s", word, "") : set_option(usage, option, NULL);
    }
    if (equals != NULL) {
        return set_option(usage, option, equals + 1);
    }
    if (*at + 1 >= argc) {
        return mistake(usage, "'%s' wants a value: %s", word, option->argument);
    }
    return set_option(usage, option, argv[++*at]);
}

int prefs_read_words(const struct prefs_usage *usage, int argc, char **argv, const char *words[PREFS_WORDS_MAX])
{
    size_t count = 0;
    memset(words, 0, PREFS_WORDS_MAX * sizeof *words);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(usage);
            return 0;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            int result = read_option(usage, argc, argv, &i);
            if (result >= 0) {
                return result;
            }
        } else if (count == usage->most) {
            return mistake(usage, "one word too many: '%s'%s", argv[i], "");
        } else {
            words[count++] = argv[i];
        }
    }
    return count < usage->least ? mistake(usage, "%s%s", "something is missing", "") : -1;
}
