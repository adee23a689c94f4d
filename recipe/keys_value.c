#include "base/mem.h"
#include "base/number.h"
#include "base/utf8.h"
#include "recipe/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Where the field lies; each type has its own so that the cast stands in one place. */
static void *field_of(const void *base, const struct key *key)
{
    return (char *)(uintptr_t)base + key->offset;
}

/* "[0, 1)": which numbers are allowed. */
struct key_range {
    double least, most;
    bool least_open, most_open;
};

static struct key_range range_of(const struct key *key)
{
    struct key_range range = {.least_open = key->range[0] == '('};
    char *end;
    range.least = strtod(key->range + 1, &end);
    assert(*end == ',');
    range.most = strtod(end + 1, &end);
    assert((*end == ')' || *end == ']') && range.least <= range.most);
    range.most_open = *end == ')';
    return range;
}

static bool in_range(const struct key *key, double number)
{
    struct key_range range = range_of(key);
    bool above = range.least_open ? number > range.least : number >= range.least;
    return above && (range.most_open ? number < range.most : number <= range.most);
}

/* A value cut to what fits into a sentence. */
#define SHOWN_MAX 60
static int shown(const char *text)
{
    return (int)utf8_cut(text, strlen(text), SHOWN_MAX);
}
#define SHOWN(text) shown(text), text

static int not_a_value(const struct key *key, const char *text, struct err *err)
{
    struct strbuf wanted = {0};
    key_describe(&wanted, key);
    int status = strbuf_check(&wanted, err);
    if (status == 0) {
        err_set(err, "must be %s, not '%.*s'", strbuf_text(&wanted), SHOWN(text));
        status = 1;
    }
    strbuf_free(&wanted);
    return status;
}

static int set_switch(bool *field, const struct key *key, const char *text, struct err *err)
{
    static const char *const yes[] = {"true", "yes", "on", "True", "Yes", "On", "TRUE", "YES", "ON"};
    static const char *const no[] = {"false", "no", "off", "False", "No", "Off", "FALSE", "NO", "OFF"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *field = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return not_a_value(key, text, err);
}

static int set_whole(int64_t *field, const struct key *key, const char *text, struct err *err)
{
    int64_t whole;
    if (!number_parse_whole(text, &whole) || !in_range(key, (double)whole)) {
        return not_a_value(key, text, err);
    }
    *field = whole;
    return 0;
}

static int set_real(double *field, const struct key *key, const char *text, struct err *err)
{
    double real;
    if (!number_parse(text, &real) || !in_range(key, real)) {
        return not_a_value(key, text, err);
    }
    *field = real;
    return 0;
}

static const struct key_choice *choice_named(const struct key *key, const char *text)
{
    for (const struct key_choice *choice = key->choices; choice->name; choice++) {
        if (strcmp(choice->name, text) == 0) {
            return choice;
        }
    }
    return NULL;
}

static int set_choice(int *field, const struct key *key, const char *text, struct err *err)
{
    const struct key_choice *choice = choice_named(key, text);
    if (!choice) {
        return not_a_value(key, text, err);
    }
    *field = choice->value;
    return 0;
}

/* What a text may not be, whatever its key: the resolved recipe has to hold it. */
static int check_text(const struct key *key, const char *text, struct err *err)
{
    if (!utf8_valid(text, strlen(text))) {
        err_set(err, "is not UTF-8");
        return 1;
    }
    if (text[0] == '\0') {
        err_set(err, "is empty; give a value or leave the key out");
        return 1;
    }
    if (key->choices && !choice_named(key, text)) {
        return not_a_value(key, text, err);
    }
    return 0;
}

static int set_text(char **field, const struct key *key, const char *text, struct err *err)
{
    int status = check_text(key, text, err);
    if (status != 0) {
        return status;
    }
    char *copy = mem_copy_string(text, strlen(text), err);
    if (!copy) {
        return -1;
    }
    mem_free(*field);
    *field = copy;
    return 0;
}

#define TEXTS_MAX 4096

static int append_text(struct recipe_strings *field, const struct key *key, const char *text, size_t length,
                       struct err *err)
{
    if (!key->verbatim && length == 4 && memcmp(text, "none", 4) == 0) {
        return 0; /* TRL's way to write a list without items */
    }
    char *copy = mem_copy_string(text, length, err);
    if (!copy) {
        return -1;
    }
    int status = check_text(key, copy, err);
    if (status == 0 && field->count == TEXTS_MAX) {
        status = err_set(err, "has more than %d items", TEXTS_MAX);
    }
    size_t capacity = field->count;
    char **grown = status == 0 ? mem_grow(field->items, &capacity, field->count + 1, sizeof *field->items, err) : NULL;
    if (!grown) {
        mem_free(copy);
        return status == 0 ? -1 : status;
    }
    field->items = grown;
    field->items[field->count++] = copy;
    return 0;
}

int key_append(void *base, const struct key *key, const char *text, struct err *err)
{
    assert(key->type == KEY_TEXTS);
    return append_text(field_of(base, key), key, text, strlen(text), err);
}

/* "a, b,c" */
static int set_texts(struct recipe_strings *field, const struct key *key, const char *text, struct err *err)
{
    if (key->verbatim) {
        return append_text(field, key, text, strlen(text), err);
    }
    for (const char *item = text;; item++) {
        item += strspn(item, " \t\n");
        size_t length = strcspn(item, ","), bare = length;
        while (bare > 0 && strchr(" \t\n", item[bare - 1])) {
            bare--;
        }
        int status = append_text(field, key, item, bare, err);
        if (status != 0) {
            return status;
        }
        item += length;
        if (*item == '\0') {
            return 0;
        }
    }
}

int key_set(void *base, const struct key *key, const char *text, struct err *err)
{
    void *field = field_of(base, key);
    switch (key->type) {
    case KEY_SWITCH:
        return set_switch(field, key, text, err);
    case KEY_WHOLE:
        return set_whole(field, key, text, err);
    case KEY_REAL:
        return set_real(field, key, text, err);
    case KEY_CHOICE:
        return set_choice(field, key, text, err);
    case KEY_TEXT:
        return set_text(field, key, text, err);
    case KEY_TEXTS:
        key_clear(base, key);
        return set_texts(field, key, text, err);
    case KEY_DATASETS:
        break;
    }
    assert(false); /* a list of datasets has no text form */
    return -1;
}

static void clear_texts(struct recipe_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++) {
        mem_free(strings->items[i]);
    }
    mem_free(strings->items);
    *strings = (struct recipe_strings){0};
}

static void clear_datasets(struct recipe_datasets *datasets)
{
    for (size_t i = 0; i < datasets->count; i++) {
        for (size_t k = 0; k < dataset_key_count; k++) {
            key_clear(&datasets->items[i], &dataset_keys[k]);
        }
    }
    mem_free(datasets->items);
    *datasets = (struct recipe_datasets){0};
}

void key_clear(void *base, const struct key *key)
{
    void *field = field_of(base, key);
    switch (key->type) {
    case KEY_SWITCH:
        *(bool *)field = false;
        break;
    case KEY_WHOLE:
        *(int64_t *)field = 0;
        break;
    case KEY_REAL:
        *(double *)field = 0;
        break;
    case KEY_CHOICE:
        *(int *)field = 0;
        break;
    case KEY_TEXT:
        mem_free(*(char **)field);
        *(char **)field = NULL;
        break;
    case KEY_TEXTS:
        clear_texts(field);
        break;
    case KEY_DATASETS:
        clear_datasets(field);
        break;
    }
}

/*
 * A text in double quotes. Besides what JSON escapes, everything that YAML 1.1 does not call printable (or takes for
 * the end of a line) is written as \u....
 */
static void format_text(struct strbuf *out, const char *text)
{
    size_t length = strlen(text);
    strbuf_putc(out, '"');
    for (size_t at = 0; at < length;) {
        int point;
        size_t bytes = utf8_read(text + at, length - at, &point);
        assert(point >= 0);
        bool printable = (point >= 0x20 && point < 0x7F) ||
                         (point >= 0xA0 && point < 0xFFFE && point != 0x2028 && point != 0x2029 && point != 0xFEFF) ||
                         point > 0xFFFF;
        if (point == '"' || point == '\\') {
            strbuf_printf(out, "\\%c", point);
        } else if (printable) {
            strbuf_append(out, text + at, bytes);
        } else {
            strbuf_printf(out, "\\u%04X", (unsigned)point);
        }
        at += bytes;
    }
    strbuf_putc(out, '"');
}

static void format_real(struct strbuf *out, double real)
{
    char text[NUMBER_TEXT_SIZE];
    number_format(text, real);
    strbuf_puts(out, text);
}

const char *key_choice_name(const struct key *key, const void *base)
{
    assert(key->type == KEY_CHOICE);
    int value = *(const int *)field_of(base, key);
    const struct key_choice *choice = key->choices;
    while (choice->name && (choice->value != value || choice->alias)) {
        choice++;
    }
    assert(choice->name);
    return choice->name;
}

bool key_is_on(const struct key *key, const void *base)
{
    assert(key->type == KEY_SWITCH);
    return *(const bool *)field_of(base, key);
}

char *key_take_text(const struct key *key, void *base)
{
    assert(key->type == KEY_TEXT);
    char **field = field_of(base, key), *text = *field;
    *field = NULL;
    return text;
}

struct recipe_datasets *key_datasets(const struct key *key, struct recipe *recipe)
{
    assert(key->type == KEY_DATASETS);
    return field_of(recipe, key);
}

static void format_texts(struct strbuf *out, const struct recipe_strings *strings)
{
    strbuf_putc(out, '[');
    for (size_t i = 0; i < strings->count; i++) {
        strbuf_puts(out, i > 0 ? ", " : "");
        format_text(out, strings->items[i]);
    }
    strbuf_putc(out, ']');
}

static void format_datasets(struct strbuf *out, const struct recipe_datasets *datasets,
                            const struct recipe_stage *stage)
{
    if (datasets->count == 0) {
        strbuf_puts(out, "null");
        return;
    }
    strbuf_putc(out, '[');
    for (size_t i = 0; i < datasets->count; i++) {
        const char *before = i > 0 ? ", {" : "{";
        for (size_t k = 0; k < dataset_key_count; k++) {
            if (stage_has_key(stage, &dataset_keys[k])) {
                strbuf_printf(out, "%s%s: ", before, dataset_keys[k].name);
                key_format(out, &datasets->items[i], &dataset_keys[k]);
                before = ", ";
            }
        }
        strbuf_putc(out, '}');
    }
    strbuf_putc(out, ']');
}

void key_format(struct strbuf *out, const void *base, const struct key *key)
{
    const void *field = field_of(base, key);
    switch (key->type) {
    case KEY_SWITCH:
        strbuf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case KEY_WHOLE:
        strbuf_printf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case KEY_REAL:
        format_real(out, *(const double *)field);
        break;
    case KEY_CHOICE:
        strbuf_puts(out, key_choice_name(key, base));
        break;
    case KEY_TEXT:
        if (*(char *const *)field) {
            format_text(out, *(char *const *)field);
        } else {
            strbuf_puts(out, "null");
        }
        break;
    case KEY_TEXTS:
        format_texts(out, field);
        break;
    case KEY_DATASETS:
        format_datasets(out, field, ((const struct recipe *)base)->stage);
        break;
    }
}

static void describe_choices(struct strbuf *out, const struct key *key)
{
    const char *before = key->type == KEY_TEXTS ? "any of " : "one of ";
    for (const struct key_choice *choice = key->choices; choice->name; choice++) {
        if (!choice->alias) {
            strbuf_printf(out, "%s%s", before, choice->name);
            before = ", ";
        }
    }
}

void key_describe(struct strbuf *out, const struct key *key)
{
    static const char *const words[] = {
        [KEY_SWITCH] = "true or false",  [KEY_WHOLE] = "a whole number",
        [KEY_REAL] = "a number",         [KEY_TEXT] = "a text",
        [KEY_TEXTS] = "a list of texts", [KEY_DATASETS] = "a list of entries {path, format, split, weight}",
    };
    if (key->choices) {
        describe_choices(out, key);
        return;
    }
    strbuf_puts(out, words[key->type]);
    if (key->range) {
        struct key_range range = range_of(key);
        if (range.most >= 1e9) { /* far beyond what anybody means: only the lower end says something */
            strbuf_printf(out, range.least_open ? " above %g" : ", at least %g", range.least);
        } else {
            strbuf_printf(out, " in %s", key->range);
        }
    }
}
