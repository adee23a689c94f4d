/* attune prefs stats: the report as text or JSON. */
#include "base/args.h"
#include "commands/prefs/command.h"
#include "prefs-db/report.h"

#include <math.h>
#include <stdio.h>

#define BAR_WIDTH 24

static void print_share(const char *name, struct measure_share share)
{
    double low, high;
    measure_wilson(share, &low, &high);
    if (share.trials == 0) {
        printf("  %-34s -\n", name);
    } else {
        printf("  %-34s %5.1f %%  (%.1f to %.1f, n = %lld)\n", name, 100.0 * (double)share.hits / (double)share.trials,
               100 * low, 100 * high, (long long)share.trials);
    }
}

static const char *percent(char text[16], struct measure_share share)
{
    snprintf(text, 16, share.trials == 0 ? "-" : "%.1f",
             share.trials == 0 ? 0 : 100.0 * (double)share.hits / (double)share.trials);
    return text;
}

static void print_annotators(const struct report *report)
{
    printf("\n%-24s %8s %8s %8s %9s %7s %7s %7s\n", "annotator", "judged", "skipped", "flagged", "median s", "rest %",
           "gold %", "self %");
    for (size_t i = 0; i < report->annotator_count; i++) {
        const struct report_annotator *person = &report->annotators[i];
        char rest[16], gold[16], self[16], seconds[16];
        snprintf(seconds, sizeof seconds, isnan(person->median_seconds) ? "-" : "%.1f", person->median_seconds);
        printf("%-24s %8lld %8lld %8lld %9s %7s %7s %7s\n", person->handle, (long long)person->judged,
               (long long)person->skipped, (long long)person->flagged, seconds, percent(rest, person->rest),
               percent(gold, person->gold), percent(self, person->self));
    }
}

static void print_models(const struct report *report)
{
    double low = 0, high = 0;
    for (size_t i = 0; i < report->model_count; i++) {
        low = fmin(low, report->models[i].low);
        high = fmax(high, report->models[i].high);
    }
    printf("\n%-32s %11s %7s %9s  %s\n", "model", "comparisons", "wins %", "strength", "95 % interval");
    for (size_t i = 0; i < report->model_count; i++) {
        const struct report_model *model = &report->models[i];
        char bar[BAR_WIDTH + 2] = "";
        for (int c = 0; c <= BAR_WIDTH; c++) {
            double at = low + (high - low) * c / BAR_WIDTH, step = (high - low) / BAR_WIDTH;
            bar[c] = fabs(at - model->strength) <= step / 2                        ? '*'
                     : at >= model->low - step / 2 && at <= model->high + step / 2 ? '-'
                                                                                   : ' ';
        }
        printf("%-32s %11.0f %7.1f %9.3f  %7.3f %s %.3f\n", model->name, model->comparisons,
               100 * model->wins / model->comparisons, model->strength, model->low, bar, model->high);
    }
    if (report->models_left_out > 0) {
        printf("%lld further models have no line: there may be %d\n", (long long)report->models_left_out,
               MEASURE_MODELS_MAX);
    }
}

static void print_report(const struct report *report)
{
    printf("items: %lld open, %lld done, %lld with labels of their own, %lld gold\n%lld judgments, %lld pairs of "
           "answers, %lld ties\n",
           (long long)report->items_open, (long long)report->items_done, (long long)report->items_closed,
           (long long)report->gold_items, (long long)report->judgments, (long long)report->pairs,
           (long long)report->ties);
    if (report->annotator_count > 0) {
        print_annotators(report);
    }
    printf("\nagreement\n");
    print_share("raw", report->agreement);
    print_share("without ties", report->decided_agreement);
    if (isfinite(report->alpha)) {
        printf("  %-34s %.3f\n", "Krippendorff's alpha (ordinal)", report->alpha);
    }
    for (size_t i = 0; i < report->kappa_count; i++) {
        const struct report_kappa *kappa = &report->kappas[i];
        printf("  Cohen's kappa %.3f  %s, %s (n = %lld)\n", kappa->kappa, report->annotators[kappa->first].handle,
               report->annotators[kappa->second].handle, (long long)kappa->units);
    }
    printf("\nbiases (50 %% is none)\n");
    print_share("the answer shown first wins", report->first_wins);
    print_share("the longer answer wins", report->longer_wins);
    if (report->model_count > 0) {
        print_models(report);
    }
}

int prefs_command_stats(int argc, char **argv)
{
    const char *path = NULL, *project_name = NULL;
    bool json = false;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
    };
    const struct args_option options[] = {
        {.name = "json", .help = "one JSON object", .flag = &json},
        {.name = "project", .argument = "NAME", .help = "the project to report on", .text = &project_name},
    };
    const struct args_command command = {
        .name = "attune prefs stats",
        .summary = "Progress, agreement of annotators with each other and with gold, position and length bias, and the "
                   "Bradley-Terry strengths of the models that wrote the answers.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct prefs *store = NULL;
    struct report *report = NULL;
    int64_t project = 0;
    struct err err;
    status = prefs_open_project(&store, path, PREFS_READ, project_name, &project);
    if (status >= 0) {
        return status;
    }
    int result = report_make(&report, store, project, &err);
    prefs_close(store);
    if (result != 0) {
        return prefs_fail(&err);
    }
    if (json) {
        struct strbuf text = {0};
        report_json(&text, report);
        result = strbuf_check(&text, &err);
        printf("%s\n", strbuf_text(&text));
        strbuf_free(&text);
    } else {
        print_report(report);
    }
    report_free(report);
    return result != 0 ? prefs_fail(&err) : 0;
}
