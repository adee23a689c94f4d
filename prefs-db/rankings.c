#include "prefs-db/rankings.h"
#include "base/mem.h"
#include "prefs-db/internal.h"

#include <string.h>

/* Items read at once: enough to amortise the locks, short enough for a labeler not to notice. */
#define CHUNK_ITEMS 256

/* Text of a chunk lies in one buffer that moves while it grows, so rows hold offsets until the chunk is complete. */
#define NO_TEXT SIZE_MAX

struct ranking_row {
    struct prefs_ranking ranking;
    size_t handle, split, lang, messages;
    size_t texts[PREFS_ANSWERS_MAX];
};

struct prefs_rankings {
    struct prefs *store;
    struct prefs_query query;
    char *split;
    int64_t *annotators; /* of the query */
    int64_t last_item;
    bool finished;
    struct ranking_row *rows;
    size_t count, capacity, next;
    struct strbuf text;
    size_t pair_best, pair_worst; /* where prefs_rankings_next_pair() stands in `pair_ranking` */
    const struct prefs_ranking *pair_ranking;
};

int prefs_rankings_open(struct prefs_rankings **out, struct prefs *store, const struct prefs_query *query,
                        struct err *err)
{
    struct prefs_rankings *rankings = mem_alloc(1, sizeof *rankings, err);
    if (rankings == NULL) {
        return -1;
    }
    rankings->store = store;
    rankings->query = *query;
    int result = 0;
    if (query->split != NULL) {
        rankings->split = mem_copy_string(query->split, strlen(query->split), err);
        result = rankings->split == NULL ? -1 : 0;
    }
    if (result == 0 && query->annotators != NULL) {
        rankings->annotators = mem_alloc(query->annotator_count + 1, sizeof(int64_t), err);
        result = rankings->annotators == NULL ? -1 : 0;
    }
    for (size_t i = 0; result == 0 && rankings->annotators != NULL && i < query->annotator_count; i++) {
        struct prefs_annotator annotator;
        result = prefs_find_annotator(store, query->annotators[i], &annotator, err);
        rankings->annotators[i] = result == 0 ? annotator.id : 0;
    }
    if (result != 0) {
        prefs_rankings_close(rankings);
        return result;
    }
    *out = rankings;
    return 0;
}

void prefs_rankings_close(struct prefs_rankings *rankings)
{
    if (rankings != NULL) {
        strbuf_free(&rankings->text);
        mem_free(rankings->rows);
        mem_free(rankings->annotators);
        mem_free(rankings->split);
        mem_free(rankings);
    }
}

static size_t keep_text(struct prefs_rankings *rankings, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    if (text == NULL) {
        return NO_TEXT;
    }
    size_t start = rankings->text.length;
    strbuf_append(&rankings->text, text, (size_t)sqlite3_column_bytes(row, column) + 1);
    return start;
}

static bool wanted(const struct prefs_rankings *rankings, int64_t annotator)
{
    if (rankings->annotators == NULL) {
        return true;
    }
    for (size_t i = 0; i < rankings->query.annotator_count; i++) {
        if (rankings->annotators[i] == annotator) {
            return true;
        }
    }
    return false;
}

static const char slot_digits[] = "0123456789abcdef";

/* Judgments of one item from the row that stands; ranks and positions go by slot. */
static void read_judgment(struct ranking_row *into, sqlite3_stmt *row)
{
    struct prefs_ranking *ranking = &into->ranking;
    const char *ranks = (const char *)sqlite3_column_text(row, 3);
    const char *shown = (const char *)sqlite3_column_text(row, 4);
    ranking->judgment = sqlite3_column_int64(row, 0);
    ranking->annotator = sqlite3_column_int64(row, 1);
    ranking->repeat = sqlite3_column_int(row, 2) != 0;
    ranking->count = (size_t)sqlite3_column_bytes(row, 3);
    ranking->strength = sqlite3_column_int(row, 5);
    ranking->thumb = sqlite3_column_int(row, 6);
    ranking->active_ms = sqlite3_column_int64(row, 7);
    ranking->imported = sqlite3_column_int(row, 9) != 0;
    for (size_t s = 0; s < ranking->count; s++) {
        const char *position = shown == NULL ? NULL : strchr(shown, slot_digits[s]);
        ranking->answers[s].rank = prefs_rank_value(ranks[s]);
        ranking->answers[s].position = position == NULL ? -1 : (int)(position - shown);
    }
}

/* Answers of the item, put into each of its rows. */
static int read_answers(struct prefs_rankings *rankings, size_t first, int64_t item, struct err *err)
{
    struct prefs *store = rankings->store;
    sqlite3_stmt *row = rankings->query.without_text
                            ? sql_query(store, err,
                                        "SELECT s.slot, s.answer_id, coalesce(s.model_id,0), a.characters FROM "
                                        "item_slot s JOIN answer a ON a.id=s.answer_id "
                                        "WHERE s.item_id=?1",
                                        "i", item)
                            : sql_query(store, err,
                                        "SELECT s.slot, s.answer_id, coalesce(s.model_id,0), a.characters, a.content "
                                        "FROM item_slot s JOIN answer a ON "
                                        "a.id=s.answer_id WHERE s.item_id=?1",
                                        "i", item);
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        int slot = sqlite3_column_int(row, 0);
        size_t text = rankings->query.without_text ? NO_TEXT : keep_text(rankings, row, 4);
        size_t length = text == NO_TEXT ? 0 : (size_t)sqlite3_column_bytes(row, 4);
        for (size_t i = first; i < rankings->count; i++) {
            struct prefs_ranked_answer *answer = &rankings->rows[i].ranking.answers[slot];
            answer->answer = sqlite3_column_int64(row, 1);
            answer->model = sqlite3_column_int64(row, 2);
            answer->characters = sqlite3_column_int64(row, 3);
            answer->length = length;
            rankings->rows[i].texts[slot] = text;
        }
    }
    sql_end(row);
    return got;
}

/* Same outcomes over the pairs of answers and the pairs of judgments of the item; 1 where there is nothing to compare.
 */
static double item_agreement(const struct ranking_row *rows, size_t count)
{
    int64_t same = 0, all = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            const struct prefs_ranking *x = &rows[i].ranking, *y = &rows[j].ranking;
            if (x->count == 1) {
                all++;
                same += x->thumb == y->thumb;
            }
            for (size_t a = 0; a < x->count; a++) {
                for (size_t b = a + 1; b < x->count; b++) {
                    int xa = x->answers[a].rank, xb = x->answers[b].rank, ya = y->answers[a].rank,
                        yb = y->answers[b].rank;
                    if (xa > 0 && xb > 0 && ya > 0 && yb > 0) {
                        all++;
                        same += (xa < xb) == (ya < yb) && (xa == xb) == (ya == yb);
                    }
                }
            }
        }
    }
    return all == 0 ? 1 : (double)same / (double)all;
}

/* Votes on one item; its prompt is read once. */
static int read_item(struct prefs_rankings *rankings, int64_t item, int64_t prompt, bool gold, size_t split,
                     size_t lang, size_t messages, struct err *err)
{
    struct prefs *store = rankings->store;
    size_t first = rankings->count;
    sqlite3_stmt *row =
        rankings->query.without_text
            ? sql_query(store, err,
                        "SELECT j.id, a.annotator_id, a.repeat, j.ranks, a.shown, coalesce(j.strength,-1), "
                        "coalesce(j.thumb,0), "
                        "coalesce(j.active_ms,-1), NULL, j.client='import' FROM assignment a JOIN judgment j ON "
                        "j.id=a.judgment_id "
                        "WHERE a.item_id=?1 AND a.state='submitted'",
                        "i", item)
            : sql_query(store, err,
                        "SELECT j.id, a.annotator_id, a.repeat, j.ranks, a.shown, coalesce(j.strength,-1), "
                        "coalesce(j.thumb,0), "
                        "coalesce(j.active_ms,-1), w.handle, j.client='import' FROM assignment a JOIN judgment j ON "
                        "j.id=a.judgment_id "
                        "JOIN annotator w ON w.id=a.annotator_id WHERE a.item_id=?1 AND a.state='submitted'",
                        "i", item);
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        if (!wanted(rankings, sqlite3_column_int64(row, 1)) ||
            (sqlite3_column_int(row, 2) != 0 && !rankings->query.with_repeats)) {
            continue;
        }
        struct ranking_row *rows =
            mem_grow(rankings->rows, &rankings->capacity, rankings->count + 1, sizeof *rows, err);
        if (rows == NULL) {
            got = -1;
            break;
        }
        rankings->rows = rows;
        struct ranking_row *into = &rows[rankings->count++];
        memset(into, 0, sizeof *into);
        read_judgment(into, row);
        into->ranking.item = item;
        into->ranking.prompt = prompt;
        into->ranking.gold = gold;
        into->handle = keep_text(rankings, row, 8);
        into->split = split;
        into->lang = lang;
        into->messages = messages;
    }
    sql_end(row);
    if (got < 0 || rankings->count == first) {
        return got;
    }
    if (rankings->query.min_agreement > 0 &&
        item_agreement(rankings->rows + first, rankings->count - first) < rankings->query.min_agreement) {
        rankings->count = first;
        return 0;
    }
    return read_answers(rankings, first, item, err);
}

static const char *text_at(const struct prefs_rankings *rankings, size_t offset)
{
    return offset == NO_TEXT ? NULL : rankings->text.data + offset;
}

static int read_items(struct prefs_rankings *rankings, sqlite3_stmt *row, struct err *err)
{
    int got, items = 0;
    while ((got = sql_step(rankings->store, row, err)) == 1) {
        items++;
        rankings->last_item = sqlite3_column_int64(row, 0);
        const char *split = (const char *)sqlite3_column_text(row, 2);
        bool gold = sqlite3_column_int(row, 4) != 0;
        if ((gold && !rankings->query.with_gold) || (rankings->split != NULL && strcmp(split, rankings->split) != 0)) {
            continue;
        }
        size_t split_at = keep_text(rankings, row, 2), lang_at = keep_text(rankings, row, 3);
        size_t messages = rankings->query.without_text ? NO_TEXT : keep_text(rankings, row, 5);
        if (read_item(rankings, rankings->last_item, sqlite3_column_int64(row, 1), gold, split_at, lang_at, messages,
                      err) < 0) {
            return -1;
        }
    }
    rankings->finished = items < CHUNK_ITEMS;
    return got;
}

#define GOLD "EXISTS (SELECT 1 FROM gold g WHERE g.item_id=i.id)"

/* The next items, from the fewest tables that hold what was asked for. */
static sqlite3_stmt *query_items(struct prefs_rankings *rankings, struct err *err)
{
    const struct prefs_query *query = &rankings->query;
    if (query->without_text && rankings->split == NULL) {
        return sql_query(rankings->store, err,
                         "SELECT i.id, i.prompt_id, NULL, NULL, " GOLD " FROM item i NOT INDEXED "
                         "WHERE i.id>?1 AND i.project_id=?2 ORDER BY i.id LIMIT ?3",
                         "iii", rankings->last_item, query->project, (int64_t)CHUNK_ITEMS);
    }
    if (query->without_text) {
        return sql_query(rankings->store, err,
                         "SELECT i.id, i.prompt_id, p.split, p.lang, " GOLD
                         " FROM item i NOT INDEXED CROSS JOIN prompt p ON p.id=i.prompt_id "
                         "WHERE i.id>?1 AND i.project_id=?2 ORDER BY i.id LIMIT ?3",
                         "iii", rankings->last_item, query->project, (int64_t)CHUNK_ITEMS);
    }
    return sql_query(rankings->store, err,
                     "SELECT i.id, i.prompt_id, p.split, p.lang, " GOLD
                     ", p.messages FROM item i NOT INDEXED CROSS JOIN prompt p ON "
                     "p.id=i.prompt_id WHERE i.id>?1 AND i.project_id=?2 ORDER BY i.id LIMIT ?3",
                     "iii", rankings->last_item, query->project, (int64_t)CHUNK_ITEMS);
}

/* The next items with all they hold, in one short read. */
static int read_chunk(struct prefs_rankings *rankings, struct err *err)
{
    rankings->count = rankings->next = 0;
    strbuf_clear(&rankings->text);
    sqlite3_stmt *row = query_items(rankings, err);
    int result = row == NULL ? -1 : read_items(rankings, row, err);
    sql_end(row);
    if (result != 0 || strbuf_check(&rankings->text, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < rankings->count; i++) {
        struct ranking_row *at = &rankings->rows[i];
        at->ranking.handle = text_at(rankings, at->handle);
        at->ranking.split = text_at(rankings, at->split);
        at->ranking.lang = text_at(rankings, at->lang);
        at->ranking.messages = text_at(rankings, at->messages);
        for (size_t s = 0; s < at->ranking.count; s++) {
            at->ranking.answers[s].text = text_at(rankings, at->texts[s]);
        }
    }
    return 0;
}

int prefs_rankings_next(struct prefs_rankings *rankings, const struct prefs_ranking **ranking, struct err *err)
{
    while (rankings->next == rankings->count) {
        if (rankings->finished) {
            return 0;
        }
        if (read_chunk(rankings, err) != 0) {
            return -1;
        }
    }
    *ranking = &rankings->rows[rankings->next++].ranking;
    return 1;
}

/* The next two ranked answers a, b with a before b in (rank, slot) after the place where `rankings` stands. */
static bool advance_pair(struct prefs_rankings *rankings, struct prefs_pair *pair)
{
    const struct prefs_ranking *ranking = rankings->pair_ranking;
    for (; rankings->pair_best < ranking->count; rankings->pair_best++, rankings->pair_worst = 0) {
        const struct prefs_ranked_answer *best = &ranking->answers[rankings->pair_best];
        while (best->rank > 0 && rankings->pair_worst < ranking->count) {
            size_t slot = rankings->pair_worst++;
            const struct prefs_ranked_answer *worst = &ranking->answers[slot];
            if (worst->rank > best->rank || (worst->rank == best->rank && slot > rankings->pair_best)) {
                *pair = (struct prefs_pair){ranking, best, worst, worst->rank == best->rank, worst->rank - best->rank};
                return true;
            }
        }
    }
    return false;
}

int prefs_rankings_next_pair(struct prefs_rankings *rankings, struct prefs_pair *pair, struct err *err)
{
    while (rankings->pair_ranking == NULL || !advance_pair(rankings, pair)) {
        int got = prefs_rankings_next(rankings, &rankings->pair_ranking, err);
        if (got != 1) {
            rankings->pair_ranking = NULL;
            return got;
        }
        rankings->pair_best = rankings->pair_worst = 0;
    }
    return 1;
}

void prefs_item_view_free(struct prefs_item_view *view)
{
    strbuf_free(&view->messages);
    strbuf_free(&view->texts);
}

static int view_answers(struct prefs *store, struct prefs_item_view *view, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT a.id, a.content FROM item_slot s JOIN answer a ON a.id=s.answer_id WHERE s.item_id=?1 "
                  "ORDER BY s.slot",
                  "i", view->item);
    int got = -1;
    for (view->count = 0; row != NULL && (got = sql_step(store, row, err)) == 1; view->count++) {
        view->answers[view->count] = sqlite3_column_int64(row, 0);
        view->starts[view->count] = view->texts.length;
        strbuf_append(&view->texts, (const char *)sqlite3_column_text(row, 1),
                      (size_t)sqlite3_column_bytes(row, 1) + 1);
    }
    sql_end(row);
    return got < 0 || strbuf_check(&view->texts, err) != 0 ? -1 : 1;
}

/* The item of a query's first row: id, state, messages. */
static int view_item(struct prefs *store, sqlite3_stmt *row, struct prefs_item_view *view, struct err *err)
{
    strbuf_clear(&view->messages);
    strbuf_clear(&view->texts);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        const char *state = (const char *)sqlite3_column_text(row, 1);
        view->item = sqlite3_column_int64(row, 0);
        view->state = state[0] == 'o' ? "open" : state[0] == 'd' ? "done" : "closed";
        strbuf_append(&view->messages, (const char *)sqlite3_column_text(row, 2), (size_t)sqlite3_column_bytes(row, 2));
    }
    sql_end(row);
    return got != 1 ? got : strbuf_check(&view->messages, err) != 0 ? -1 : view_answers(store, view, err);
}

int prefs_next_item(struct prefs *store, int64_t project, int64_t after, struct prefs_item_view *view, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT i.id, i.state, p.messages FROM item i NOT INDEXED JOIN prompt p ON p.id=i.prompt_id "
                  "WHERE i.project_id=?1 AND i.id>?2 ORDER BY i.id LIMIT 1",
                  "ii", project, after);
    return view_item(store, row, view, err);
}

#define LACKS_A_SCORE                                                                                                  \
    "EXISTS (SELECT 1 FROM item_slot s WHERE s.item_id=i.id AND NOT EXISTS (SELECT 1 FROM score c WHERE c.scorer=?3 "  \
    "AND c.answer_id=s.answer_id))"

int prefs_next_unscored(struct prefs *store, int64_t project, int64_t after, const char *scorer,
                        struct prefs_item_view *view, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT i.id, i.state, p.messages FROM item i NOT INDEXED JOIN prompt p ON p.id=i.prompt_id "
                  "WHERE i.project_id=?1 AND i.id>?2 AND " LACKS_A_SCORE " ORDER BY i.id LIMIT 1",
                  "iit", project, after, scorer);
    return view_item(store, row, view, err);
}

int prefs_count_unscored(struct prefs *store, int64_t project, const char *scorer, int64_t *items, struct err *err)
{
    *items = 0;
    int got = sql_number(store, err, items,
                         "SELECT count(*) FROM item i WHERE i.project_id=?1 AND i.id>?2 AND " LACKS_A_SCORE, "iit",
                         project, (int64_t)0, scorer);
    return got < 0 ? -1 : 0;
}
