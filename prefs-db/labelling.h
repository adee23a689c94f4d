/*
 * prefs-db/labelling.h - the work of an annotator: take a task, submit a judgment, undo it.
 *
 * An item is handed out for a lease, its answers in a random order that is recorded. All positions below are positions
 * of that order, 0 first: an annotator never sees slots, models or what others said. A judgment is never changed: an
 * edit or an undo is a new revision.
 *
 * Which item comes next: the annotator's own unfinished task; by chance a gold item or one of the annotator's own
 * earlier items; else the open item of the highest priority (then the oldest) that this annotator has not had and that
 * has fewer votes and leases than its overlap.
 *
 * Errors as in store.h.
 */
#ifndef ATTUNE_PREFS_DB_LABELLING_H
#define ATTUNE_PREFS_DB_LABELLING_H

#include "prefs-db/store.h"

#define PREFS_NONCE_SIZE   16
#define PREFS_REASON_MAX   200 /* characters of a skip reason */
#define PREFS_REPEAT_AFTER 20  /* judgments of the same annotator between an item and its repeat */

enum prefs_client { PREFS_CLIENT_WEB, PREFS_CLIENT_TTY };
enum prefs_verdict { PREFS_RANKED, PREFS_SKIP };

/* Bits of prefs_judgment.flags, in the order of prefs_flag_names[]. */
#define PREFS_FLAG_COUNT 7
extern const char *const prefs_flag_names[PREFS_FLAG_COUNT];

struct prefs_judgment {
    int64_t assignment;
    unsigned char nonce[PREFS_NONCE_SIZE]; /* random, made by the client; submitting it again changes nothing */
    enum prefs_verdict verdict;
    int ranks[PREFS_ANSWERS_MAX]; /* 1 is best, equal is a tie, 0 unranked; without gaps; at least two ranked */
    int strength;                 /* pairs: 0 tie, 1 slightly .. strength_levels much better; -1 not said */
    int thumb;                    /* one answer: +1 or -1; 0 otherwise */
    unsigned flags[PREFS_ANSWERS_MAX];
    const char *skip_reason;    /* of a skip */
    const char *comment;        /* NULL or "": none */
    int64_t active_ms, wall_ms; /* -1 unknown; active leaves out the time the task was not on the screen */
    enum prefs_client client;
};

struct prefs_task {
    int64_t assignment, item;
    size_t count;
    struct strbuf messages; /* the prompt as JSON */
    struct strbuf texts;    /* the answers end to end, each with a zero after it, in the order shown */
    size_t starts[PREFS_ANSWERS_MAX + 1];
    int64_t lease_until_ms;
    bool revised; /* it was judged before and undone: then `previous` says how */
    struct prefs_judgment previous;
    struct strbuf previous_comment, previous_reason;
};
const char *prefs_task_answer(const struct prefs_task *task, size_t position);
void prefs_task_free(struct prefs_task *task);

/* 1: *task is set (zeroed before, free it), 0: nothing is left for this annotator, or a failure. */
int prefs_next_task(struct prefs *store, int64_t project, int64_t annotator, struct prefs_task *task, struct err *err);
/* *judgment gets the id of the stored row, the same one when the nonce was seen before. */
int prefs_submit(struct prefs *store, int64_t annotator, const struct prefs_judgment *judgment, int64_t *id,
                 struct err *err);
/*
 * Withdraws the annotator's newest judgment or skip of the project; its task is then the next one. 1 done (also for a
 * nonce seen before), 0 nothing to undo.
 */
int prefs_undo(struct prefs *store, int64_t project, int64_t annotator, const unsigned char nonce[PREFS_NONCE_SIZE],
               enum prefs_client client, struct err *err);

struct prefs_progress {
    int64_t judged, skipped;
    int64_t remaining; /* open items that this annotator has not had */
};
int prefs_get_progress(struct prefs *store, int64_t project, int64_t annotator, struct prefs_progress *progress,
                       struct err *err);

/*
 * A judgment that came with a data set: ranks by slot, or a thumb. The same annotator saying the same of the same item
 * again adds nothing (*added false).
 */
int prefs_add_label(struct prefs *store, int64_t item, int64_t annotator, const int ranks[PREFS_ANSWERS_MAX],
                    int strength, int thumb, bool *added, struct err *err);

#endif
