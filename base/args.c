#include "base/args.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/suggest.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMNS  100
#define HELP_INDENT   26 /* where the sentences of --help begin */
#define OPTIONS_MAX   63 /* of one command */
#define NAME_MAX_SIZE 64 /* of an option, terminator included */

void args_list_free(struct args_list *list)
{
    mem_free(list->items);
    *list = (struct args_list){0};
}

static int list_add(struct args_list *list, const char *word, struct err *err)
{
    const char **items = mem_grow(list->items, &list->capacity, list->count + 1, sizeof *items, err);
    if (!items) {
        return -1;
    }
    list->items = items;
    items[list->count++] = word;
    return 0;
}

/* Whether `word`, `length` bytes of it, is the name, '-' and '_' being alike. */
static bool same_name(const char *word, size_t length, const char *name)
{
    if (strlen(name) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char left = word[i] == '_' ? '-' : word[i], right = name[i] == '_' ? '-' : name[i];
        if (left != right) {
            return false;
        }
    }
    return true;
}

static const struct args_option *find_option(const struct args_command *command, const char *word, size_t length)
{
    for (size_t i = 0; i < command->option_count; i++) {
        if (same_name(word, length, command->options[i].name)) {
            return &command->options[i];
        }
    }
    return NULL;
}

static int unknown_option(const struct args_command *command, const char *word, size_t length, struct err *err)
{
    const char *names[OPTIONS_MAX + 1];
    assert(command->option_count <= OPTIONS_MAX);
    size_t count = 0;
    for (size_t i = 0; i < command->option_count; i++) {
        names[count++] = command->options[i].name;
    }
    names[count++] = "help";
    char name[NAME_MAX_SIZE];
    const char *nearest = NULL;
    if (length < sizeof name) {
        memcpy(name, word, length);
        name[length] = '\0';
        nearest = suggest_nearest(name, names, count);
    }
    if (nearest) {
        return err_set(err, "there is no option --%.*s; did you mean --%s?", (int)length, word, nearest);
    }
    return err_set(err, "there is no option --%.*s; `%s --help` lists them", (int)length, word, command->name);
}

static bool in_range(const struct args_option *option, double value)
{
    return (option->least == 0 && option->most == 0) || (value >= option->least && value <= option->most);
}

static int set_number(const struct args_option *option, const char *value, struct err *err)
{
    char *end;
    errno = 0;
    long long whole = 0;
    double real = 0;
    bool read;
    if (option->whole) {
        whole = strtoll(value, &end, 10);
        real = (double)whole;
        read = end != value && *end == '\0' && errno == 0;
    } else {
        real = strtod(value, &end);
        read = end != value && *end == '\0' && isfinite(real);
    }
    if (!read) {
        return err_set(err, "--%s takes a %snumber, not '%s'", option->name, option->whole ? "whole " : "", value);
    }
    if (!in_range(option, real)) {
        return err_set(err, "--%s must be from %.15g to %.15g, but it is %s", option->name, option->least, option->most,
                       value);
    }
    if (option->whole) {
        *option->whole = whole;
    } else {
        *option->real = real;
    }
    return 0;
}

static int set_choice(const struct args_option *option, const char *value, struct err *err)
{
    struct strbuf known = {0};
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            *option->choice = i;
            strbuf_free(&known);
            return 0;
        }
        strbuf_printf(&known, "%s%s", i > 0 ? ", " : "", option->choices[i]);
    }
    err_set(err, "--%s takes one of %s, not '%s'", option->name, strbuf_text(&known), value);
    strbuf_free(&known);
    return -1;
}

static int set_value(const struct args_option *option, const char *value, struct err *err)
{
    if (option->text) {
        *option->text = value;
        return 0;
    }
    if (option->texts) {
        return list_add(option->texts, value, err);
    }
    if (option->choice) {
        return set_choice(option, value, err);
    }
    assert(option->whole || option->real);
    return set_number(option, value, err);
}

/* Takes argv[*at], which begins with "--", and the word after it where that is its value. */
static int take_option(const struct args_command *command, int argc, char **argv, int *at, struct err *err)
{
    const char *word = argv[*at] + 2, *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const struct args_option *option = find_option(command, word, length);
    if (!option && !command->passed) {
        return unknown_option(command, word, length, err);
    }
    if (!option) {
        bool value_follows = !equals && *at + 1 < argc && strncmp(argv[*at + 1], "--", 2) != 0;
        if (list_add(command->passed, argv[*at], err) != 0) {
            return -1;
        }
        return value_follows ? list_add(command->passed, argv[++*at], err) : 0;
    }
    if (option->given) {
        *option->given = true;
    }
    if (option->flag) {
        *option->flag = true;
        return equals ? err_set(err, "--%s is a switch and takes no value", option->name) : 0;
    }
    if (equals) {
        return set_value(option, equals + 1, err);
    }
    if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
        return err_set(err, "--%s needs a value: --%s=%s", option->name, option->name, option->argument);
    }
    return set_value(option, argv[++*at], err);
}

static int take_operand(const struct args_command *command, const char *word, size_t *taken, struct err *err)
{
    if (*taken >= command->operand_count) {
        return err_set(err, "'%s' is one word too many; `%s --help` shows what is expected", word, command->name);
    }
    const struct args_operand *operand = &command->operands[*taken];
    if (operand->texts) {
        return list_add(operand->texts, word, err);
    }
    *operand->text = word;
    ++*taken;
    return 0;
}

/* Empties the lists, so that a failed call leaves nothing to be freed. */
static void free_lists(const struct args_command *command)
{
    for (size_t i = 0; i < command->option_count; i++) {
        if (command->options[i].texts) {
            args_list_free(command->options[i].texts);
        }
    }
    for (size_t i = 0; i < command->operand_count; i++) {
        if (command->operands[i].texts) {
            args_list_free(command->operands[i].texts);
        }
    }
    if (command->passed) {
        args_list_free(command->passed);
    }
}

static int take_all(const struct args_command *command, int argc, char **argv, struct err *err)
{
    size_t operands = 0;
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        int result;
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
            continue;
        }
        if (options_ended || word[0] != '-' || word[1] == '\0') {
            result = take_operand(command, word, &operands, err);
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return ARGS_HELP;
        } else if (word[1] == '-') {
            result = take_option(command, argc, argv, &i, err);
        } else {
            result = err_set(err, "there is no option %s; options are written with two dashes, `%s --help` lists them",
                             word, command->name);
        }
        if (result != 0) {
            return -1;
        }
    }
    if (operands < command->operand_count) {
        const struct args_operand *operand = &command->operands[operands];
        if (!operand->optional && !(operand->texts && operand->texts->count > 0)) {
            return err_set(err, "%s is missing: %s", operand->name, operand->help);
        }
    }
    return ARGS_RUN;
}

int args_parse(const struct args_command *command, int argc, char **argv, struct err *err)
{
    int result = take_all(command, argc, argv, err);
    if (result != ARGS_RUN) {
        free_lists(command);
    }
    return result;
}

/* Prints words from column `column` on, broken at HELP_COLUMNS, the next lines indented by `indent`; ends the line. */
static void print_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
    const char *word = text;
    bool first = true;
    while (*word) {
        size_t length = strcspn(word, " ");
        if (!first && column + 1 + length > HELP_COLUMNS) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", (int)length, word);
        column += length + (first ? 0 : 1);
        first = false;
        word += length;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}

/* One row: what is written, and after it, or on the next line where it is long, what it means. */
static void print_row(FILE *out, const char *left, const char *help)
{
    size_t width = (size_t)fprintf(out, "  %s", left);
    if (width + 2 > HELP_INDENT) {
        fprintf(out, "\n%*s", HELP_INDENT, "");
    } else {
        fprintf(out, "%*s", (int)(HELP_INDENT - width), "");
    }
    print_wrapped(out, help, HELP_INDENT, HELP_INDENT);
}

static void print_option(FILE *out, const struct args_option *option)
{
    char left[2 * NAME_MAX_SIZE];
    snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    print_row(out, left, option->help);
}

static void print_usage(FILE *out, const struct args_command *command)
{
    fprintf(out, "usage: %s", command->name);
    for (size_t i = 0; i < command->operand_count; i++) {
        const struct args_operand *operand = &command->operands[i];
        fprintf(out, " %s%s%s%s", operand->optional ? "[" : "", operand->name, operand->texts ? "..." : "",
                operand->optional ? "]" : "");
    }
    fprintf(out, "%s%s\n", command->option_count > 0 ? " [options]" : "", command->passed ? " [--KEY VALUE ...]" : "");
}

void args_print_help(FILE *out, const struct args_command *command)
{
    print_usage(out, command);
    fputc('\n', out);
    print_wrapped(out, command->summary, 0, 0);
    fputc('\n', out);
    for (size_t i = 0; i < command->operand_count; i++) {
        print_row(out, command->operands[i].name, command->operands[i].help);
    }
    if (command->operand_count > 0) {
        fputc('\n', out);
    }
    for (size_t i = 0; i < command->option_count; i++) {
        print_option(out, &command->options[i]);
    }
    if (command->passed) {
        print_row(out, "--KEY VALUE", command->passed_help);
    }
    print_row(out, "--help", "this text");
    if (command->more) {
        fprintf(out, "\n%s\n", command->more);
    }
}

bool args_begin(const struct args_command *command, int argc, char **argv, int *status)
{
    struct err err;
    int result = args_parse(command, argc, argv, &err);
    if (result == ARGS_HELP) {
        args_print_help(stdout, command);
        *status = args_end(command, 0, NULL);
    } else if (result != ARGS_RUN) {
        fprintf(stderr, "%s: %s\n", command->name, err.text);
        print_usage(stderr, command);
        *status = ARGS_USAGE;
    }
    return result == ARGS_RUN;
}

int args_end(const struct args_command *command, int result, const struct err *err)
{
    if (result != 0) {
        fprintf(stderr, "%s: %s\n", command->name, err->text);
    }
    return args_flush(command->name, result == 0 ? EXIT_SUCCESS : ARGS_FAILURE);
}

int args_flush(const char *name, int status)
{
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (written || status != EXIT_SUCCESS) {
        return status;
    }
    fprintf(stderr, "%s: cannot write to standard output: %s\n", name, strerror(errno));
    return ARGS_FAILURE;
}
