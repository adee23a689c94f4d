/* Which keys a stage has, in which order, and with which defaults. */
#include "recipe/internal.h"

#include <assert.h>
#include <string.h>

/* ---- stages ---- */

const struct recipe_stage *stage_named(const struct recipe_stages *stages, const char *name)
{
    for (size_t i = 0; i < stages->count; i++) {
        if (strcmp(stages->items[i]->name, name) == 0) {
            return stages->items[i];
        }
    }
    return NULL;
}

void stages_put_names(struct strbuf *out, const struct recipe_stages *stages, const char *before, const char *between,
                      const char *last)
{
    for (size_t i = 0; i < stages->count; i++) {
        if (i > 0) {
            strbuf_puts(out, i + 1 < stages->count ? between : last);
        }
        strbuf_printf(out, "%s%s", before, stages->items[i]->name);
    }
}

static bool is_row_of(const struct key *key, const struct key *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (&rows[i] == key) {
            return true;
        }
    }
    return false;
}

static bool is_own(const struct recipe_stage *stage, const struct key *key)
{
    return is_row_of(key, stage->keys, stage->key_count);
}

bool stage_has_key(const struct recipe_stage *stage, const struct key *key)
{
    bool common = is_row_of(key, common_keys, common_key_count) || is_row_of(key, dataset_keys, dataset_key_count);
    return common ? !name_among(stage->lacks, key->name) : is_own(stage, key);
}

/* ---- tables ---- */

static void add_row(struct key_table *table, const struct key *key)
{
    assert(table->count < KEY_COUNT_MAX);
    table->rows[table->count++] = key;
}

static bool any_has(const struct recipe_stages *stages, const struct key *key)
{
    for (size_t i = 0; i < stages->count; i++) {
        if (stage_has_key(stages->items[i], key)) {
            return true;
        }
    }
    return false;
}

/* The stages' own keys that stand in front of `common`; NULL: those in groups of the stages' own. */
static void add_own(struct key_table *table, const char *common)
{
    for (size_t s = 0; s < table->stages->count; s++) {
        const struct recipe_stage *stage = table->stages->items[s];
        for (size_t i = 0; i < stage->key_count; i++) {
            const char *before = stage->keys[i].before;
            if (before && common ? strcmp(before, common) == 0 : !before && !common) {
                add_row(table, &stage->keys[i]);
            }
        }
    }
}

void keys_of_stages(struct key_table *table, const struct recipe_stages *stages)
{
    *table = (struct key_table){.stages = stages};
    for (size_t i = 0; i < common_key_count; i++) {
        const struct key *key = &common_keys[i];
        if (strcmp(key->group, GROUP_EVALUATION) == 0 && strcmp(common_keys[i - 1].group, GROUP_EVALUATION) != 0) {
            add_own(table, NULL);
        }
        add_own(table, key->name);
        if (any_has(stages, key)) {
            add_row(table, key);
        }
    }
}

void members_of_stages(struct key_table *table, const struct recipe_stages *stages)
{
    *table = (struct key_table){.stages = stages};
    for (size_t i = 0; i < dataset_key_count; i++) {
        if (any_has(stages, &dataset_keys[i])) {
            add_row(table, &dataset_keys[i]);
        }
    }
}

void keys_of_stage(struct key_table *table, const struct recipe_stage *stage)
{
    keys_of_stages(table, &(struct recipe_stages){.items = &stage, .count = 1});
    table->stages = NULL;
}

void members_of_stage(struct key_table *table, const struct recipe_stage *stage)
{
    members_of_stages(table, &(struct recipe_stages){.items = &stage, .count = 1});
    table->stages = NULL;
}

const struct key *key_find(const struct key_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (key_has_name(table->rows[i], name)) {
            return table->rows[i];
        }
    }
    return NULL;
}

const struct key *stage_find_key(const struct recipe_stage *stage, const char *name)
{
    struct key_table table;
    keys_of_stage(&table, stage);
    return key_find(&table, name);
}

/* ---- defaults ---- */

const struct key_default *key_instead(const struct key *key, const struct recipe_stage *stage, size_t i)
{
    for (size_t s = 0; s < stage->default_count; s++) {
        if (strcmp(stage->defaults[s].key, key->name) == 0 && i-- == 0) {
            return &stage->defaults[s].value;
        }
    }
    return i < KEY_DEFAULTS_MAX && key->instead[i].text ? &key->instead[i] : NULL;
}

static bool same_text(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

bool key_default_equal(const struct key_default *one, const struct key_default *other)
{
    bool same = strcmp(one->text, other->text) == 0;
    for (size_t c = 0; c < KEY_CONDITIONS_MAX; c++) {
        same = same && same_text(one->when[c].key, other->when[c].key) &&
               same_text(one->when[c].value, other->when[c].value);
    }
    return same;
}

static bool holds(const struct key_default *value, const struct recipe_stage *stage, const struct recipe *recipe)
{
    for (size_t c = 0; c < KEY_CONDITIONS_MAX && value->when[c].key; c++) {
        const struct key *other = stage_find_key(stage, value->when[c].key);
        assert(other);
        if (!recipe || strcmp(key_choice_name(other, recipe), value->when[c].value) != 0) {
            return false;
        }
    }
    return true;
}

const char *key_default_text(const struct key *key, const struct recipe_stage *stage, const struct recipe *recipe)
{
    const struct key_default *instead;
    for (size_t i = 0; (instead = key_instead(key, stage, i)); i++) {
        if (holds(instead, stage, recipe)) {
            return instead->text;
        }
    }
    return key->initial;
}
