/* Prompts, answers, models, items, gold, scores and the record of imports. */
#include "base/json.h"
#include "base/utf8.h"
#include "prefs-db/internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define TEST_PERCENT  5 /* of the prompts, by their key */
#define VALID_PERCENT 5
#define MESSAGES_MAX  1024

static int refuse(struct err *err, const char *sentence)
{
    err_set(err, "%s", sentence);
    return PREFS_REFUSED;
}

static bool known_role(const char *role)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(role, roles[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* [{"role":"user","content":"..."}]: compact, these two members in this order, so that equal prompts have equal keys.
 */
static int write_canonical(struct strbuf *out, const json_t *messages, struct err *err)
{
    size_t count = json_array_size(messages);
    if (!json_is_array(messages) || count == 0 || count > MESSAGES_MAX) {
        return refuse(err, "a prompt is a list of 1 to 1024 messages");
    }
    strbuf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        const json_t *role = json_object_get(json_array_get(messages, i), "role");
        const json_t *content = json_object_get(json_array_get(messages, i), "content");
        if (!json_is_string(role) || !json_is_string(content) || !known_role(json_string_value(role))) {
            return refuse(err, "a message has a role (system, user, assistant or tool) and a content, both strings");
        }
        strbuf_printf(out, "%s{\"role\":\"%s\",\"content\":", i > 0 ? "," : "", json_string_value(role));
        strbuf_put_json(out, json_string_value(content), json_string_length(content));
        strbuf_putc(out, '}');
    }
    strbuf_putc(out, ']');
    if (out->length > PREFS_TEXT_MAX) {
        return refuse(err, "a prompt has at most 16 MiB");
    }
    return strbuf_check(out, err);
}

static const char *split_of(const unsigned char key[PREFS_KEY_SIZE])
{
    int percent = (key[0] << 8 | key[1]) % 100;
    return percent < TEST_PERCENT ? "test" : percent < TEST_PERCENT + VALID_PERCENT ? "valid" : "train";
}

static int insert_prompt(struct prefs *store, const struct strbuf *text, const char *lang, int64_t batch,
                         int64_t *prompt, struct err *err)
{
    unsigned char key[PREFS_KEY_SIZE];
    prefs_key(key, text->data, text->length);
    int found = sql_number(store, err, prompt, "SELECT id FROM prompt WHERE sha256=?1", "b", key, sizeof key);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    if (sql_run(store, err,
                "INSERT INTO prompt (sha256, split, lang, batch_id, messages) VALUES (?1, ?2, ?3, nullif(?4,0), ?5)",
                "bttin", key, sizeof key, split_of(key), lang, batch, text->data, text->length) != 0) {
        return -1;
    }
    *prompt = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int prefs_add_prompt(struct prefs *store, const char *messages, const char *lang, int64_t batch, int64_t *prompt,
                     struct err *err)
{
    json_t *value = json_read_text(messages, strlen(messages), "the prompt", err);
    if (value == NULL) {
        return PREFS_REFUSED;
    }
    struct strbuf text = {0};
    int result = write_canonical(&text, value, err);
    json_decref(value);
    if (result == 0) {
        result = sql_begin(store, err);
        if (result == 0) {
            result = sql_finish(store, insert_prompt(store, &text, lang, batch, prompt, err), err);
        }
    }
    strbuf_free(&text);
    return result;
}

static int insert_answer(struct prefs *store, int64_t prompt, const char *text, size_t length, int64_t *answer,
                         struct err *err)
{
    unsigned char key[PREFS_KEY_SIZE];
    prefs_key(key, text, length);
    int found = sql_number(store, err, answer, "SELECT id FROM answer WHERE prompt_id=?1 AND sha256=?2", "ib", prompt,
                           key, sizeof key);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    if (sql_run(store, err, "INSERT INTO answer (prompt_id, sha256, characters, content) VALUES (?1, ?2, ?3, ?4)",
                "ibin", prompt, key, sizeof key, (int64_t)utf8_characters(text, length), text, length) != 0) {
        return -1;
    }
    *answer = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int prefs_add_answer(struct prefs *store, int64_t prompt, const char *text, size_t length, int64_t *answer,
                     struct err *err)
{
    if (length > PREFS_TEXT_MAX) {
        return refuse(err, "an answer has at most 16 MiB");
    }
    if (!utf8_valid(text, length) || memchr(text, '\0', length) != NULL) {
        return refuse(err, "an answer must be UTF-8 without zero bytes");
    }
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    return sql_finish(store, insert_answer(store, prompt, text, length, answer, err), err);
}

int prefs_add_model(struct prefs *store, const char *name, int64_t *model, struct err *err)
{
    *model = 0;
    if (name == NULL || name[0] == '\0') {
        return 0;
    }
    if (strlen(name) > 200) {
        return refuse(err, "a model's name has at most 200 bytes");
    }
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    int found = sql_number(store, err, model, "SELECT id FROM model WHERE name=?1", "t", name);
    if (found == 0) {
        found = sql_run(store, err, "INSERT INTO model (name) VALUES (?1)", "t", name);
        *model = sqlite3_last_insert_rowid(store->db);
    }
    return sql_finish(store, found < 0 ? -1 : 0, err);
}

/* Keys of the answers of the item, each checked to be an answer of its prompt. */
static int read_answer_keys(struct prefs *store, const struct prefs_new_item *item,
                            unsigned char keys[][PREFS_KEY_SIZE], struct err *err)
{
    for (size_t i = 0; i < item->count; i++) {
        sqlite3_stmt *row = sql_query(store, err, "SELECT sha256 FROM answer WHERE id=?1 AND prompt_id=?2", "ii",
                                      item->answers[i], item->prompt);
        int got = row == NULL ? -1 : sql_step(store, row, err);
        if (got == 1) {
            memcpy(keys[i], sqlite3_column_blob(row, 0), PREFS_KEY_SIZE);
        }
        sql_end(row);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            return refuse(err, "an item's answers must all be answers to its prompt");
        }
        for (size_t other = 0; other < i; other++) {
            if (item->answers[other] == item->answers[i]) {
                return refuse(err, "an item may hold the same answer only once");
            }
        }
    }
    return 0;
}

static void sort_keys(unsigned char keys[][PREFS_KEY_SIZE], size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t at = i; at > 0 && memcmp(keys[at - 1], keys[at], PREFS_KEY_SIZE) > 0; at--) {
            unsigned char swap[PREFS_KEY_SIZE];
            memcpy(swap, keys[at], PREFS_KEY_SIZE);
            memcpy(keys[at], keys[at - 1], PREFS_KEY_SIZE);
            memcpy(keys[at - 1], swap, PREFS_KEY_SIZE);
        }
    }
}

static int insert_item(struct prefs *store, const struct prefs_new_item *item, const unsigned char *key, int64_t *id,
                       struct err *err)
{
    static const char *const states[] = {"open", "done", "closed"};
    if (sql_run(store, err, "INSERT INTO item (project_id, prompt_id, k, sha256, state) VALUES (?1, ?2, ?3, ?4, ?5)",
                "iiibt", item->project, item->prompt, (int64_t)item->count, key, (size_t)PREFS_KEY_SIZE,
                states[item->state]) != 0) {
        return -1;
    }
    *id = sqlite3_last_insert_rowid(store->db);
    for (size_t i = 0; i < item->count; i++) {
        if (sql_run(store, err,
                    "INSERT INTO item_slot (item_id, slot, answer_id, model_id) VALUES (?1, ?2, ?3, nullif(?4,0))",
                    "iiii", *id, (int64_t)i, item->answers[i], item->models[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_slots(struct prefs *store, const struct prefs_new_item *item, int64_t id, int slots[PREFS_ANSWERS_MAX],
                      struct err *err)
{
    for (size_t i = 0; i < item->count; i++) {
        int64_t slot = -1;
        if (sql_number(store, err, &slot, "SELECT slot FROM item_slot WHERE item_id=?1 AND answer_id=?2", "ii", id,
                       item->answers[i]) < 0) {
            return -1;
        }
        assert(slot >= 0);
        slots[i] = (int)slot;
    }
    return 0;
}

static int add_item(struct prefs *store, const struct prefs_new_item *item, int64_t *id, int slots[PREFS_ANSWERS_MAX],
                    bool *added, struct err *err)
{
    unsigned char keys[PREFS_ANSWERS_MAX][PREFS_KEY_SIZE], key[PREFS_KEY_SIZE];
    int result = read_answer_keys(store, item, keys, err);
    if (result != 0) {
        return result;
    }
    sort_keys(keys, item->count);
    prefs_key(key, keys, item->count * PREFS_KEY_SIZE);
    int found = sql_number(store, err, id, "SELECT id FROM item WHERE project_id=?1 AND prompt_id=?2 AND sha256=?3",
                           "iib", item->project, item->prompt, key, sizeof key);
    if (added != NULL) {
        *added = found == 0;
    }
    if (found == 0) {
        for (size_t i = 0; slots != NULL && i < item->count; i++) {
            slots[i] = (int)i;
        }
        return insert_item(store, item, key, id, err);
    }
    if (found == 1 && item->state == PREFS_OPEN) {
        /* It came with labels before and is now to be labelled. */
        if (sql_run(store, err, "UPDATE item SET state='open' WHERE id=?1 AND state='closed'", "i", *id) != 0 ||
            prefs_refresh_item(store, *id, err) != 0) {
            return -1;
        }
    }
    return found < 0 ? -1 : slots == NULL ? 0 : read_slots(store, item, *id, slots, err);
}

int prefs_add_item(struct prefs *store, const struct prefs_new_item *item, int64_t *id, int slots[PREFS_ANSWERS_MAX],
                   bool *added, struct err *err)
{
    if (item->count < 1 || item->count > PREFS_ANSWERS_MAX) {
        return refuse(err, "an item has 1 to 16 answers");
    }
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    return sql_finish(store, add_item(store, item, id, slots, added, err), err);
}

static int add_gold(struct prefs *store, int64_t item, int better, int worse, int thumb, const char *note,
                    struct err *err)
{
    int64_t k = 0;
    int found = sql_number(store, err, &k, "SELECT k FROM item WHERE id=?1", "i", item);
    if (found < 0) {
        return -1;
    }
    if (found == 0) {
        err_set(err, "%s has no item %lld", store->path, (long long)item);
        return PREFS_REFUSED;
    }
    if (k == 1 ? (thumb != 1 && thumb != -1) || better >= 0 || worse >= 0
               : thumb != 0 || better < 0 || worse < 0 || better >= k || worse >= k || better == worse) {
        err_set(err, "item %lld has %lld answer%s: gold is %s", (long long)item, (long long)k, k == 1 ? "" : "s",
                k == 1 ? "a thumb up or down" : "two different answers, the better and the worse");
        return PREFS_REFUSED;
    }
    int result =
        k == 1
            ? sql_run(store, err,
                      "INSERT INTO gold (item_id, thumb, note) VALUES (?1, ?2, ?3) ON CONFLICT (item_id) DO UPDATE "
                      "SET thumb=excluded.thumb, note=excluded.note",
                      "iit", item, (int64_t)thumb, note)
            : sql_run(store, err,
                      "INSERT INTO gold (item_id, better_slot, worse_slot, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT "
                      "(item_id) DO UPDATE SET better_slot=excluded.better_slot, worse_slot=excluded.worse_slot, "
                      "note=excluded.note",
                      "iiit", item, (int64_t)better, (int64_t)worse, note);
    return result;
}

int prefs_add_gold(struct prefs *store, int64_t item, int better, int worse, int thumb, const char *note,
                   struct err *err)
{
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    return sql_finish(store, add_gold(store, item, better, worse, thumb, note, err), err);
}

int prefs_next_gold(struct prefs *store, int64_t project, int64_t after, struct prefs_gold *gold, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT g.item_id, coalesce(g.better_slot,-1), coalesce(g.worse_slot,-1), coalesce(g.thumb,0), "
                  "json_extract(p.messages,'$[#-1].content') FROM gold g CROSS JOIN item i ON i.id=g.item_id "
                  "JOIN prompt p ON p.id=i.prompt_id WHERE i.project_id=?1 AND g.item_id>?2 ORDER BY g.item_id LIMIT 1",
                  "ii", project, after);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        gold->item = sqlite3_column_int64(row, 0);
        gold->better = sqlite3_column_int(row, 1);
        gold->worse = sqlite3_column_int(row, 2);
        gold->thumb = sqlite3_column_int(row, 3);
        const char *text = (const char *)sqlite3_column_text(row, 4);
        size_t length = utf8_cut(text, strlen(text), sizeof gold->prompt - 1);
        memcpy(gold->prompt, text, length);
        gold->prompt[length] = '\0';
    }
    sql_end(row);
    return got;
}

int prefs_add_score(struct prefs *store, const char *scorer, int64_t answer, double value, struct err *err)
{
    if (!isfinite(value)) {
        return refuse(err, "a score must be a finite number");
    }
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    int64_t there = 0;
    int found = sql_number(store, err, &there, "SELECT 1 FROM answer WHERE id=?1", "i", answer);
    if (found == 0) {
        err_set(err, "%s has no answer %lld", store->path, (long long)answer);
        found = PREFS_REFUSED;
    } else if (found == 1) {
        found = sql_run(store, err,
                        "INSERT INTO score (scorer, answer_id, value) VALUES (?1, ?2, ?3) "
                        "ON CONFLICT (scorer, answer_id) DO UPDATE SET value=excluded.value",
                        "tid", scorer, answer, value);
    }
    return sql_finish(store, found, err);
}

static double uncertainty(const double *scores, size_t count)
{
    double sum = 0, pairs = 0;
    if (count == 1) {
        double p = 1 / (1 + exp(-scores[0]));
        return 4 * p * (1 - p);
    }
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            double p = 1 / (1 + exp(scores[b] - scores[a]));
            sum += 4 * p * (1 - p);
            pairs++;
        }
    }
    return sum / pairs;
}

/* 1: scores[0..*count-1] are set, 0: an answer has none. */
static int read_scores(struct prefs *store, int64_t item, const char *scorer, double scores[PREFS_ANSWERS_MAX],
                       size_t *count, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT c.value FROM item_slot s LEFT JOIN score c ON c.scorer=?2 AND c.answer_id=s.answer_id "
                  "WHERE s.item_id=?1",
                  "it", item, scorer);
    int got = -1;
    bool all = true;
    for (*count = 0; row != NULL && (got = sql_step(store, row, err)) == 1; ++*count) {
        all = all && sqlite3_column_type(row, 0) != SQLITE_NULL;
        scores[*count] = sqlite3_column_double(row, 0);
    }
    sql_end(row);
    return got < 0 ? -1 : all;
}

static int prioritise(struct prefs *store, int64_t project, const char *scorer, int64_t *changed, struct err *err)
{
    int64_t item = 0;
    int found;
    while ((found = sql_number(
                store, err, &item,
                "SELECT id FROM item NOT INDEXED WHERE project_id=?1 AND id>?2 AND state='open' ORDER BY id LIMIT 1",
                "ii", project, item)) == 1) {
        double scores[PREFS_ANSWERS_MAX];
        size_t count = 0;
        int scored = read_scores(store, item, scorer, scores, &count, err);
        if (scored < 0) {
            return -1;
        }
        if (scored == 1) {
            if (sql_run(store, err, "UPDATE item SET priority=?2 WHERE id=?1", "id", item,
                        uncertainty(scores, count)) != 0) {
                return -1;
            }
            ++*changed;
        }
    }
    return found;
}

int prefs_prioritise(struct prefs *store, int64_t project, const char *scorer, int64_t *changed, struct err *err)
{
    *changed = 0;
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    return sql_finish(store, prioritise(store, project, scorer, changed, err), err);
}

int prefs_import_begin(struct prefs *store, const char *path, int64_t *batch, struct err *err)
{
    if (sql_run(store, err, "INSERT INTO import_batch (path, created_ms) VALUES (?1, ?2)", "ti", path,
                prefs_now(store)) != 0) {
        return -1;
    }
    *batch = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int prefs_import_done(struct prefs *store, int64_t batch, const char *format, int64_t records, int64_t added,
                      int64_t rejected, struct err *err)
{
    if (added == 0) {
        return sql_run(store, err,
                       "DELETE FROM import_batch WHERE id=?1 AND NOT EXISTS (SELECT 1 FROM prompt WHERE batch_id=?1)",
                       "i", batch);
    }
    return sql_run(store, err, "UPDATE import_batch SET format=?2, records=?3, added=?4, rejected=?5 WHERE id=?1",
                   "itiii", batch, format, records, added, rejected);
}
