/*
 * The recipe part of internal.h. It is read as YAML and not through recipe_load(): a report may be made of a run of
 * another version, whose keys this one would refuse.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "report/internal.h"
#include <string.h>
#include <yaml.h>

#define RECIPE_FILE_MAX ((size_t)1 << 20)
/* Deeper and longer than any recipe; an alias could make a small file endless. */
#define DEPTH_MAX 8
#define NODES_MAX 10000

struct recipe_listing {
    struct report_recipe *recipe;
    const struct recipe_stages *stages;
    yaml_document_t document;
    const char *path;
    int nodes; /* written so far */
    struct strbuf text, datasets;
};

static bool is_scalar(const yaml_node_t *node, const char *text)
{
    return node->type == YAML_SCALAR_NODE && strcmp((const char *)node->data.scalar.value, text) == 0;
}

static void put_node(struct recipe_listing *reader, int index, int depth);

static void put_sequence(struct recipe_listing *reader, const yaml_node_t *node, int depth)
{
    strbuf_putc(&reader->text, '[');
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        strbuf_puts(&reader->text, item == node->data.sequence.items.start ? "" : ", ");
        put_node(reader, *item, depth + 1);
    }
    strbuf_putc(&reader->text, ']');
}

/* Members that are null are left out: an entry of a dataset has many. */
static void put_mapping(struct recipe_listing *reader, const yaml_node_t *node, int depth)
{
    bool first = true;
    strbuf_putc(&reader->text, '{');
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        if (is_scalar(yaml_document_get_node(&reader->document, pair->value), "null")) {
            continue;
        }
        strbuf_puts(&reader->text, first ? "" : ", ");
        put_node(reader, pair->key, depth + 1);
        strbuf_puts(&reader->text, ": ");
        put_node(reader, pair->value, depth + 1);
        first = false;
    }
    strbuf_putc(&reader->text, '}');
}

/* The node on one line. */
static void put_node(struct recipe_listing *reader, int index, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(&reader->document, index);
    if (depth > DEPTH_MAX || reader->nodes++ > NODES_MAX) {
        strbuf_puts(&reader->text, "...");
    } else if (node->type == YAML_SEQUENCE_NODE) {
        put_sequence(reader, node, depth);
    } else if (node->type == YAML_MAPPING_NODE) {
        put_mapping(reader, node, depth);
    } else {
        strbuf_append(&reader->text, (const char *)node->data.scalar.value, node->data.scalar.length);
    }
}

/* The names of the files in `dataset: [{path: ...}, ...]`. */
static int note_datasets(struct recipe_listing *reader, const yaml_node_t *list, struct err *err)
{
    if (list->type != YAML_SEQUENCE_NODE) {
        return 0;
    }
    for (yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
        const yaml_node_t *entry = yaml_document_get_node(&reader->document, *item);
        if (entry->type != YAML_MAPPING_NODE) {
            continue;
        }
        for (yaml_node_pair_t *pair = entry->data.mapping.pairs.start; pair < entry->data.mapping.pairs.top; pair++) {
            const yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
            if (!is_scalar(yaml_document_get_node(&reader->document, pair->key), "path") ||
                value->type != YAML_SCALAR_NODE) {
                continue;
            }
            char *name = report_base_name((const char *)value->data.scalar.value, err);
            if (!name) {
                return -1;
            }
            strbuf_printf(&reader->datasets, "%s%s", reader->datasets.length ? " + " : "", name);
            mem_free(name);
        }
    }
    return 0;
}

static int add_key(struct recipe_listing *reader, const yaml_node_pair_t *pair, struct err *err)
{
    struct report_recipe *recipe = reader->recipe;
    const yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
    if (name->type != YAML_SCALAR_NODE) {
        return err_set(err, "%s:%zu: the name of a key must be a single value", reader->path,
                       name->start_mark.line + 1);
    }
    struct report_key *keys = mem_grow(recipe->keys, &recipe->capacity, recipe->count + 1, sizeof *keys, err);
    if (!keys) {
        return -1;
    }
    recipe->keys = keys;
    struct report_key *key = &keys[recipe->count++];
    strbuf_clear(&reader->text);
    put_node(reader, pair->value, 0);
    key->name = mem_copy_string((const char *)name->data.scalar.value, name->data.scalar.length, err);
    key->value = mem_copy_string(strbuf_text(&reader->text), reader->text.length, err);
    if (!key->name || !key->value || strbuf_check(&reader->text, err) != 0) {
        return -1;
    }
    return strcmp(key->name, "dataset") == 0 ? note_datasets(reader, value, err) : 0;
}

/*
 * A recipe has no key that names its stage, but each stage has keys that the others do not have: the stage is the one
 * that has most of what is there. Then its keys say what the recipe's mean.
 */
static void choose_stage(struct report_recipe *recipe, const struct recipe_stages *stages)
{
    struct key_table keys;
    size_t most = 0;
    for (size_t s = 0; s < stages->count; s++) {
        const struct recipe_stages one = {.items = &stages->items[s], .count = 1};
        size_t known = 0;
        keys_of_stages(&keys, &one);
        for (size_t i = 0; i < recipe->count; i++) {
            known += key_find(&keys, recipe->keys[i].name) != NULL;
        }
        if (s == 0 || known > most) {
            recipe->stage = stages->items[s];
        } else if (known == most) {
            recipe->stage = NULL;
        }
        most = known > most ? known : most;
    }
    const struct recipe_stages own = {.items = &recipe->stage, .count = 1};
    keys_of_stages(&keys, recipe->stage ? &own : stages);
    for (size_t i = 0; i < recipe->count; i++) {
        recipe->keys[i].row = key_find(&keys, recipe->keys[i].name);
    }
}

static int read_document(struct recipe_listing *reader, struct err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(&reader->document);
    if (!root) {
        return 0;
    }
    if (root->type != YAML_MAPPING_NODE) {
        return err_set(err, "%s:%zu: a recipe is a mapping of keys to values", reader->path, root->start_mark.line + 1);
    }
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        if (add_key(reader, pair, err) != 0) {
            return -1;
        }
    }
    choose_stage(reader->recipe, reader->stages);
    if (strbuf_check(&reader->datasets, err) != 0) {
        return -1;
    }
    reader->recipe->datasets = mem_copy_string(strbuf_text(&reader->datasets), reader->datasets.length, err);
    return reader->recipe->datasets ? 0 : -1;
}

static int parse(struct recipe_listing *reader, const struct strbuf *file, struct err *err)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return err_set(err, "out of memory while reading YAML");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)strbuf_text(file), file->length);
    int result;
    if (!yaml_parser_load(&parser, &reader->document)) {
        result = err_set(err, "%s:%zu: not valid YAML: %s", reader->path, parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "out of memory");
    } else {
        result = read_document(reader, err);
        yaml_document_delete(&reader->document);
    }
    yaml_parser_delete(&parser);
    return result;
}

int report_recipe_read(struct report_recipe *recipe, const char *path, const struct recipe_stages *stages,
                       struct err *err)
{
    struct recipe_listing reader = {.recipe = recipe, .stages = stages, .path = path};
    struct strbuf file = {0};
    int result = 0;
    if (file_exists(path)) {
        result = file_read(&file, path, RECIPE_FILE_MAX, err);
        if (result == 0) {
            result = parse(&reader, &file, err);
        }
    }
    strbuf_free(&file);
    strbuf_free(&reader.text);
    strbuf_free(&reader.datasets);
    return result;
}

static const struct report_key *find_key(const struct report_recipe *recipe, const char *name)
{
    for (size_t i = 0; i < recipe->count; i++) {
        if (strcmp(recipe->keys[i].name, name) == 0) {
            return &recipe->keys[i];
        }
    }
    return NULL;
}

bool report_recipe_has(const struct report_recipe *recipe, const char *name)
{
    return find_key(recipe, name) != NULL;
}

const char *report_recipe_value(const struct report_recipe *recipe, const char *name)
{
    const struct report_key *key = find_key(recipe, name);
    return !key || strcmp(key->value, "null") == 0 ? NULL : key->value;
}

void report_recipe_free(struct report_recipe *recipe)
{
    for (size_t i = 0; i < recipe->count; i++) {
        mem_free(recipe->keys[i].name);
        mem_free(recipe->keys[i].value);
    }
    mem_free(recipe->keys);
    mem_free(recipe->datasets);
    *recipe = (struct report_recipe){0};
}
