/*
 * Recipes are YAML 1.1 as libyaml reads it: a mapping of keys, whose values are scalars, lists of scalars, or lists of
 * dataset entries. An alias stands for what its anchor holds. The tree is walked only as deep as the keys go, so an
 * alias that holds itself does no harm.
 */
#include "recipe/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct yaml_reader {
    struct recipe_loader *loader;
    yaml_document_t *document;
    struct key_place whole; /* an option's place, which holds for every node; ORIGIN_FILE: nodes have their own */
    struct key_place seen[KEY_COUNT_MAX]; /* by row of the stage's keys: where the file has it */
    int foreign_budget;
};

/* Deeper than any key, and than what other tools nest. */
#define DEPTH_MAX 32
/* Nodes looked at below unknown keys, where aliases could make a small file endless. */
#define FOREIGN_NODES_MAX 2000
#define FOREIGN_DEPTH_MAX 4

static int out_of_memory(struct err *err)
{
    return err_set(err, "out of memory while reading YAML; close other programs or choose smaller sizes");
}

static struct key_place place_at(const struct yaml_reader *reader, yaml_mark_t mark)
{
    struct key_place place = reader->whole;
    if (place.origin == ORIGIN_FILE) {
        place.line = (int)mark.line + 1;
        place.column = (int)mark.column + 1;
    }
    return place;
}

static struct key_place place_of(const struct yaml_reader *reader, const yaml_node_t *node)
{
    return place_at(reader, node->start_mark);
}

static yaml_node_t *node_at(const struct yaml_reader *reader, int index)
{
    yaml_node_t *node = yaml_document_get_node(reader->document, index);
    assert(node);
    return node;
}

/* The text of a scalar; NULL, with a mistake noted, for anything else. libyaml ends every scalar with a zero. */
static const char *text_of(struct yaml_reader *reader, const yaml_node_t *node, const char *what)
{
    static const char *const kinds[] = {[YAML_NO_NODE] = "nothing",
                                        [YAML_SCALAR_NODE] = "a scalar",
                                        [YAML_SEQUENCE_NODE] = "a list",
                                        [YAML_MAPPING_NODE] = "a mapping"};
    if (node->type != YAML_SCALAR_NODE) {
        loader_mistake(reader->loader, place_of(reader, node), "%s must be a single value, not %s", what,
                       kinds[node->type]);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        loader_mistake(reader->loader, place_of(reader, node), "%s holds a zero byte", what);
        return NULL;
    }
    return text;
}

/* "key:" with nothing behind it, or null: as if the key were not there. */
static bool is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (strcmp((const char *)node->data.scalar.value, words[i]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int set_scalar(struct yaml_reader *reader, void *base, const struct key *key, const yaml_node_t *node,
                      struct err *err)
{
    const char *text = text_of(reader, node, key->name);
    return text ? loader_set(reader->loader, base, key, text, place_of(reader, node), err) : 0;
}

static int set_list_of_texts(struct yaml_reader *reader, void *base, const struct key *key, const yaml_node_t *node,
                             struct err *err)
{
    key_clear(base, key);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *element = node_at(reader, *item);
        const char *text = text_of(reader, element, key->name);
        struct err clause;
        int status = text ? key_append(base, key, text, &clause) : 0;
        if (status < 0) {
            *err = clause;
            return -1;
        }
        if (status > 0) {
            loader_mistake(reader->loader, place_of(reader, element), "%s: an item %s", key->name, clause.text);
            break;
        }
    }
    return 0;
}

static int set_node(struct yaml_reader *reader, void *base, const struct key *key, const yaml_node_t *node,
                    struct err *err);

/* Notes a name that stands twice in one mapping; *seen is where it stood before. */
static bool seen_before(struct yaml_reader *reader, struct key_place *seen, const struct key *key,
                        struct key_place place)
{
    if (seen->origin == ORIGIN_FILE && place.origin == ORIGIN_FILE) {
        loader_mistake(reader->loader, place, "%s stands here a second time; the first is in line %d, column %d",
                       key->name, seen->line, seen->column);
        return true;
    }
    *seen = place;
    return false;
}

static int read_entry_member(struct yaml_reader *reader, struct recipe_dataset *entry, struct key_place *seen,
                             const yaml_node_t *name_node, const yaml_node_t *value, struct err *err)
{
    const char *name = text_of(reader, name_node, "the name of a dataset's member");
    if (!name) {
        return 0;
    }
    struct key_meaning meaning;
    char path[128];
    snprintf(path, sizeof path, "dataset.%s", name);
    struct recipe_loader *loader = reader->loader;
    if (!key_find(&loader->members.all, name) && key_meaning_of(&loader->keys.all, path, &meaning)) {
        loader_key(loader, &loader->keys, path, place_of(reader, name_node));
        return 0;
    }
    const struct key *key = loader_key(loader, &loader->members, name, place_of(reader, name_node));
    if (!key || seen_before(reader, &seen[key - dataset_keys], key, place_of(reader, name_node)) || is_null(value)) {
        return 0;
    }
    return set_node(reader, entry, key, value, err);
}

static int add_dataset(struct yaml_reader *reader, const struct key *key, const yaml_node_t *node, struct err *err)
{
    struct recipe_dataset *entry;
    struct key_place place = place_of(reader, node);
    if (loader_add_dataset(reader->loader, &entry, key, place, err) != 0) {
        return -1;
    }
    if (!entry) {
        return 0;
    }
    if (node->type == YAML_SCALAR_NODE) {
        return set_scalar(reader, entry, &dataset_keys[0], node, err);
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        loader_mistake(reader->loader, place,
                       "an entry of %s must be a path or {path, format, split, weight}, not a list", key->name);
        return 0;
    }
    struct key_place seen[KEY_COUNT_MAX] = {0};
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        if (read_entry_member(reader, entry, seen, node_at(reader, pair->key), node_at(reader, pair->value), err) !=
            0) {
            return -1;
        }
        if (loader_has_enough(reader->loader)) {
            break;
        }
    }
    return 0;
}

static int set_datasets(struct yaml_reader *reader, const struct key *key, const yaml_node_t *node, struct err *err)
{
    key_clear(reader->loader->recipe, key);
    if (node->type != YAML_SEQUENCE_NODE) {
        return add_dataset(reader, key, node, err);
    }
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        if (add_dataset(reader, key, node_at(reader, *item), err) != 0) {
            return -1;
        }
        if (loader_has_enough(reader->loader)) {
            break;
        }
    }
    return 0;
}

/* A key's value, whatever its type. */
static int set_node(struct yaml_reader *reader, void *base, const struct key *key, const yaml_node_t *node,
                    struct err *err)
{
    if (key->type == KEY_DATASETS) {
        return set_datasets(reader, key, node, err);
    }
    if (key->type == KEY_TEXTS && node->type == YAML_SEQUENCE_NODE) {
        return set_list_of_texts(reader, base, key, node, err);
    }
    return set_scalar(reader, base, key, node, err);
}

/*
 * Other tools nest their keys (tokenizer: {max_seq_len: 2048}). Notes each nested name that means something here and
 * returns how many did.
 */
static int note_nested(struct yaml_reader *reader, const char *path, const yaml_node_t *node, int depth)
{
    int noted = 0;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name_node = node_at(reader, pair->key), *value = node_at(reader, pair->value);
        if (name_node->type != YAML_SCALAR_NODE || --reader->foreign_budget < 0) {
            continue;
        }
        char nested[128];
        struct key_meaning meaning;
        snprintf(nested, sizeof nested, "%s.%s", path, (const char *)name_node->data.scalar.value);
        if (key_meaning_of(&reader->loader->keys.all, nested, &meaning)) {
            loader_key(reader->loader, &reader->loader->keys, nested, place_of(reader, name_node));
            noted++;
        } else if (value->type == YAML_MAPPING_NODE && depth < FOREIGN_DEPTH_MAX) {
            noted += note_nested(reader, nested, value, depth + 1);
        }
    }
    return noted;
}

static int read_pair(struct yaml_reader *reader, const yaml_node_t *name_node, const yaml_node_t *value,
                     struct err *err)
{
    struct recipe_loader *loader = reader->loader;
    struct key_place place = place_of(reader, name_node);
    const char *name = text_of(reader, name_node, "the name of a key");
    if (!name) {
        return 0;
    }
    if (loader->only && !key_has_name(loader->only, name)) {
        return 0;
    }
    if (!key_find(&loader->keys.all, name) && value->type == YAML_MAPPING_NODE &&
        note_nested(reader, name, value, 1) > 0) {
        return 0;
    }
    const struct key *key = loader_key(loader, &loader->keys, name, place);
    if (!key || seen_before(reader, &reader->seen[loader_row(loader, key)], key, place)) {
        return 0;
    }
    if (is_null(value)) {
        loader_given(loader, key, (struct key_place){.origin = ORIGIN_DEFAULT}, false);
        return 0;
    }
    int mistakes = loader->mistake_count;
    if (set_node(reader, loader->recipe, key, value, err) != 0) {
        return -1;
    }
    loader_given(loader, key, place, loader->mistake_count == mistakes);
    return 0;
}

static int read_root(struct yaml_reader *reader, const yaml_node_t *root, struct err *err)
{
    if (is_null(root)) {
        return 0; /* an empty recipe: what is missing is said at the end */
    }
    if (root->type != YAML_MAPPING_NODE) {
        reader->loader->unreadable = true;
        loader_mistake(reader->loader, place_of(reader, root), "a recipe is a list of `key: value` lines");
        return 0;
    }
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        if (read_pair(reader, node_at(reader, pair->key), node_at(reader, pair->value), err) != 0) {
            return -1;
        }
        if (loader_has_enough(reader->loader)) {
            break;
        }
    }
    return 0;
}

/* libyaml's own complaint about text that is no YAML. */
static int note_syntax(struct recipe_loader *loader, struct key_place place, const yaml_parser_t *parser,
                       struct err *err)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return out_of_memory(err);
    }
    if (place.origin == ORIGIN_FILE) {
        /* The reader of bytes knows no place of its own. */
        yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
        place.line = (int)mark.line + 1;
        place.column = (int)mark.column + 1;
        loader->unreadable = true;
    }
    loader_mistake(loader, place, "this is not YAML: %s%s%s", parser->problem ? parser->problem : "it cannot be read",
                   parser->context ? " " : "", parser->context ? parser->context : "");
    return 0;
}

/*
 * Goes through a text once without keeping anything: notes what is no YAML, and nesting that no recipe needs, before
 * libyaml, whose time grows with the square of the depth, builds a tree of it. *sound tells whether there is nothing to
 * note.
 */
static int look_through(struct recipe_loader *loader, yaml_parser_t *parser, struct key_place place, bool *sound,
                        struct err *err)
{
    *sound = false;
    for (int depth = 0, type = YAML_NO_EVENT; type != YAML_STREAM_END_EVENT;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            return note_syntax(loader, place, parser, err);
        }
        type = (int)event.type;
        depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
        yaml_mark_t mark = event.start_mark;
        yaml_event_delete(&event);
        if (depth > DEPTH_MAX) {
            if (place.origin == ORIGIN_FILE) {
                place.line = (int)mark.line + 1;
                place.column = (int)mark.column + 1;
                loader->unreadable = true;
            }
            loader_mistake(loader, place, "lists and mappings are nested deeper than %d here, which no key needs",
                           DEPTH_MAX);
            return 0;
        }
    }
    *sound = true;
    return 0;
}

static int use_document(struct yaml_reader *reader, yaml_parser_t *parser, const struct key *key, struct err *err)
{
    yaml_document_t first, second;
    if (!yaml_parser_load(parser, &first)) {
        return note_syntax(reader->loader, reader->whole, parser, err);
    }
    reader->document = &first;
    const yaml_node_t *root = yaml_document_get_root_node(&first);
    int status = 0;
    if (root) {
        status = key ? set_node(reader, reader->loader->recipe, key, root, err) : read_root(reader, root, err);
    }
    if (status == 0 && yaml_parser_load(parser, &second)) {
        const yaml_node_t *more = yaml_document_get_root_node(&second);
        if (more) {
            loader_mistake(reader->loader, place_of(reader, more), "a second document begins here; a recipe is one");
        }
        yaml_document_delete(&second);
    } else if (status == 0) {
        status = note_syntax(reader->loader, reader->whole, parser, err);
    }
    yaml_document_delete(&first);
    return status;
}

/* Reads a text as all keys (`key` NULL), or as the value of one. */
static int read_text(struct recipe_loader *loader, const char *text, size_t length, struct key_place whole,
                     const struct key *key, struct err *err)
{
    bool sound = true;
    int status = 0;
    for (int pass = 0; pass < 2 && status == 0 && sound; pass++) {
        yaml_parser_t parser;
        if (!yaml_parser_initialize(&parser)) {
            return out_of_memory(err);
        }
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
        if (pass == 0) {
            status = look_through(loader, &parser, whole, &sound, err);
        } else {
            struct yaml_reader reader = {.loader = loader, .whole = whole, .foreign_budget = FOREIGN_NODES_MAX};
            status = use_document(&reader, &parser, key, err);
        }
        yaml_parser_delete(&parser);
    }
    return status;
}

int loader_read_yaml(struct recipe_loader *loader, const char *text, size_t length, struct err *err)
{
    return read_text(loader, text, length, (struct key_place){.origin = ORIGIN_FILE}, NULL, err);
}

int loader_read_value(struct recipe_loader *loader, const struct key *key, const char *text, struct key_place place,
                      struct err *err)
{
    return read_text(loader, text, strlen(text), place, key, err);
}
