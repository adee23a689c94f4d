/*
 * bench-prefs CSV [COMPARISONS]: a database of one million comparisons, and how long it takes to work with. Run by
 * tests/bench/prefs.sh. Beside the time by the clock stands the time of the processor, which other programs disturb
 * less.
 *
 * 900,000 comparisons come with labels of one of three imported hands, 100,000 items are open; 8 models wrote the
 * answers.
 */
#include "base/file.h"
#include "base/log.h"
#include "prefs-db/labelling.h"
#include "prefs-db/rankings.h"
#include "prefs-db/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define COMPARISONS 1000000
#define OPEN_SHARE  10 /* one in ten items is open */
#define HANDS       3
#define MODELS      8
#define TASKS       1000
#define COMMITS     200

static int report(const char *csv, const char *measure, double value, struct err *err)
{
    FILE *out = fopen(csv, "a");
    if (out == NULL) {
        return err_set_errno(err, "cannot write %s", csv);
    }
    fprintf(out, "%s,%s,%s,%.4g\n", getenv("ATTUNE_DATE"), getenv("ATTUNE_MACHINE"), measure, value);
    printf("%-32s %.4g\n", measure, value);
    return fclose(out) == 0 ? 0 : err_set_errno(err, "cannot write %s", csv);
}

static int add_comparison(struct prefs *store, int64_t number, const int64_t *hands, const int64_t *models,
                          struct err *err)
{
    struct prefs_new_item item = {
        .project = 1, .count = 2, .state = number % OPEN_SHARE == 0 ? PREFS_OPEN : PREFS_CLOSED};
    char prompt[256], text[256];
    int64_t id = 0;
    bool added = false;
    const int ranks[PREFS_ANSWERS_MAX] = {1 + (int)(number * 7 % 5 < 2), 1 + (int)(number * 7 % 5 >= 2)};
    snprintf(prompt, sizeof prompt,
             "[{\"role\":\"user\",\"content\":\"Question %lld about something that takes a sentence or two to ask.\"}]",
             (long long)number);
    if (prefs_add_prompt(store, prompt, NULL, 0, &item.prompt, err) != 0) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        int length = snprintf(text, sizeof text, "Answer %d to question %lld: %.*s", i, (long long)number,
                              (int)(number * (i + 3) % 120),
                              "It depends on what you want, but in most cases the simplest thing that works is good "
                              "enough, and the rest can wait.");
        item.models[i] = models[(number * (i + 1) + i) % MODELS];
        if (prefs_add_answer(store, item.prompt, text, (size_t)length, &item.answers[i], err) != 0) {
            return -1;
        }
    }
    if (prefs_add_item(store, &item, &id, NULL, NULL, err) != 0) {
        return -1;
    }
    return item.state == PREFS_OPEN ? 0 : prefs_add_label(store, id, hands[number % HANDS], ranks, 2, 0, &added, err);
}

static int fill(struct prefs *store, int64_t comparisons, struct err *err)
{
    int64_t hands[HANDS], models[MODELS], project = 0;
    char name[32];
    if (prefs_add_project(store, "bench", &project, err) != 0) {
        return -1;
    }
    for (int i = 0; i < MODELS; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        if (prefs_add_model(store, name, &models[i], err) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < HANDS; i++) {
        snprintf(name, sizeof name, "hand-%d", i);
        if (prefs_add_annotator(store, name, PREFS_ROLE_IMPORT, &hands[i], err) != 0) {
            return -1;
        }
    }
    struct progress progress;
    progress_begin(&progress, "filling", comparisons);
    for (int64_t i = 0; i < comparisons; i++) {
        if ((i % 20000 == 0 && prefs_batch_begin(store, err) != 0) ||
            add_comparison(store, i, hands, models, err) != 0 ||
            ((i % 20000 == 19999 || i == comparisons - 1) && prefs_batch_commit(store, err) != 0)) {
            return -1;
        }
        if (i % 20000 == 0) {
            progress_update(&progress, i, "");
        }
    }
    progress_end(&progress);
    return 0;
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Each in a batch that is rolled back at the end: the figure is the work, the disk is measured apart. */
static int bench_tasks(struct prefs *store, const char *csv, struct err *err)
{
    int64_t annotator = 0, id = 0;
    double times[TASKS];
    if (prefs_add_annotator(store, "ann", PREFS_ROLE_ANNOTATOR, &annotator, err) != 0 ||
        prefs_batch_begin(store, err) != 0) {
        return -1;
    }
    for (int i = 0; i < TASKS; i++) {
        struct prefs_task task = {0};
        double begin = processor_seconds();
        if (prefs_next_task(store, 1, annotator, &task, err) != 1) {
            return -1;
        }
        times[i] = 1000 * (processor_seconds() - begin);
        struct prefs_judgment judgment = {.assignment = task.assignment, .ranks = {1, 2}, .strength = 1};
        if (getrandom(judgment.nonce, sizeof judgment.nonce, 0) < 0 ||
            prefs_submit(store, annotator, &judgment, &id, err) != 0) {
            return -1;
        }
        prefs_task_free(&task);
    }
    prefs_batch_rollback(store);
    qsort(times, TASKS, sizeof times[0], by_double);
    return report(csv, "million_next_task_p50_processor_ms", times[TASKS / 2], err) != 0 ||
                   report(csv, "million_next_task_p99_processor_ms", times[TASKS * 99 / 100], err) != 0 ||
                   report(csv, "million_next_task_max_processor_ms", times[TASKS - 1], err) != 0
               ? -1
               : 0;
}

static int bench_pairs(struct prefs *store, const char *csv, struct err *err)
{
    struct prefs_query query = {.project = 1};
    struct prefs_rankings *rankings = NULL;
    struct prefs_pair pair;
    int64_t pairs = 0, bytes = 0;
    double begin = clock_seconds(), processor = processor_seconds();
    int got;
    if (prefs_rankings_open(&rankings, store, &query, err) != 0) {
        return -1;
    }
    while ((got = prefs_rankings_next_pair(rankings, &pair, err)) == 1) {
        pairs++;
        bytes += (int64_t)(pair.chosen->length + pair.rejected->length + strlen(pair.ranking->messages));
    }
    prefs_rankings_close(rankings);
    double seconds = clock_seconds() - begin;
    printf("%lld pairs, %lld MB of text\n", (long long)pairs, (long long)(bytes >> 20));
    return got < 0 || report(csv, "million_pairs_per_second", (double)pairs / seconds, err) != 0
               ? -1
               : report(csv, "million_pairs_per_processor_second", (double)pairs / (processor_seconds() - processor),
                        err);
}

static int bench_report(struct prefs *store, const char *csv, struct err *err)
{
    struct report *figures = NULL;
    double begin = clock_seconds(), processor = processor_seconds();
    if (report_make(&figures, store, 1, err) != 0) {
        return -1;
    }
    double seconds = clock_seconds() - begin;
    printf("%lld judgments, %zu models\n", (long long)figures->judgments, figures->model_count);
    report_free(figures);
    return report(csv, "million_stats_s", seconds, err) != 0
               ? -1
               : report(csv, "million_stats_processor_s", processor_seconds() - processor, err);
}

static int bench_disk(struct prefs *store, const char *csv, struct err *err)
{
    double begin = clock_seconds();
    for (int i = 0; i < COMMITS; i++) {
        if (prefs_add_score(store, "disk", 1, i, err) != 0) {
            return -1;
        }
    }
    return report(csv, "disk_commits_per_second", COMMITS / (clock_seconds() - begin), err);
}

static int bench(const char *path, const char *csv, int64_t comparisons, struct err *err)
{
    struct prefs *store = NULL;
    if (prefs_create(path, err) != 0 || prefs_open(&store, path, PREFS_WRITE, err) != 0) {
        return -1;
    }
    double begin = clock_seconds();
    int result = fill(store, comparisons, err) != 0 ||
                         report(csv, "million_fill_s", clock_seconds() - begin, err) != 0 ||
                         bench_tasks(store, csv, err) != 0 || bench_report(store, csv, err) != 0 ||
                         bench_pairs(store, csv, err) != 0 || bench_disk(store, csv, err) != 0
                     ? -1
                     : 0;
    prefs_close(store);
    return result;
}

int main(int argc, char **argv)
{
    struct err err = {""};
    const char *folder = getenv("ATTUNE_BENCH_FOLDER");
    char path[256];
    snprintf(path, sizeof path, "%s/attune-bench-prefs-XXXXXX.db", folder != NULL ? folder : "/tmp");
    if (argc < 2 || argc > 3 || getenv("ATTUNE_DATE") == NULL || getenv("ATTUNE_MACHINE") == NULL) {
        fprintf(stderr, "run tests/bench/prefs.sh\n");
        return 2;
    }
    int made = mkstemps(path, 3);
    if (made < 0 || close(made) != 0 || unlink(path) != 0) {
        fprintf(stderr, "cannot make the file %s\n", path);
        return 1;
    }
    int result = bench(path, argv[1], argc == 3 ? strtoll(argv[2], NULL, 10) : COMPARISONS, &err);
    unlink(path);
    if (result != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
