#include "recipe/internal.h"

#include "base/mem.h"
#include "base/strbuf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DATASETS_MAX 1024

/* "r.yaml:3:1: ", "--packing: " or "r.yaml: ". */
static int put_place(const struct recipe_loader *loader, struct key_place place, char *out, size_t size)
{
    int length;
    if (place.origin == ORIGIN_OPTION) {
        size_t name = strcspn(place.option, "=");
        length = snprintf(out, size, "--%.*s: ", name < 100 ? (int)name : 100, place.option);
    } else if (place.origin == ORIGIN_FILE) {
        length = snprintf(out, size, "%.200s:%d:%d: ", loader->name, place.line, place.column);
    } else {
        length = snprintf(out, size, "%.200s: ", loader->name ? loader->name : "command line");
    }
    assert(length > 0 && (size_t)length < size);
    return length;
}

void loader_mistake(struct recipe_loader *loader, struct key_place place, const char *format, ...)
{
    if (loader->mistake_count++ >= MISTAKES_MAX) {
        return;
    }
    struct mistake *mistake = &loader->mistakes[loader->mistake_count - 1];
    mistake->place = place;
    int length = put_place(loader, place, mistake->text, sizeof mistake->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(mistake->text + length, sizeof mistake->text - (size_t)length, format, arguments);
    va_end(arguments);
}

bool loader_has_enough(const struct recipe_loader *loader)
{
    return loader->mistake_count >= 4 * MISTAKES_MAX;
}

/* The file's mistakes in its order, then those of the command line, then what is missing. */
static int by_place(const void *a, const void *b)
{
    static const int rank[] = {[ORIGIN_FILE] = 0, [ORIGIN_OPTION] = 1, [ORIGIN_DEFAULT] = 2};
    struct key_place one = ((const struct mistake *)a)->place, other = ((const struct mistake *)b)->place;
    if (rank[one.origin] != rank[other.origin]) {
        return rank[one.origin] - rank[other.origin];
    }
    return one.line != other.line ? one.line - other.line : one.column - other.column;
}

int loader_verdict(struct recipe_loader *loader, struct err *err)
{
    int count = loader->mistake_count, kept = count < MISTAKES_MAX ? count : MISTAKES_MAX;
    if (count == 0) {
        return 0;
    }
    if (count == 1) {
        return err_set(err, "%s", loader->mistakes[0].text);
    }
    qsort(loader->mistakes, (size_t)kept, sizeof loader->mistakes[0], by_place);
    struct strbuf text = {0};
    for (int i = 0; i < kept; i++) {
        strbuf_printf(&text, "\n%s", loader->mistakes[i].text);
    }
    if (count > kept) {
        strbuf_printf(&text, "\nand %d more", count - kept);
    }
    if (strbuf_check(&text, err) == 0) {
        err_set(err, "the recipe has %s%d mistakes:%s", loader_has_enough(loader) ? "at least " : "", count,
                strbuf_text(&text));
    }
    strbuf_free(&text);
    return -1;
}

size_t loader_row(const struct recipe_loader *loader, const struct key *key)
{
    size_t row = 0;
    while (row < loader->keys.own.count && loader->keys.own.rows[row] != key) {
        row++;
    }
    assert(row < loader->keys.own.count);
    return row;
}

struct key_place loader_place(const struct recipe_loader *loader, const char *key)
{
    const struct key *row = key_find(&loader->keys.own, key);
    assert(row);
    return loader->places[loader_row(loader, row)];
}

/* Whether the stage has a key of this scope by that name. */
static bool has_name(const struct recipe_stage *stage, const struct recipe_loader *loader,
                     const struct key_scope *scope, const char *name)
{
    if (scope == &loader->keys) {
        return stage_find_key(stage, name) != NULL;
    }
    return stage_has_key(stage, key_find(&scope->all, name));
}

/* Appends "attune sft and attune reward": the stages that have a key of this scope by that name. */
static void put_stages_with(struct strbuf *out, const struct recipe_loader *loader, const struct key_scope *scope,
                            const char *name)
{
    const struct recipe_stage *some[STAGES_MAX];
    struct recipe_stages with = {.items = some};
    for (size_t i = 0; i < loader->stages->count; i++) {
        if (has_name(loader->stages->items[i], loader, scope, name)) {
            some[with.count++] = loader->stages->items[i];
        }
    }
    stages_put_names(out, &with, "attune ", ", ", " and ");
}

/* Says whose name an unknown key is, or which key it may have meant. */
static void note_unknown(struct recipe_loader *loader, const struct key_scope *scope, const char *name,
                         struct key_place place)
{
    struct key_meaning meaning;
    const struct key *nearest = key_nearest(&scope->own, name);
    bool known = key_meaning_of(&scope->own, name, &meaning) || key_meaning_of(&scope->all, name, &meaning);
    if (known && meaning.key) {
        struct strbuf whose = {0};
        if (!stage_has_key(loader->recipe->stage, meaning.key)) {
            strbuf_puts(&whose, ", a key of ");
            put_stages_with(&whose, loader, scope, meaning.key->name);
        }
        loader_mistake(loader, place, "'%.80s' is the name in %s; here it is %s%s", name, meaning.tool,
                       meaning.key->name, strbuf_text(&whose));
        strbuf_free(&whose);
    } else if (known) {
        loader_mistake(loader, place, "'%.80s' is no key here: %s", name, meaning.advice);
    } else if (nearest) {
        loader_mistake(loader, place, "unknown key '%.80s'; did you mean %s?", name, nearest->name);
    } else {
        loader_mistake(loader, place, "unknown key '%.80s'; `attune help` lists the keys", name);
    }
}

const struct key *loader_key(struct recipe_loader *loader, const struct key_scope *scope, const char *name,
                             struct key_place place)
{
    const struct key *key = key_find(&scope->own, name), *any = key ? key : key_find(&scope->all, name);
    if (!any) {
        note_unknown(loader, scope, name, place);
        return NULL;
    }
    for (size_t i = 0; i < loader->stages->count; i++) {
        loader->foreign[i] += !has_name(loader->stages->items[i], loader, scope, name);
    }
    if (!key) {
        struct strbuf whose = {0};
        put_stages_with(&whose, loader, scope, any->name);
        loader_mistake(loader, place, "%s is a key of %s, not of attune %s", any->name, strbuf_text(&whose),
                       loader->recipe->stage->name);
        strbuf_free(&whose);
    }
    return key;
}

void loader_given(struct recipe_loader *loader, const struct key *key, struct key_place place, bool filled)
{
    size_t row = loader_row(loader, key);
    loader->places[row] = place;
    loader->filled[row] = filled;
}

int loader_set(struct recipe_loader *loader, void *base, const struct key *key, const char *text,
               struct key_place place, struct err *err)
{
    struct err clause;
    int status = key_set(base, key, text, &clause);
    if (status < 0) {
        *err = clause;
        return -1;
    }
    if (status > 0) {
        loader_mistake(loader, place, "%s %s", key->name, clause.text);
    }
    if (base == loader->recipe) {
        loader_given(loader, key, place, status == 0);
    }
    return 0;
}

int loader_add_dataset(struct recipe_loader *loader, struct recipe_dataset **out, const struct key *key,
                       struct key_place place, struct err *err)
{
    struct recipe_datasets *list = key_datasets(key, loader->recipe);
    *out = NULL;
    if (list->count == DATASETS_MAX) {
        loader_mistake(loader, place, "%s has more than %d entries; put the files together", key->name, DATASETS_MAX);
        return 0;
    }
    size_t capacity = list->count;
    struct recipe_dataset *grown = mem_grow(list->items, &capacity, list->count + 1, sizeof *grown, err);
    if (!grown) {
        return -1;
    }
    list->items = grown;
    struct recipe_dataset *entry = &grown[list->count++];
    *entry = (struct recipe_dataset){0};
    for (size_t i = 0; i < loader->members.own.count; i++) {
        const struct key *member = loader->members.own.rows[i];
        if (member->initial && key_set(entry, member, member->initial, err) < 0) {
            return -1;
        }
    }
    *out = entry;
    return 0;
}
