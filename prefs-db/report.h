/*
 * prefs-db/report.h - the figures of a project: progress, agreement, biases and the leaderboard.
 *
 * The unit of agreement is a pair of answers that two annotators both ranked (its outcome: first better, tie, second
 * better), or one answer that both gave a thumb. Gold items and repeats count in their own columns only; labels that
 * came with a data set count in agreement and the leaderboard, not in times and positions.
 *
 * Errors as in store.h. Shares without trials and undefined coefficients are NaN, and null in JSON.
 */
#ifndef ATTUNE_PREFS_DB_REPORT_H
#define ATTUNE_PREFS_DB_REPORT_H

#include "prefs-db/measures.h"
#include "prefs-db/store.h"

#define REPORT_ANNOTATORS_MAX 256 /* the most active ones have lines of their own */
#define REPORT_KAPPAS_MAX     64
#define REPORT_BOOTSTRAPS     200

struct report_annotator {
    int64_t id;
    char handle[4 * PREFS_HANDLE_MAX + 1];
    bool imported;
    int64_t judged, skipped, flagged, leased;
    struct measure_share rest; /* agreement with all others */
    struct measure_share gold; /* correct on gold items */
    struct measure_share self; /* same outcome on repeats */
    double median_seconds;     /* active time of a judgment */
};
struct report_kappa {
    size_t first, second; /* annotators[] */
    int64_t units;
    double kappa;
};
struct report_model {
    int64_t id;
    char name[201];
    double comparisons, wins;   /* a tie is half a win */
    double strength, low, high; /* natural logarithm, mean 0; 95 % bootstrap over items */
};
struct report {
    int64_t items_open, items_done, items_closed, gold_items, judgments, pairs, ties, imports;
    struct report_annotator *annotators;
    size_t annotator_count;
    struct measure_share agreement;                /* raw, over pairs of annotators */
    struct measure_share decided_agreement;        /* the same without ties */
    double alpha;                                  /* Krippendorff, ordinal */
    struct report_kappa kappas[REPORT_KAPPAS_MAX]; /* the pairs of annotators with most in common */
    size_t kappa_count;
    struct measure_share first_wins;                /* of decided pairs with a recorded order, the one shown first */
    struct measure_share longer_wins;               /* of decided pairs of different length, the longer one */
    struct report_model models[MEASURE_MODELS_MAX]; /* strongest first; models beyond the limit are left out */
    size_t model_count;
    int64_t models_left_out;
};

/* Free with report_free(). */
int report_make(struct report **out, struct prefs *store, int64_t project, struct err *err);
void report_free(struct report *report);
/* Appends one JSON object. */
void report_json(struct strbuf *out, const struct report *report);

#endif
