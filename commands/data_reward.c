#include "commands/data_reward.h"
#include "commands/data_lengths.h"
#include "reward/data.h"

#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the summary ---- */

/* What was read and is not in the rankings, or not as it was; in the order in which it is told. */
static const struct {
    const char *key, *what;
    size_t offset;
} left_out[] = {
    {"one_answer", "judgments with fewer than two ranked answers are left out",
     offsetof(struct ranking_counts, one_answer)},
    {"unranked_answers", "answers that nobody ranked are left out", offsetof(struct ranking_counts, unranked_answers)},
    {"unpaired_thumbs", "thumbs without a counterpart are left out", offsetof(struct ranking_counts, unpaired_thumbs)},
    {"all_ties", "rankings of ties alone are left out", offsetof(struct ranking_counts, all_ties)},
    {"too_long_answers", "answers are too long for max_length and left out",
     offsetof(struct ranking_counts, too_long_answers)},
    {"too_long", "rankings have fewer than two answers for that, and are left out",
     offsetof(struct ranking_counts, too_long)},
    {"duplicates", "rankings are there twice and are left out", offsetof(struct ranking_counts, duplicates)},
    {"weightless", "rankings whose annotators agree on nothing are left out",
     offsetof(struct ranking_counts, weightless)},
    {"truncated", "rankings have lost the beginning of their prompt", offsetof(struct ranking_counts, truncated)},
    {"without_margin", "rankings have no margin and are trained without",
     offsetof(struct ranking_counts, without_margin)},
};

static int64_t count_at(const struct ranking_counts *counts, size_t offset)
{
    int64_t count;
    memcpy(&count, (const char *)counts + offset, sizeof count);
    return count;
}

/* Tokens of every answer with its prompt. */
static struct data_lengths lengths_of(const struct ranking_set *set)
{
    struct data_lengths lengths = data_lengths_for(set->longest);
    for (size_t i = 0; i < set->count; i++) {
        for (int32_t k = 0; k < set->rankings[i].family.count; k++) {
            data_lengths_add(&lengths, family_length(&set->rankings[i].family, k));
        }
    }
    return lengths;
}

/* Rankings by their number of answers: "2 answers: 150, 4 answers: 12". */
static void print_sizes(const struct ranking_set *set)
{
    int64_t sizes[RANKING_ANSWERS_MAX + 1] = {0};
    const char *comma = "  ";
    for (size_t i = 0; i < set->count; i++) {
        sizes[set->rankings[i].family.count]++;
    }
    for (int count = 0; count <= RANKING_ANSWERS_MAX; count++) {
        if (sizes[count] > 0) {
            printf("%s%lld of %d answers", comma, (long long)sizes[count], count);
            comma = ", ";
        }
    }
    putchar('\n');
}

static void print_sources(const struct ranking_set *set)
{
    for (size_t i = 0; i < set->source_count; i++) {
        const struct ranking_source *source = &set->sources[i];
        printf("  %s: %lld read\n", source->sentence, (long long)source->counts.read);
        if (source->counts.bad > 0) {
            printf("    %lld bad records skipped; the first: %s\n", (long long)source->counts.bad, source->first_bad);
        }
    }
}

static void print_set(const struct ranking_set *set, const char *title)
{
    printf("%s\n", title);
    print_sources(set);
    printf("  %zu rankings of %lld prompts: %lld answers, %lld pairs, %lld ties\n", set->count, (long long)set->prompts,
           (long long)set->answers, (long long)set->pairs, (long long)set->ties);
    print_sizes(set);
    printf("  %lld tokens, %lld if prompts were not shared; the longest conversation has %d\n", (long long)set->tokens,
           (long long)set->unshared_tokens, set->longest);
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++) {
        data_print_count(count_at(&set->counts, left_out[i].offset), left_out[i].what);
    }
    if (set->contradicted_pairs > 0) {
        printf(
            "  %lld pairs of answers were put into both orders: no scorer can be right on more than %.1f %% of all\n",
            (long long)set->contradicted_pairs, 100 * set->best_accuracy);
    }
    const struct data_lengths lengths = lengths_of(set);
    data_lengths_print(&lengths, "answers");
    putchar('\n');
}

static void print_summary(const struct reward_data *data)
{
    print_set(data->train, "dataset");
    if (data->eval) {
        print_set(data->eval,
                  data->recipe->eval_dataset.count > 0 ? "eval_dataset" : "eval_split, held back from dataset");
    }
    printf("training\n  chat template: %s\n", data_template_name(data->recipe, &data->text));
    printf("  %.1f rankings and %.0f tokens per optimizer step, %lld steps an epoch, %lld in all\n",
           (double)data->train->count / (double)data->order.steps.per_epoch,
           (double)data->train->tokens / (double)data->order.steps.per_epoch, (long long)data->order.steps.per_epoch,
           (long long)data->order.steps.total);
}

static json_t *counts_json(const struct ranking_counts *counts)
{
    json_t *object = json_pack("{s:I, s:I, s:I}", "read", (json_int_t)counts->read, "bad", (json_int_t)counts->bad,
                               "thumbs", (json_int_t)counts->thumbs);
    for (size_t i = 0; object && i < sizeof left_out / sizeof *left_out; i++) {
        json_object_set_new(object, left_out[i].key, json_integer(count_at(counts, left_out[i].offset)));
    }
    return object;
}

static json_t *set_json(const struct ranking_set *set)
{
    const struct data_lengths lengths = lengths_of(set);
    json_t *sources = json_array();
    for (size_t i = 0; i < set->source_count; i++) {
        const struct ranking_source *source = &set->sources[i];
        json_array_append_new(sources,
                              json_pack("{s:s, s:s, s:s?, s:o}", "path", source->path, "what", source->sentence,
                                        "first_bad", source->first_bad, "counts", counts_json(&source->counts)));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:f, s:o, s:o, s:o}", "rankings",
                     (json_int_t)set->count, "prompts", (json_int_t)set->prompts, "answers", (json_int_t)set->answers,
                     "pairs", (json_int_t)set->pairs, "ties", (json_int_t)set->ties, "tokens", (json_int_t)set->tokens,
                     "unshared_tokens", (json_int_t)set->unshared_tokens, "longest", (int)set->longest,
                     "contradicted_pairs", (json_int_t)set->contradicted_pairs, "best_accuracy", set->best_accuracy,
                     "counts", counts_json(&set->counts), "histogram", data_lengths_json(&lengths, "answers"),
                     "sources", sources);
}

static int print_summary_json(const struct reward_data *data, struct err *err)
{
    return data_print_json(json_pack("{s:s, s:o, s:o, s:s, s:I, s:I}", "stage", "reward", "dataset",
                                     set_json(data->train), "eval", data->eval ? set_json(data->eval) : json_null(),
                                     "chat_template", data_template_name(data->recipe, &data->text), "steps_per_epoch",
                                     (json_int_t)data->order.steps.per_epoch, "total_steps",
                                     (json_int_t)data->order.steps.total),
                           err);
}

/* ---- rankings ---- */

struct shown_rankings {
    const struct reward_data *data;
    const struct ranking_set *set;
    const struct data_options *options;
};

static const char *path_of(const struct shown_rankings *showing, const struct ranking *ranking)
{
    /* What was held back comes from the entries of the training data. */
    const struct ranking_set *origin = showing->set->source_count > 0 ? showing->set : showing->data->train;
    return origin->sources[ranking->source].path;
}

static void put_heading(struct strbuf *out, size_t number, const struct shown_rankings *showing,
                        const struct ranking *ranking)
{
    const struct family *family = &ranking->family;
    strbuf_printf(out, "--- ranking %zu: %s:%lld, %d answers of ranks", number, path_of(showing, ranking),
                  (long long)ranking->place, family->count);
    for (int32_t k = 0; k < family->count; k++) {
        strbuf_printf(out, " %d", ranking->ranks[k]);
    }
    if (ranking->annotator) {
        strbuf_printf(out, " by %s", ranking->annotator);
    }
    strbuf_printf(out, ", %d tokens that all begin with", family->shared);
    if (family->cut > 0) {
        strbuf_printf(out, " (%d before them were cut off)", family->cut);
    }
    if (!isnan(ranking->agreement)) {
        strbuf_printf(out, ", agreement %.2f", ranking->agreement);
    }
    strbuf_putc(out, '\n');
}

/* An answer's own tokens, of which the last is marked. */
static int put_answer(struct strbuf *out, const struct shown_rankings *showing, const struct ranking *ranking,
                      int32_t answer, struct err *err)
{
    const struct family *family = &ranking->family;
    int32_t start = family->starts[answer], count = family->starts[answer + 1] - start;
    uint8_t *marks = mem_alloc((size_t)count, 1, err);
    if (!marks) {
        return -1;
    }
    marks[count - 1] = 1;
    strbuf_printf(out, "--- rank %d, %d tokens", ranking->ranks[answer], family_length(family, answer));
    if (ranking->levels) {
        strbuf_printf(out, ", level %g", (double)ranking->levels[answer]);
    }
    strbuf_puts(out, "; the score is read at the marked one\n");
    const struct data_tokens tokens = {family->ids + start, marks, count, family->shared};
    int result = data_put_tokens(out, showing->data->text.tokenizer, &tokens, showing->options->tokens, err);
    mem_free(marks);
    return result;
}

static int put_json(struct strbuf *out, const struct shown_rankings *showing, const struct ranking *ranking,
                    struct err *err)
{
    const struct family *family = &ranking->family;
    const struct tokenizer *tokenizer = showing->data->text.tokenizer;
    const char *path = path_of(showing, ranking);
    strbuf_puts(out, "{\"path\":");
    strbuf_put_json(out, path, strlen(path));
    strbuf_printf(out, ",\"place\":%lld,\"cut\":%d,\"shared\":{\"text\":", (long long)ranking->place, family->cut);
    int result = data_put_json_text(out, tokenizer, family->ids, family->shared, err);
    strbuf_puts(out, ",\"ids\":");
    data_put_json_ids(out, family->ids, family->shared);
    strbuf_puts(out, "},\"answers\":[");
    for (int32_t k = 0; k < family->count && result == 0; k++) {
        int32_t start = family->starts[k], count = family->starts[k + 1] - start;
        strbuf_printf(out, "%s{\"rank\":%d,\"read_at\":%d,\"text\":", k > 0 ? "," : "", ranking->ranks[k],
                      family_length(family, k) - 1);
        result = data_put_json_text(out, tokenizer, family->ids + start, count, err);
        strbuf_puts(out, ",\"ids\":");
        data_put_json_ids(out, family->ids + start, count);
        strbuf_putc(out, '}');
    }
    strbuf_puts(out, "]}\n");
    return result;
}

static int show_one(const void *context, size_t i, struct strbuf *out, struct err *err)
{
    const struct shown_rankings *showing = context;
    const struct ranking *ranking = &showing->set->rankings[i];
    if (showing->options->json) {
        return put_json(out, showing, ranking, err);
    }
    put_heading(out, i + 1, showing, ranking);
    const struct data_tokens shared = {.ids = ranking->family.ids, .count = ranking->family.shared};
    int result = data_put_tokens(out, showing->data->text.tokenizer, &shared, showing->options->tokens, err);
    for (int32_t k = 0; k < ranking->family.count && result == 0; k++) {
        result = put_answer(out, showing, ranking, k, err);
    }
    return result;
}

static int show(const struct reward_data *data, const struct data_options *options, struct err *err)
{
    const struct shown_rankings showing = {data, options->eval ? data->eval : data->train, options};
    if (!showing.set) {
        return err_set(err, "the recipe has no evaluation data: set eval_dataset or eval_split, or leave --eval out");
    }
    return data_show_each(options, showing.set->count, "rankings", &showing, show_one, err);
}

int data_reward(const struct recipe *recipe, const struct data_options *options, struct err *err)
{
    struct reward_data data;
    if (reward_data_open(&data, recipe, err) != 0) {
        return -1;
    }
    int result = 0;
    if (options->show > 0) {
        result = show(&data, options, err);
    } else if (options->json) {
        result = print_summary_json(&data, err);
    } else {
        print_summary(&data);
    }
    reward_data_close(&data);
    return result;
}
