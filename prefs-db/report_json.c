/* A report as JSON, for the overview page and for scripts. */
#include "prefs-db/report.h"

#include <math.h>
#include <string.h>

static void put_number(struct strbuf *out, const char *name, double value)
{
    strbuf_printf(out, "\"%s\":", name);
    if (isfinite(value)) {
        strbuf_printf(out, "%.6g", value);
    } else {
        strbuf_puts(out, "null");
    }
}

static void put_share(struct strbuf *out, const char *name, struct measure_share share)
{
    double low, high;
    measure_wilson(share, &low, &high);
    strbuf_printf(out, "\"%s\":{\"hits\":%lld,\"trials\":%lld,", name, (long long)share.hits, (long long)share.trials);
    put_number(out, "share", share.trials == 0 ? NAN : (double)share.hits / (double)share.trials);
    strbuf_putc(out, ',');
    put_number(out, "low", low);
    strbuf_putc(out, ',');
    put_number(out, "high", high);
    strbuf_putc(out, '}');
}

static void put_annotator(struct strbuf *out, const struct report_annotator *person)
{
    strbuf_puts(out, "{\"handle\":");
    strbuf_put_json(out, person->handle, strlen(person->handle));
    strbuf_printf(out, ",\"imported\":%s,\"judged\":%lld,\"skipped\":%lld,\"flagged\":%lld,\"leased\":%lld,",
                  person->imported ? "true" : "false", (long long)person->judged, (long long)person->skipped,
                  (long long)person->flagged, (long long)person->leased);
    put_share(out, "rest", person->rest);
    strbuf_putc(out, ',');
    put_share(out, "gold", person->gold);
    strbuf_putc(out, ',');
    put_share(out, "self", person->self);
    strbuf_putc(out, ',');
    put_number(out, "median_seconds", person->median_seconds);
    strbuf_putc(out, '}');
}

static void put_model(struct strbuf *out, const struct report_model *model)
{
    strbuf_puts(out, "{\"name\":");
    strbuf_put_json(out, model->name, strlen(model->name));
    strbuf_putc(out, ',');
    put_number(out, "comparisons", model->comparisons);
    strbuf_putc(out, ',');
    put_number(out, "wins", model->wins);
    strbuf_putc(out, ',');
    put_number(out, "strength", model->strength);
    strbuf_putc(out, ',');
    put_number(out, "low", model->low);
    strbuf_putc(out, ',');
    put_number(out, "high", model->high);
    strbuf_putc(out, '}');
}

void report_json(struct strbuf *out, const struct report *report)
{
    strbuf_printf(out,
                  "{\"items\":{\"open\":%lld,\"done\":%lld,\"closed\":%lld,\"gold\":%lld},\"judgments\":%lld,\"pairs\":"
                  "%lld,\"ties\":%lld,"
                  "\"imports\":%lld,\"annotators\":[",
                  (long long)report->items_open, (long long)report->items_done, (long long)report->items_closed,
                  (long long)report->gold_items, (long long)report->judgments, (long long)report->pairs,
                  (long long)report->ties, (long long)report->imports);
    for (size_t i = 0; i < report->annotator_count; i++) {
        strbuf_puts(out, i > 0 ? "," : "");
        put_annotator(out, &report->annotators[i]);
    }
    strbuf_puts(out, "],");
    put_share(out, "agreement", report->agreement);
    strbuf_putc(out, ',');
    put_share(out, "decided_agreement", report->decided_agreement);
    strbuf_putc(out, ',');
    put_number(out, "alpha", report->alpha);
    strbuf_puts(out, ",\"kappas\":[");
    for (size_t i = 0; i < report->kappa_count; i++) {
        const struct report_kappa *kappa = &report->kappas[i];
        const char *first = report->annotators[kappa->first].handle, *second = report->annotators[kappa->second].handle;
        strbuf_puts(out, i > 0 ? ",{\"first\":" : "{\"first\":");
        strbuf_put_json(out, first, strlen(first));
        strbuf_puts(out, ",\"second\":");
        strbuf_put_json(out, second, strlen(second));
        strbuf_printf(out, ",\"units\":%lld,", (long long)kappa->units);
        put_number(out, "kappa", kappa->kappa);
        strbuf_putc(out, '}');
    }
    strbuf_puts(out, "],");
    put_share(out, "first_wins", report->first_wins);
    strbuf_putc(out, ',');
    put_share(out, "longer_wins", report->longer_wins);
    strbuf_puts(out, ",\"models\":[");
    for (size_t i = 0; i < report->model_count; i++) {
        strbuf_puts(out, i > 0 ? "," : "");
        put_model(out, &report->models[i]);
    }
    strbuf_printf(out, "],\"models_left_out\":%lld}", (long long)report->models_left_out);
}
