/* Submitting and undoing judgments. */
#include "base/minmax.h"
#include "base/utf8.h"
#include "prefs-db/internal.h"
#include "prefs-db/labelling.h"

#include <assert.h>
#include <string.h>

const char *const prefs_flag_names[PREFS_FLAG_COUNT] = {"spam",       "pii",       "harmful", "broken",
                                                        "wrong_lang", "duplicate", "other"};

static const char slot_digits[] = "0123456789abcdef";
static const char *const client_names[] = {"web", "tty"};

static int refuse(struct err *err, const char *sentence)
{
    err_set(err, "%s", sentence);
    return PREFS_REFUSED;
}

/* Characters of valid UTF-8 without zero bytes; -1 for other bytes. */
static int64_t characters(const char *text)
{
    size_t length = strlen(text);
    return utf8_valid(text, length) ? (int64_t)utf8_characters(text, length) : -1;
}

/* The assignment that a judgment is about. */
struct subject {
    int64_t item, count;
    char shown[PREFS_ANSWERS_MAX + 1];
    struct prefs_settings settings;
};

static int read_subject(struct prefs *store, int64_t assignment, int64_t annotator, struct subject *subject,
                        struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT a.item_id, i.k, a.shown, i.project_id FROM assignment a CROSS JOIN item i ON i.id=a.item_id "
                  "WHERE a.id=?1 AND a.annotator_id=?2 AND a.shown IS NOT NULL",
                  "ii", assignment, annotator);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    int64_t project = 0;
    if (got == 1) {
        subject->item = sqlite3_column_int64(row, 0);
        subject->count = sqlite3_column_int64(row, 1);
        memcpy(subject->shown, sqlite3_column_text(row, 2), (size_t)subject->count);
        subject->shown[subject->count] = '\0';
        project = sqlite3_column_int64(row, 3);
    }
    sql_end(row);
    if (got == 0) {
        return refuse(err, "this task was not given to this annotator");
    }
    return got < 0 ? -1 : prefs_get_settings(store, project, &subject->settings, err);
}

static int check_ranks(const struct prefs_judgment *judgment, const struct subject *subject, bool *tied,
                       struct err *err)
{
    int used[PREFS_ANSWERS_MAX + 1] = {0};
    int ranked = 0, highest = 0;
    for (int64_t i = 0; i < subject->count; i++) {
        int rank = judgment->ranks[i];
        if (rank < 0 || rank > subject->count) {
            return refuse(err, "a rank is a number from 1 to the number of answers, or 0 for an answer left unranked");
        }
        if (rank > 0) {
            used[rank]++;
            ranked++;
            highest = max(highest, rank);
        }
    }
    if (ranked < 2) {
        return refuse(err, "rank at least two answers, or skip the task");
    }
    *tied = ranked > highest;
    for (int rank = 1; rank <= highest; rank++) {
        if (used[rank] == 0) {
            return refuse(err, "ranks must follow each other without a gap");
        }
    }
    if (*tied && !subject->settings.allow_ties) {
        return refuse(err, "this project allows no ties");
    }
    return 0;
}

static int check_verdict(const struct prefs_judgment *judgment, const struct subject *subject, struct err *err)
{
    if (judgment->verdict == PREFS_SKIP) {
        if (!subject->settings.allow_skip) {
            return refuse(err, "this project allows no skipping");
        }
        int64_t length = judgment->skip_reason == NULL ? 0 : characters(judgment->skip_reason);
        return length >= 1 && length <= PREFS_REASON_MAX ? 0
                                                         : refuse(err, "a skip needs a reason of 1 to 200 characters");
    }
    if (subject->count == 1) {
        return (judgment->thumb == 1 || judgment->thumb == -1) && judgment->strength < 0 && judgment->ranks[0] <= 1
                   ? 0
                   : refuse(err, "one answer is judged by a thumb up or down");
    }
    bool tied = false;
    int result = check_ranks(judgment, subject, &tied, err);
    if (result != 0) {
        return result;
    }
    if (judgment->thumb != 0 || (subject->count != 2 && judgment->strength >= 0)) {
        return refuse(err, "a thumb belongs to one answer, a strength to two");
    }
    if (judgment->strength >= 0 &&
        (tied ? judgment->strength != 0
              : judgment->strength < 1 || judgment->strength > subject->settings.strength_levels)) {
        return refuse(err, "the strength is 0 for a tie, else 1 to the project's number of levels");
    }
    return 0;
}

static int check_judgment(const struct prefs_judgment *judgment, const struct subject *subject, struct err *err)
{
    int64_t comment = judgment->comment == NULL ? 0 : characters(judgment->comment);
    if (comment < 0 || comment > PREFS_COMMENT_MAX) {
        return refuse(err, "a comment is UTF-8 of at most 20000 characters");
    }
    for (int64_t i = 0; i < subject->count; i++) {
        if (judgment->flags[i] >> PREFS_FLAG_COUNT != 0) {
            return refuse(err, "an unknown flag");
        }
    }
    return check_verdict(judgment, subject, err);
}

/* The judgment a nonce belongs to: 1 and *id when it is of this assignment, 0 when unused. */
static int find_nonce(struct prefs *store, const unsigned char *nonce, int64_t assignment, int64_t *id, struct err *err)
{
    int64_t of = 0;
    int found = sql_number(store, err, &of, "SELECT assignment_id FROM judgment WHERE nonce=?1", "b", nonce,
                           (size_t)PREFS_NONCE_SIZE);
    if (found != 1) {
        return found;
    }
    if (of != assignment) {
        return refuse(err, "this nonce was used for another task");
    }
    return sql_number(store, err, id, "SELECT id FROM judgment WHERE nonce=?1", "b", nonce, (size_t)PREFS_NONCE_SIZE);
}

static int64_t nullable(int64_t value, int64_t absent)
{
    return value == absent ? SQL_NULL : value;
}

#define INSERT_JUDGMENT                                                                                                \
    "INSERT INTO judgment (assignment_id, revision, verdict, ranks, strength, thumb, skip_reason, comment, "           \
    "active_ms, "                                                                                                      \
    "wall_ms, client, nonce, created_ms) VALUES (?1, (SELECT 1+coalesce(max(revision),0) FROM judgment WHERE "         \
    "assignment_id=?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"

static int insert_judgment(struct prefs *store, const struct prefs_judgment *judgment, const struct subject *subject,
                           int64_t *id, struct err *err)
{
    char ranks[PREFS_ANSWERS_MAX + 1] = "";
    bool skip = judgment->verdict == PREFS_SKIP;
    for (int64_t p = 0; p < subject->count; p++) {
        ranks[strchr(slot_digits, subject->shown[p]) - slot_digits] =
            prefs_rank_character(subject->count == 1 ? 1 : judgment->ranks[p]);
    }
    ranks[subject->count] = '\0';
    if (sql_run(store, err, INSERT_JUDGMENT, "ittoottootbi", judgment->assignment, skip ? "skip" : "ranked",
                skip ? NULL : ranks, nullable(skip ? -1 : judgment->strength, -1),
                nullable(skip ? 0 : judgment->thumb, 0), skip ? judgment->skip_reason : NULL,
                judgment->comment == NULL ? "" : judgment->comment, nullable(judgment->active_ms, -1),
                nullable(judgment->wall_ms, -1), client_names[judgment->client], judgment->nonce,
                (size_t)PREFS_NONCE_SIZE, prefs_now(store)) != 0) {
        return -1;
    }
    *id = sqlite3_last_insert_rowid(store->db);
    for (int64_t p = 0; p < subject->count; p++) {
        for (unsigned f = 0; f < PREFS_FLAG_COUNT; f++) {
            if ((judgment->flags[p] >> f & 1) != 0 &&
                sql_run(store, err, "INSERT INTO flag (judgment_id, slot, code) VALUES (?1, ?2, ?3)", "iit", *id,
                        (int64_t)(strchr(slot_digits, subject->shown[p]) - slot_digits), prefs_flag_names[f]) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int submit(struct prefs *store, int64_t annotator, const struct prefs_judgment *judgment, int64_t *id,
                  struct err *err)
{
    struct subject subject;
    int result = read_subject(store, judgment->assignment, annotator, &subject, err);
    if (result != 0) {
        return result;
    }
    result = find_nonce(store, judgment->nonce, judgment->assignment, id, err);
    if (result != 0) {
        return result;
    }
    result = check_judgment(judgment, &subject, err);
    if (result != 0) {
        return result;
    }
    /* A lease that ran out is no reason to throw work away: it is taken, at worst one vote more than the overlap asks.
     */
    if (insert_judgment(store, judgment, &subject, id, err) != 0 ||
        sql_run(store, err, "UPDATE assignment SET state=?2, judgment_id=?3, lease_until_ms=NULL WHERE id=?1", "iti",
                judgment->assignment, judgment->verdict == PREFS_SKIP ? "skipped" : "submitted", *id) != 0) {
        return -1;
    }
    return prefs_refresh_item(store, subject.item, err);
}

int prefs_submit(struct prefs *store, int64_t annotator, const struct prefs_judgment *judgment, int64_t *id,
                 struct err *err)
{
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    int result = sql_finish(store, submit(store, annotator, judgment, id, err), err);
    return result > 0 ? 0 : result;
}

static int withdraw(struct prefs *store, int64_t project, int64_t annotator, const unsigned char *nonce,
                    enum prefs_client client, struct err *err)
{
    int64_t seen = 0;
    int found =
        sql_number(store, err, &seen, "SELECT 1 FROM judgment WHERE nonce=?1", "b", nonce, (size_t)PREFS_NONCE_SIZE);
    if (found != 0) {
        return found;
    }
    int64_t assignment = 0, item = 0, lease = 0;
    found = sql_number(
        store, err, &assignment,
        "SELECT a.id FROM assignment a CROSS JOIN item i ON i.id=a.item_id WHERE a.annotator_id=?1 AND i.project_id=?2 "
        "AND a.judgment_id IS NOT NULL AND a.shown IS NOT NULL ORDER BY a.judgment_id DESC LIMIT 1",
        "ii", annotator, project);
    if (found != 1) {
        return found;
    }
    int64_t now = prefs_now(store);
    if (sql_number(store, err, &item, "SELECT item_id FROM assignment WHERE id=?1", "i", assignment) < 0 ||
        sql_number(store, err, &lease, "SELECT lease_s FROM project WHERE id=?1", "i", project) < 0 ||
        sql_run(store, err,
                "INSERT INTO judgment (assignment_id, revision, verdict, client, nonce, created_ms) VALUES (?1, "
                "(SELECT 1+max(revision) FROM "
                "judgment WHERE assignment_id=?1), 'withdrawn', ?2, ?3, ?4)",
                "itbi", assignment, client_names[client], nonce, (size_t)PREFS_NONCE_SIZE, now) != 0 ||
        sql_run(store, err,
                "UPDATE assignment SET state='leased', judgment_id=NULL, lease_until_ms=?2, leased_ms=(SELECT max(?3, "
                "1+max(leased_ms)) FROM "
                "assignment b WHERE b.annotator_id=?4 AND b.state='leased' UNION ALL SELECT ?3 ORDER BY 1 DESC LIMIT "
                "1) WHERE id=?1",
                "iiii", assignment, now + lease * 1000, now, annotator) != 0 ||
        prefs_refresh_item(store, item, err) != 0) {
        return -1;
    }
    return 1;
}

int prefs_undo(struct prefs *store, int64_t project, int64_t annotator, const unsigned char nonce[PREFS_NONCE_SIZE],
               enum prefs_client client, struct err *err)
{
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    return sql_finish(store, withdraw(store, project, annotator, nonce, client, err), err);
}

static int add_label(struct prefs *store, int64_t item, int64_t annotator, const char *ranks, int strength, int thumb,
                     bool *added, struct err *err)
{
    int64_t said = 0;
    int found = sql_number(
        store, err, &said,
        "SELECT 1 FROM assignment a JOIN judgment j ON j.id=a.judgment_id WHERE a.item_id=?1 AND a.annotator_id=?2 "
        "AND j.ranks=?3 AND j.strength IS ?4 AND j.thumb IS ?5",
        "iitoo", item, annotator, ranks, nullable(strength, -1), nullable(thumb, 0));
    *added = found == 0;
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    /* Inserted as an expired lease first: an assignment and its judgment point to each other. */
    int64_t now = prefs_now(store);
    if (sql_run(store, err,
                "INSERT INTO assignment (item_id, annotator_id, attempt, state, leased_ms) VALUES (?1, ?2, (SELECT "
                "1+coalesce(max(attempt),0) "
                "FROM assignment WHERE item_id=?1 AND annotator_id=?2), 'expired', ?3)",
                "iii", item, annotator, now) != 0) {
        return -1;
    }
    int64_t assignment = sqlite3_last_insert_rowid(store->db);
    unsigned char nonce[PREFS_KEY_SIZE]; /* nobody sends it again, but the column wants one */
    prefs_key(nonce, &assignment, sizeof assignment);
    if (sql_run(store, err, INSERT_JUDGMENT, "ittoottootbi", assignment, "ranked", ranks, nullable(strength, -1),
                nullable(thumb, 0), NULL, "", SQL_NULL, SQL_NULL, "import", nonce, (size_t)PREFS_NONCE_SIZE,
                now) != 0 ||
        sql_run(store, err, "UPDATE assignment SET state='submitted', judgment_id=?2 WHERE id=?1", "ii", assignment,
                (int64_t)sqlite3_last_insert_rowid(store->db)) != 0) {
        return -1;
    }
    return prefs_refresh_item(store, item, err);
}

int prefs_add_label(struct prefs *store, int64_t item, int64_t annotator, const int ranks[PREFS_ANSWERS_MAX],
                    int strength, int thumb, bool *added, struct err *err)
{
    int64_t k = 0;
    int found = sql_number(store, err, &k, "SELECT k FROM item WHERE id=?1", "i", item);
    if (found != 1) {
        return found < 0 ? -1 : refuse(err, "a label for an item that is not there");
    }
    char text[PREFS_ANSWERS_MAX + 1] = "";
    for (int64_t i = 0; i < k; i++) {
        text[i] = k == 1 ? '1' : prefs_rank_character(ranks[i]);
    }
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    return sql_finish(store, add_label(store, item, annotator, text, strength, thumb, added, err), err);
}
