/* reward/evaluation_figures.c - see evaluation_figures.h. */
#include "reward/evaluation_figures.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "reward/evaluation_groups.h"
#include <math.h>
#include <string.h>

const struct evaluation *figures_main(const struct figures *figures)
{
    return figures->held_out ? figures->held_out : figures->sample;
}

/* ---- JSON ---- */

static void put_text(struct strbuf *out, const char *text)
{
    strbuf_put_json(out, text, strlen(text));
}

static void put_number(struct strbuf *out, double value)
{
    strbuf_printf(out, isfinite(value) ? "%.6g" : "null", value);
}

/* {"kind": .., "title": .., "text": .. ; the caller goes on with ", ..." and "}". */
static void begin_figure(struct strbuf *out, const char *kind, const char *title, const char *text)
{
    if (out->length > 0 && out->data[out->length - 1] == '}') {
        strbuf_puts(out, ",\n");
    }
    strbuf_printf(out, "{\"kind\": \"%s\", \"title\": ", kind);
    put_text(out, title);
    strbuf_puts(out, ", \"text\": ");
    put_text(out, text);
}

static void put_axes(struct strbuf *out, const char *x, const char *y)
{
    strbuf_puts(out, ", \"x\": ");
    put_text(out, x);
    strbuf_puts(out, ", \"y\": ");
    put_text(out, y);
}

static void begin_series(struct strbuf *out, const char *name, const char *mark)
{
    strbuf_puts(out, "{\"name\": ");
    put_text(out, name);
    strbuf_printf(out, ", \"mark\": \"%s\", \"points\": [", mark);
}

/* Between the members of a list. */
static void put_comma(struct strbuf *out)
{
    if (out->length > 0 && out->data[out->length - 1] != '[') {
        strbuf_puts(out, ", ");
    }
}

/* Frees a text that went into *out; what it lacks for want of memory, *out lacks too. */
static void release(struct strbuf *out, struct strbuf *text)
{
    out->failed |= text->failed;
    strbuf_free(text);
}

/* One bound of each share that has trials: "low": [...]. */
static void put_bounds(struct strbuf *out, const char *name, const struct share *shares, int count, bool high)
{
    strbuf_printf(out, ", \"%s\": [", name);
    for (int i = 0; i < count; i++) {
        if (shares[i].trials > 0) {
            put_comma(out);
            put_number(out, high ? shares[i].high : shares[i].low);
        }
    }
    strbuf_puts(out, "]");
}

/* ---- accuracy ---- */

/* "dev.jsonl (valid)" of an entry. */
static void name_source(struct strbuf *out, const struct recipe_dataset *entry)
{
    const char *slash = strrchr(entry->path, '/');
    strbuf_puts(out, slash && slash[1] ? slash + 1 : entry->path);
    if (entry->split) {
        strbuf_printf(out, " (%s)", entry->split);
    }
}

struct table_row {
    struct strbuf name;
    struct share accuracy;
    double longer; /* accuracy of the longer answer; NaN: not shown */
};

#define ROWS_MAX 64

static int add_rows(struct table_row *rows, int count, const struct figures *figures,
                    const struct evaluation *evaluation, const char *name)
{
    struct evaluation_summary summary;
    if (!evaluation) {
        return count;
    }
    evaluation_measure(evaluation, figures->options, &summary);
    strbuf_puts(&rows[count].name, name);
    rows[count].accuracy = summary.accuracy;
    rows[count++].longer = summary.length_accuracy.value;
    size_t sources = evaluation == figures->held_out ? evaluation->entries->count : 1;
    for (size_t s = 0; sources > 1 && s < sources && count < ROWS_MAX - 1; s++) {
        struct share share = evaluation_of_source(evaluation, (int32_t)s);
        if (share.trials == 0) {
            continue;
        }
        strbuf_puts(&rows[count].name, "  of ");
        name_source(&rows[count].name, &evaluation->entries->items[s]);
        rows[count].accuracy = share;
        rows[count++].longer = NAN;
    }
    return count;
}

/* The sets that have scores, and the entries of the one that was held out. Let go by release_rows(). */
static int make_rows(struct table_row rows[ROWS_MAX], const struct figures *figures)
{
    memset(rows, 0, ROWS_MAX * sizeof *rows);
    int count = add_rows(rows, 0, figures, figures->held_out, "held out");
    return add_rows(rows, count, figures, figures->sample, "of the training");
}

static void release_rows(struct strbuf *out, struct table_row *rows)
{
    for (int r = 0; r < ROWS_MAX; r++) {
        release(out, &rows[r].name);
    }
}

/* What the accuracies come to, in words. */
static void judge(struct strbuf *out, const struct figures *figures)
{
    const struct evaluation *evaluation = figures_main(figures);
    struct evaluation_summary summary;
    evaluation_measure(evaluation, figures->options, &summary);
    if (summary.accuracy.trials == 0) {
        strbuf_puts(out, "No two answers were put in order, so there is nothing to be right about.");
        return;
    }
    double advantage = 100 * summary.advantage.value, half = 100 * MEASURE_NORMAL_97_5 * summary.advantage.error;
    strbuf_printf(
        out,
        "The scores are right in %.1f %% of %lld comparisons on %lld prompts (95 %%: %.1f to %.1f %%), the rule "
        "that the longer answer wins in %.1f %%. ",
        100 * summary.accuracy.value, (long long)summary.accuracy.trials, (long long)summary.accuracy.prompts,
        100 * summary.accuracy.low, 100 * summary.accuracy.high, 100 * summary.length_accuracy.value);
    if (summary.accuracy.prompts > 1) {
        strbuf_printf(out, "The scores are %.1f points %s (95 %%: %+.1f to %+.1f)%s. ", fabs(advantage),
                      advantage < 0 ? "worse" : "better", advantage - half, advantage + half,
                      fabs(advantage) <= half ? ", which may be chance" : "");
    }
    if (evaluation->set->best_accuracy < 1) {
        strbuf_printf(out, "People contradict each other: no scorer can be right in more than %.1f %%. ",
                      100 * evaluation->set->best_accuracy);
    }
    if (!figures->held_out) {
        strbuf_puts(out, "Nothing was held out (eval_dataset, eval_split), so this says how well the training answers "
                         "were learned, not how good the scores are. ");
    }
    strbuf_puts(out, "Intervals take prompts as the units, since comparisons of one prompt are not independent.");
}

static void put_accuracies(struct strbuf *out, const struct figures *figures)
{
    struct table_row rows[ROWS_MAX];
    struct strbuf text = {0};
    judge(&text, figures);
    begin_figure(out, "table", "Accuracy", strbuf_text(&text));
    strbuf_puts(out, ", \"columns\": [\"rankings\", \"prompts\", \"comparisons\", \"accuracy\", \"95 % from\", \"to\", "
                     "\"longer answer\"], \"rows\": [");
    int count = make_rows(rows, figures);
    for (int r = 0; r < count; r++) {
        const struct share *share = &rows[r].accuracy;
        const double numbers[] = {(double)share->prompts, (double)share->trials, share->value, share->low, share->high,
                                  rows[r].longer};
        put_comma(out);
        strbuf_puts(out, "[");
        put_text(out, strbuf_text(&rows[r].name));
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            strbuf_puts(out, ", ");
            put_number(out, numbers[n]);
        }
        strbuf_puts(out, "]");
    }
    strbuf_puts(out, "]}");
    release_rows(out, rows);
    release(out, &text);
}

static void put_grouping(struct strbuf *out, const struct grouping *grouping, const struct evaluation *evaluation)
{
    struct share shares[GROUPS_MAX];
    if (grouping_measure(grouping, evaluation, shares) < 2) {
        return;
    }
    begin_figure(out, "chart", grouping->title, grouping->text);
    put_axes(out, "", "accuracy");
    strbuf_puts(out, ", \"series\": [");
    begin_series(out, "accuracy", "bars");
    for (int g = 0; g < grouping->count; g++) {
        if (shares[g].trials > 0) {
            char name[80];
            snprintf(name, sizeof name, "%s: %lld", grouping->names[g], (long long)shares[g].trials);
            put_comma(out);
            strbuf_puts(out, "[");
            put_text(out, name);
            strbuf_puts(out, ", ");
            put_number(out, shares[g].value);
            strbuf_puts(out, "]");
        }
    }
    strbuf_puts(out, "]");
    put_bounds(out, "low", shares, grouping->count, false);
    put_bounds(out, "high", shares, grouping->count, true);
    strbuf_puts(out, "}]}");
}

/* ---- calibration, scores, what they go along with ---- */

static void put_calibration(struct strbuf *out, const struct evaluation *evaluation)
{
    struct calibration calibration;
    char text[512];
    calibration_measure(evaluation, &calibration);
    if (isnan(calibration.error)) {
        return;
    }
    snprintf(text, sizeof text,
             "The sigmoid of a margin is how sure the scores are of their favourite; the points are how often the "
             "favourite was preferred. On the line both are the same; they are %.3f apart on average. This is about "
             "scores as they were trained, before normalize_scores.",
             calibration.error);
    begin_figure(out, "chart", "Calibration", text);
    put_axes(out, "sigmoid of the margin", "share preferred");
    strbuf_puts(out, ", \"series\": [");
    begin_series(out, "sure and right alike", "line");
    strbuf_puts(out, "[0.5, 0.5], [1, 1]]}, ");
    begin_series(out, "observed", "points");
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        if (calibration.observed[b].trials > 0) {
            put_comma(out);
            strbuf_printf(out, "[%.6g, %.6g]", calibration.predicted[b], calibration.observed[b].value);
        }
    }
    strbuf_puts(out, "]");
    put_bounds(out, "low", calibration.observed, CALIBRATION_BINS, false);
    put_bounds(out, "high", calibration.observed, CALIBRATION_BINS, true);
    strbuf_puts(out, "}]}");
}

static void put_histogram_series(struct strbuf *out, const char *name, const struct histogram *histogram,
                                 const int64_t *counts)
{
    begin_series(out, name, "bars");
    for (int b = 0; b < HISTOGRAM_BINS; b++) {
        put_comma(out);
        strbuf_printf(out, "[%.6g, %lld]", histogram->least + (b + 0.5) * histogram->width, (long long)counts[b]);
    }
    strbuf_puts(out, "]}");
}

static void put_histogram(struct strbuf *out, const struct figures *figures, const struct evaluation_summary *summary)
{
    struct histogram histogram;
    struct strbuf text = {0};
    if (!isfinite(summary->deviation)) {
        return;
    }
    histogram_measure(figures_main(figures), summary, &histogram);
    strbuf_printf(
        &text,
        "Scores of the preferred and of the other answer of each comparison. Over the %lld answers their mean "
        "is %.3f and their deviation %.3f",
        (long long)summary->answers, summary->mean, summary->deviation);
    if (figures->gain > 0) {
        strbuf_printf(&text, "; the result's scores are %.4f times these, %+.4f: mean 0 and deviation 1", figures->gain,
                      figures->offset);
    }
    strbuf_puts(&text, ".");
    begin_figure(out, "chart", "Scores", strbuf_text(&text));
    put_axes(out, "score", "answers");
    strbuf_puts(out, ", \"series\": [");
    put_histogram_series(out, "preferred", &histogram, histogram.preferred);
    strbuf_puts(out, ", ");
    put_histogram_series(out, "other", &histogram, histogram.other);
    strbuf_puts(out, "]}");
    release(out, &text);
}

static void put_correlations(struct strbuf *out, const struct evaluation_summary *summary)
{
    const struct {
        const char *what;
        double value;
        int64_t answers;
    } rows[] = {
        {"length, over all answers", summary->with_length, summary->answers},
        {"length, among the answers of a ranking", summary->within_prompt, summary->answers},
        {"position in which the answer was shown", summary->with_position, summary->positions},
    };
    const char *between = "";
    begin_figure(out, "table", "What scores go along with",
                 "Pearson's correlation of the score with the answer's characters, and with its place on the labelling "
                 "page (0 first), where that was recorded. The second row is the one that matters: only answers to the "
                 "same prompt are compared.");
    strbuf_puts(out, ", \"columns\": [\"score with\", \"correlation\", \"answers\"], \"rows\": [");
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        if (rows[r].answers == 0) {
            continue;
        }
        strbuf_puts(out, between);
        strbuf_puts(out, "[");
        put_text(out, rows[r].what);
        strbuf_puts(out, ", ");
        put_number(out, rows[r].value);
        strbuf_printf(out, ", %lld]", (long long)rows[r].answers);
        between = ", ";
    }
    strbuf_puts(out, "]}");
}

/* ---- the worst disagreements ---- */

static void put_disagreement(struct strbuf *out, const struct evaluation *evaluation,
                             const struct comparison *comparison)
{
    const struct ranking *ranking = comparison->ranking;
    struct strbuf heading = {0}, body = {0};
    strbuf_printf(&heading, "%.2f apart: ", -comparison_margin(comparison));
    name_source(&heading, &evaluation->entries->items[ranking->source]);
    strbuf_printf(&heading, ":%lld", (long long)ranking->place);
    if (ranking->annotator) {
        strbuf_printf(&heading, ", by %s", ranking->annotator);
    }
    strbuf_printf(&body, "Prompt\n%s\n\nPreferred, rank %d, score %.3f\n%s\n\nThe other, rank %d, score %.3f\n%s",
                  ranking->prompt, ranking->ranks[comparison->better], comparison->better_score,
                  ranking->texts[comparison->better], ranking->ranks[comparison->worse], comparison->worse_score,
                  ranking->texts[comparison->worse]);
    strbuf_puts(out, "{\"heading\": ");
    put_text(out, strbuf_text(&heading));
    strbuf_puts(out, ", \"body\": ");
    put_text(out, strbuf_text(&body));
    strbuf_puts(out, "}");
    release(out, &heading);
    release(out, &body);
}

static void put_worst(struct strbuf *out, const struct evaluation *evaluation)
{
    struct comparison worst[WORST_MAX];
    int count = worst_find(evaluation, worst);
    if (count == 0) {
        return;
    }
    begin_figure(out, "texts", "Worst disagreements",
                 "The comparisons whose scores contradict the label most, one of each prompt. Some are errors of the "
                 "scorer, some of the label: they are worth reading.");
    strbuf_puts(out, ", \"items\": [");
    for (int i = 0; i < count; i++) {
        put_comma(out);
        put_disagreement(out, evaluation, &worst[i]);
    }
    strbuf_puts(out, "]}");
}

int figures_write(const struct figures *figures, const char *folder, struct err *err)
{
    const struct evaluation *evaluation = figures_main(figures);
    struct evaluation_summary summary;
    struct strbuf list = {0}, out = {0};
    evaluation_measure(evaluation, figures->options, &summary);
    put_accuracies(&list, figures);
    for (int g = 0; g < grouping_count; g++) {
        put_grouping(&list, &groupings[g], evaluation);
    }
    put_calibration(&list, evaluation);
    put_histogram(&list, figures, &summary);
    put_correlations(&list, &summary);
    put_worst(&list, evaluation);
    strbuf_printf(&out, "{\"step\": %lld, \"figures\": [\n%s\n]}\n", (long long)figures->step, strbuf_text(&list));
    char *path = file_join(folder, "figures.json", err);
    int result = path && strbuf_check(&list, err) == 0 && strbuf_check(&out, err) == 0
                     ? file_write_whole(path, out.data, out.length, err)
                     : -1;
    mem_free(path);
    strbuf_free(&list);
    strbuf_free(&out);
    return result;
}

void figures_print(const struct figures *figures)
{
    struct table_row rows[ROWS_MAX];
    struct strbuf text = {0};
    int count = make_rows(rows, figures);
    log_info("%-28s %9s %11s  %8s  %-15s  %13s", "accuracy", "prompts", "comparisons", "", "95 %", "longer answer");
    for (int r = 0; r < count; r++) {
        const struct share *share = &rows[r].accuracy;
        char longer[16] = "";
        if (isfinite(rows[r].longer)) {
            snprintf(longer, sizeof longer, "%.3f", rows[r].longer);
        }
        log_info("%-28s %9lld %11lld  %8.3f  %.3f to %.3f   %13s", strbuf_text(&rows[r].name),
                 (long long)share->prompts, (long long)share->trials, share->value, share->low, share->high, longer);
    }
    judge(&text, figures);
    log_info("%s", strbuf_text(&text));
    release_rows(&text, rows);
    strbuf_free(&text);
}
