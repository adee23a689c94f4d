/* The section "pre_tokenizer" of a tokenizer.json. */
#include "base/json.h"
#include "base/utf8.h"
#include "text/tokenizer/sequence.h"
#include "text/tokenizer/splitter.h"
#include "text/unicode/unicode.h"
#include <string.h>

static const char *const behaviors[] = {
    [SPLIT_REMOVED] = "Removed",
    [SPLIT_ISOLATED] = "Isolated",
    [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
    [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
    [SPLIT_CONTIGUOUS] = "Contiguous",
};

static const char *const schemes[] = {
    [PREPEND_NEVER] = "never",
    [PREPEND_FIRST] = "first",
    [PREPEND_ALWAYS] = "always",
};

/* The index of a word in a list; -1 where it is not in it. */
static int choose(const char *word, const char *const *choices, int count)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(word, choices[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int read_behavior(struct splitter *step, const json_t *json, const char *where, struct err *err)
{
    const char *name = behaviors[SPLIT_ISOLATED];
    if (json_get_string(json, "behavior", &name, where, err) != 0) {
        return -1;
    }
    int behavior = choose(name, behaviors, sizeof(behaviors) / sizeof(*behaviors));
    if (behavior < 0) {
        return err_set(err, "%s: the behavior '%s' is not known", where, name);
    }
    step->behavior = (enum split_behavior)behavior;
    return 0;
}

static int read_byte_level(struct splitter *step, const json_t *json, const char *where, struct err *err)
{
    step->add_prefix = step->cuts = true;
    if (json_get_bool(json, "add_prefix_space", &step->add_prefix, where, err) != 0 ||
        json_get_bool(json, "use_regex", &step->cuts, where, err) != 0) {
        return -1;
    }
    step->scan = SCAN_GPT2;
    return 0;
}

static int read_split(struct splitter *step, const json_t *json, const char *where, struct err *err)
{
    if (json_get_bool(json, "invert", &step->invert, where, err) != 0 || read_behavior(step, json, where, err) != 0) {
        return -1;
    }
    const json_t *pattern = json_object_get(json, "pattern");
    const json_t *value = json_object_get(pattern, "Regex");
    const char *regex = json_string_value(value);
    if (regex && strlen(regex) == json_string_length(value) && step->behavior == SPLIT_ISOLATED && !step->invert) {
        step->scan = scan_kind_of(regex);
    }
    return step->scan != SCAN_NONE ? 0 : pattern_from_json(&step->pattern, pattern, where, err);
}

static int read_metaspace(struct splitter *step, const json_t *json, const char *where, struct err *err)
{
    const char *replacement = NULL, *scheme = NULL;
    bool prefix = true;
    if (json_need_string(json, "replacement", &replacement, where, err) != 0 ||
        json_get_string(json, "prepend_scheme", &scheme, where, err) != 0 ||
        json_get_bool(json, "add_prefix_space", &prefix, where, err) != 0 ||
        json_get_bool(json, "split", &step->cuts, where, err) != 0) {
        return -1;
    }
    if (!*replacement || replacement[utf8_size(*replacement)] != '\0') {
        return err_set(err, "%s: \"replacement\" must be one character", where);
    }
    int chosen = scheme ? choose(scheme, schemes, sizeof(schemes) / sizeof(*schemes)) : prefix ? PREPEND_ALWAYS : 0;
    if (chosen < 0) {
        return err_set(err, "%s: \"prepend_scheme\" must be first, never or always, not '%s'", where, scheme);
    }
    step->prepend = (enum prepend_scheme)chosen;
    return pattern_from_string(&step->pattern, replacement, strlen(replacement), err);
}

static int read_digits(struct splitter *step, const json_t *json, const char *where, struct err *err)
{
    bool individual = false;
    if (json_get_bool(json, "individual_digits", &individual, where, err) != 0) {
        return -1;
    }
    step->behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    return 0;
}

static const struct {
    const char *type;
    enum splitter_kind kind;
    int (*read)(struct splitter *step, const json_t *json, const char *where, struct err *err); /* NULL: no options */
} kinds[] = {
    {"ByteLevel", SPLITTER_BYTE_LEVEL, read_byte_level},  {"Split", SPLITTER_SPLIT, read_split},
    {"Metaspace", SPLITTER_METASPACE, read_metaspace},    {"Digits", SPLITTER_DIGITS, read_digits},
    {"Punctuation", SPLITTER_PUNCTUATION, read_behavior}, {"Whitespace", SPLITTER_WHITESPACE, NULL},
    {"WhitespaceSplit", SPLITTER_WHITESPACE_SPLIT, NULL}, {"BertPreTokenizer", SPLITTER_BERT, NULL},
};

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err);

static const struct sequence sequence = {"pre_tokenizer", "pretokenizers", add_step};

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err)
{
    struct splitters *splitters = context;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(type, kinds[i].type) != 0) {
            continue;
        }
        struct splitter *steps =
            mem_grow(splitters->steps, &splitters->capacity, splitters->count + 1, sizeof(*steps), err);
        if (!steps) {
            return -1;
        }
        splitters->steps = steps;
        struct splitter *step = &steps[splitters->count++];
        step->kind = kinds[i].kind;
        step->cuts = true;
        if (kinds[i].read && kinds[i].read(step, json, where, err) != 0) {
            return err_prefix(err, "pre_tokenizer %s", type);
        }
        splitters->wants_origin |= step->kind == SPLITTER_METASPACE && step->prepend == PREPEND_FIRST;
        splitters->byte_level = step->kind == SPLITTER_BYTE_LEVEL;
        return 0;
    }
    return sequence_unknown(&sequence, type, where, err);
}

int splitters_from_json(struct splitters *splitters, const json_t *json, const char *where, struct err *err)
{
    return sequence_read(&sequence, splitters, json, where, err);
}

void splitters_free(struct splitters *splitters)
{
    for (size_t i = 0; i < splitters->count; i++) {
        pattern_free(&splitters->steps[i].pattern);
    }
    mem_free(splitters->steps);
    *splitters = (struct splitters){0};
}
