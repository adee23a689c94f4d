#include "text/tokenizer/added.h"

#include "base/json.h"
#include "base/utf8.h"
#include "text/unicode/unicode.h"
#include <stdlib.h>
#include <string.h>

#define ADDED_MAX 65536
#define NODES_MAX ((size_t)1 << 24)

const struct added_token *added_by_text(const struct added_tokens *added, const char *text, size_t length)
{
    int32_t index = vocabulary_find(&added->indices, text, length);
    return index >= 0 ? &added->tokens[index] : NULL;
}

const struct added_token *added_by_id(const struct added_tokens *added, int32_t id)
{
    size_t low = 0, high = added->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct added_token *token = &added->tokens[added->by_id[middle]];
        if (token->id == id) {
            return token;
        }
        if (token->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* The id that the library gives a new token: after all others. */
static int32_t next_id(const struct added_tokens *added, const struct vocabulary *vocabulary)
{
    int32_t next = (int32_t)vocabulary->count;
    for (size_t i = 0; i < added->count; i++) {
        if (added->tokens[i].id >= next) {
            next = added->tokens[i].id + 1;
        }
    }
    return next;
}

static int read_options(struct added_token *token, const json_t *json, const char *where, struct err *err)
{
    if (json_get_bool(json, "special", &token->special, where, err) != 0) {
        return -1;
    }
    token->normalized = !token->special;
    if (json_get_bool(json, "normalized", &token->normalized, where, err) != 0 ||
        json_get_bool(json, "single_word", &token->single_word, where, err) != 0 ||
        json_get_bool(json, "lstrip", &token->lstrip, where, err) != 0) {
        return -1;
    }
    return json_get_bool(json, "rstrip", &token->rstrip, where, err);
}

int added_tokens_add(struct added_tokens *added, const struct vocabulary *vocabulary, const json_t *json, int64_t id,
                     const char *where, struct err *err)
{
    const json_t *content = json_object_get(json, "content");
    if (!json_is_string(content)) {
        return err_set(err, "%s: an added token needs a string \"content\"", where);
    }
    const char *text = json_string_value(content);
    size_t length = json_string_length(content);
    const struct added_token *known = added_by_text(added, text, length);
    if (known) {
        added->tokens[known - added->tokens].special |= json_is_true(json_object_get(json, "special"));
    }
    if (length == 0 || known) {
        return 0;
    }
    struct added_token token = {.length = length, .id = vocabulary_find(vocabulary, text, length)};
    if (token.id < 0) {
        token.id = next_id(added, vocabulary);
    }
    if ((token.id != id && id != ADDED_ANY_ID) || token.id >= VOCABULARY_IDS_MAX) {
        return err_set(
            err,
            "%s: the added token '%s' says it has the id %lld, but %s %d; number added tokens in order, after "
            "the vocabulary and without holes",
            where, text, (long long)id,
            token.id < (int32_t)vocabulary->count ? "in the vocabulary it has" : "its turn gives it", token.id);
    }
    if (added->count == ADDED_MAX) {
        return err_set(err, "%s: more than %d added tokens", where, ADDED_MAX);
    }
    if (read_options(&token, json, where, err) != 0) {
        return err_prefix(err, "added token '%s'", text);
    }
    struct added_token *tokens = mem_grow(added->tokens, &added->capacity, added->count + 1, sizeof(*tokens), err);
    if (!tokens) {
        return -1;
    }
    added->tokens = tokens;
    token.text = mem_copy_string(text, length, err);
    if (!token.text) {
        return -1;
    }
    tokens[added->count++] = token;
    return vocabulary_add(&added->indices, text, length, (int64_t)added->count - 1, where, err);
}

static int new_node(struct added_tree *tree, unsigned char byte, uint32_t *at, struct err *err)
{
    if (tree->count == NODES_MAX) {
        return err_set(err, "the added tokens of the tokenizer are longer than %zu bytes together", NODES_MAX);
    }
    struct added_node *nodes = mem_grow(tree->nodes, &tree->capacity, tree->count + 1, sizeof(*nodes), err);
    if (!nodes) {
        return -1;
    }
    tree->nodes = nodes;
    *at = (uint32_t)tree->count++;
    nodes[*at] = (struct added_node){.byte = byte, .token = -1};
    return 0;
}

static uint32_t find_child(const struct added_tree *tree, uint32_t at, unsigned char byte)
{
    uint32_t child = tree->nodes[at].child;
    while (child != 0 && tree->nodes[child].byte != byte) {
        child = tree->nodes[child].sibling;
    }
    return child;
}

static int plant(struct added_tree *tree, const char *text, size_t length, int32_t token, struct err *err)
{
    uint32_t at = 0;
    if (tree->count == 0 && new_node(tree, 0, &at, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        uint32_t child = find_child(tree, at, byte);
        if (child == 0) {
            if (new_node(tree, byte, &child, err) != 0) {
                return -1;
            }
            tree->nodes[child].sibling = tree->nodes[at].child;
            tree->nodes[at].child = child;
        }
        at = child;
    }
    if (length > 0 && tree->nodes[at].token < 0) {
        tree->nodes[at].token = token;
    }
    return 0;
}

/* Notes which bytes tokens begin with. */
static void note_first_bytes(struct added_tree *tree)
{
    size_t count = 0;
    tree->only = -1;
    for (uint32_t child = tree->count > 0 ? tree->nodes[0].child : 0; child != 0; child = tree->nodes[child].sibling) {
        tree->first[tree->nodes[child].byte] = true;
        tree->only = tree->nodes[child].byte;
        count++;
    }
    if (count > 1) {
        tree->only = -1;
    }
}

struct id_index {
    int32_t id, index;
};

static int compare_ids(const void *left, const void *right)
{
    const struct id_index *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int sort_by_id(struct added_tokens *added, struct err *err)
{
    struct id_index *pairs = mem_alloc(added->count, sizeof(*pairs), err);
    added->by_id = pairs ? mem_alloc(added->count, sizeof(*added->by_id), err) : NULL;
    if (added->by_id) {
        for (size_t i = 0; i < added->count; i++) {
            pairs[i] = (struct id_index){added->tokens[i].id, (int32_t)i};
        }
        qsort(pairs, added->count, sizeof(*pairs), compare_ids);
        for (size_t i = 0; i < added->count; i++) {
            added->by_id[i] = pairs[i].index;
        }
    }
    mem_free(pairs);
    return added->by_id ? 0 : -1;
}

static int normalize(struct added_token *token, struct aligned_text *text, const struct normalizers *normalizers,
                     struct normalizer_scratch *scratch, struct err *err)
{
    if (normalizers_apply(normalizers, text, false, scratch, err) != 0) {
        return -1;
    }
    token->decoded_length = text->length;
    token->decoded = mem_copy_string(text->bytes, text->length, err);
    return token->decoded ? 0 : -1;
}

int added_tokens_finish(struct added_tokens *added, const struct normalizers *normalizers,
                        const struct stand_ins *stand_ins, struct err *err)
{
    struct normalizer_scratch scratch = {.pattern.stand_ins = stand_ins};
    int result = sort_by_id(added, err);
    /* The library lists special tokens first; it matters where two become the same text by normalizing. */
    for (int special = 1; special >= 0; special--) {
        for (size_t i = 0; i < added->count && result == 0; i++) {
            struct added_token *token = &added->tokens[i];
            struct aligned_text text = {token->text, token->length, NULL, 0};
            if (token->special != (special == 1)) {
                continue;
            }
            if (token->normalized) {
                result = normalize(token, &text, normalizers, &scratch, err);
            }
            if (result == 0) {
                result = plant(token->normalized ? &added->normalized : &added->raw, text.bytes, text.length,
                               (int32_t)i, err);
            }
        }
    }
    normalizer_scratch_free(&scratch);
    note_first_bytes(&added->raw);
    note_first_bytes(&added->normalized);
    return result;
}

void added_tokens_free(struct added_tokens *added)
{
    for (size_t i = 0; i < added->count; i++) {
        mem_free(added->tokens[i].text);
        mem_free(added->tokens[i].decoded);
    }
    vocabulary_free(&added->indices);
    mem_free(added->tokens);
    mem_free(added->by_id);
    mem_free(added->raw.nodes);
    mem_free(added->normalized.nodes);
    *added = (struct added_tokens){0};
}

/* The longest token at `at`; NULL: none begins there. */
static const struct added_token *longest_at(const struct added_walk *walk, size_t at, size_t *end)
{
    int32_t found = -1;
    uint32_t node = 0;
    for (size_t i = at; i < walk->length; i++) {
        node = find_child(walk->tree, node, (unsigned char)walk->text[i]);
        if (node == 0) {
            break;
        }
        if (walk->tree->nodes[node].token >= 0) {
            found = walk->tree->nodes[node].token;
            *end = i + 1;
        }
    }
    return found >= 0 ? &walk->added->tokens[found] : NULL;
}

static size_t next_candidate(const struct added_walk *walk, size_t at)
{
    if (walk->tree->only >= 0) {
        const char *found = memchr(walk->text + at, walk->tree->only, walk->length - at);
        return found ? (size_t)(found - walk->text) : walk->length;
    }
    while (at < walk->length && !walk->tree->first[(unsigned char)walk->text[at]]) {
        at++;
    }
    return at;
}

static unsigned flags_at(const char *text, size_t at)
{
    return unicode_class(utf8_next(text, &at)).flags;
}

static bool stands_alone(const struct added_walk *walk, size_t start, size_t end)
{
    bool word_before = start > 0 && (flags_at(walk->text, utf8_before(walk->text, start)) & UNICODE_WORD);
    bool word_behind = end < walk->length && (flags_at(walk->text, end) & UNICODE_WORD);
    return !word_before && !word_behind;
}

bool added_next(struct added_walk *walk, size_t *start, size_t *end, int32_t *id)
{
    if (walk->tree->count == 0) {
        return false;
    }
    while ((walk->next = next_candidate(walk, walk->next)) < walk->length) {
        size_t from = walk->next, to = from;
        const struct added_token *token = longest_at(walk, from, &to);
        if (!token) {
            walk->next++;
            continue;
        }
        walk->next = to;
        if (token->single_word && !stands_alone(walk, from, to)) {
            continue;
        }
        while (token->lstrip && from > 0) {
            size_t before = utf8_before(walk->text, from);
            if (before < walk->done || !(flags_at(walk->text, before) & UNICODE_SPACE)) {
                break;
            }
            from = before;
        }
        while (token->rstrip && to < walk->length && (flags_at(walk->text, to) & UNICODE_SPACE)) {
            to += utf8_size(walk->text[to]);
        }
        walk->done = to;
        *start = from;
        *end = to;
        *id = token->id;
        return true;
    }
    return false;
}
