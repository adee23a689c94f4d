/* rankings/set_report.c - what the user is told of a set of rankings; see set.h. */
#include "base/log.h"
#include "base/strbuf.h"
#include "rankings/set.h"

static void put_count(struct strbuf *text, int64_t count, const char *what)
{
    if (count > 0) {
        strbuf_printf(text, "%s%lld %s", text->length > 0 ? ", " : "", (long long)count, what);
    }
}

static void report_left_out(const struct ranking_counts *counts)
{
    struct strbuf text = {0};
    put_count(&text, counts->one_answer, "judgments with fewer than two ranked answers");
    put_count(&text, counts->unranked_answers, "answers nobody ranked");
    put_count(&text, counts->unpaired_thumbs, "thumbs without a counterpart");
    put_count(&text, counts->all_ties, "rankings of ties alone");
    put_count(&text, counts->too_long_answers, "answers too long for max_length");
    put_count(&text, counts->too_long, "rankings with fewer than two answers for that");
    put_count(&text, counts->duplicates, "rankings that are there twice");
    put_count(&text, counts->weightless, "rankings whose annotators agree on nothing");
    if (text.length > 0) {
        log_info("  left out: %s", strbuf_text(&text));
    }
    strbuf_free(&text);
}

static void report_sources(const struct ranking_set *set, const char *what)
{
    for (size_t i = 0; i < set->source_count; i++) {
        const struct ranking_source *source = &set->sources[i];
        log_info("%s: %s", what, source->sentence);
        if (source->first_bad) {
            log_warn("%lld bad records were skipped; the first: %s", (long long)source->counts.bad, source->first_bad);
        }
    }
    if (set->source_count == 0) {
        log_info("%s: prompts held back", what);
    }
}

void ranking_set_report(const struct ranking_set *set, const char *what)
{
    const struct ranking_counts *counts = &set->counts;
    report_sources(set, what);
    log_info("  %zu rankings of %lld prompts: %lld answers, %lld pairs, %lld ties", set->count, (long long)set->prompts,
             (long long)set->answers, (long long)set->pairs, (long long)set->ties);
    log_info("  %lld tokens, %lld if prompts were not shared (%.1f times as many); the longest conversation has %d",
             (long long)set->tokens, (long long)set->unshared_tokens,
             (double)set->unshared_tokens / (double)set->tokens, set->longest);
    if (counts->thumbs > 0) {
        log_info("  %lld thumbs, those up ranked before those down to the same prompt", (long long)counts->thumbs);
    }
    report_left_out(counts);
    if (counts->truncated > 0) {
        log_info("  %lld rankings lost the beginning of their prompt to max_length", (long long)counts->truncated);
    }
    if (counts->without_margin > 0) {
        log_info("  %lld rankings have no margin and are trained without", (long long)counts->without_margin);
    }
    if (set->contradicted_pairs > 0) {
        log_info(
            "  contradictions: %lld pairs of answers were put into both orders, in %lld rankings; no scorer can be "
            "right on more than %.1f %% of the pairs",
            (long long)set->contradicted_pairs, (long long)set->contradicted, 100 * set->best_accuracy);
    }
}
