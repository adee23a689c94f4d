#include "commands/data_summary.h"

#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BINS_MOST   16
#define BAR_COLUMNS 50

/* Examples by length: bin i counts those of i * width + 1 .. (i + 1) * width tokens. */
struct histogram {
    int32_t width;
    size_t bins;
    int64_t counts[BINS_MOST];
};

/* Bins as wide as 1, 2 or 5 times a power of ten. */
static struct histogram histogram_of(const struct dataset *dataset)
{
    struct histogram histogram = {.width = 1};
    static const int32_t steps[] = {2, 5, 10};
    for (int32_t power = 1, i = 0; dataset->longest > (int64_t)histogram.width * BINS_MOST; i = (i + 1) % 3) {
        histogram.width = power * steps[i];
        power *= i == 2 ? 10 : 1;
    }
    for (size_t i = 0; i < dataset->count; i++) {
        size_t bin = (size_t)((dataset->examples[i].length - 1) / histogram.width);
        histogram.counts[bin]++;
        histogram.bins = bin + 1 > histogram.bins ? bin + 1 : histogram.bins;
    }
    return histogram;
}

static bool takes_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
    }
    return false;
}

/* A bar in eighths of a column, or in whole ones where only ASCII can be printed. */
static void print_bar(double columns, bool utf8)
{
    int whole = (int)columns, eighths = (int)((columns - whole) * 8);
    for (int i = 0; i < whole; i++) {
        fputs(utf8 ? "█" : "#", stdout);
    }
    if (utf8 && eighths > 0) {
        static const char *const parts[] = {"▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        fputs(parts[eighths - 1], stdout);
    } else if (whole == 0 && columns > 0) {
        fputs(utf8 ? "▏" : "#", stdout);
    }
}

static void print_histogram(const struct dataset *dataset)
{
    struct histogram histogram = histogram_of(dataset);
    bool utf8 = takes_utf8();
    int64_t most = 1;
    for (size_t i = 0; i < histogram.bins; i++) {
        most = histogram.counts[i] > most ? histogram.counts[i] : most;
    }
    printf("\n  tokens             examples\n");
    for (size_t i = 0; i < histogram.bins; i++) {
        printf("  %7lld .. %-7lld %7lld  ", (long long)i * histogram.width + 1, (long long)(i + 1) * histogram.width,
               (long long)histogram.counts[i]);
        print_bar(BAR_COLUMNS * (double)histogram.counts[i] / (double)most, utf8);
        putchar('\n');
    }
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void print_sources(const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->source_count; i++) {
        const struct dataset_report *source = &dataset->sources[i];
        printf("  %s: %lld read, %zu examples\n", source->sentence, (long long)source->counts.read, source->examples);
        if (source->counts.bad > 0) {
            printf("    %lld bad records skipped; the first: %s\n", (long long)source->counts.bad, source->first_bad);
        }
    }
}

static void print_count(int64_t count, const char *what)
{
    if (count > 0) {
        printf("  %lld %s\n", (long long)count, what);
    }
}

static void print_dataset(const struct dataset *dataset, const char *title)
{
    const struct dataset_counts *counts = &dataset->counts;
    printf("%s\n", title);
    print_sources(dataset);
    printf("  %zu examples, %lld tokens, %lld of them learned (%.1f %%), the longest has %d\n", dataset->count,
           (long long)dataset->tokens, (long long)dataset->trained_tokens,
           percent((double)dataset->trained_tokens, (double)dataset->tokens), dataset->longest);
    print_count(counts->truncated, "are cut to max_length");
    print_count(counts->cut_turns, "of those have lost the end of an answer: the model would not learn to stop there");
    print_count(counts->dropped, "are too long and left out");
    print_count(counts->untrained, "have nothing to learn and are left out");
    print_histogram(dataset);
    putchar('\n');
}

static const char *template_name(const struct sft_data *data)
{
    if (data->recipe->chat_template) {
        return data->recipe->chat_template;
    }
    if (data->text.chat) {
        return "the model's own";
    }
    return data->train->alpaca_template ? "alpaca, built in, since the model has none" : "none";
}

struct packing {
    int64_t rows;
    double fill;  /* share of the rows' tokens that are used */
    int32_t most; /* examples in a row */
};

/* What packing makes, or would make, of the training data. */
static int packing_of(struct packing *packing, const struct sft_data *data, struct err *err)
{
    int32_t max_length = (int32_t)data->recipe->max_length;
    struct packed_rows packed;
    if (packed_rows_fill(&packed, data->train->examples, NULL, data->train->count, max_length, err) != 0) {
        return -1;
    }
    packing->rows = packed.rows;
    packing->fill = (double)packed.tokens / ((double)packed.rows * max_length);
    packing->most = packed.most;
    packed_rows_free(&packed);
    return 0;
}

static void print_steps(const struct sft_data *data, const struct packing *packing)
{
    const struct recipe *recipe = data->recipe;
    printf("training\n  chat template: %s\n", template_name(data));
    printf("  %s %lld rows of %lld tokens, %.1f %% full, up to %d examples each\n",
           recipe->packing ? "packed into" : "packing: true would make", (long long)packing->rows,
           (long long)recipe->max_length, 100 * packing->fill, packing->most);
    printf("  %.1f examples and %.0f tokens per optimizer step, %lld steps an epoch, %lld in all\n",
           (double)data->train->count / (double)data->steps_per_epoch,
           (double)data->train->tokens / (double)data->steps_per_epoch, (long long)data->steps_per_epoch,
           (long long)data->total_steps);
}

int data_summary_print(const struct sft_data *data, struct err *err)
{
    struct packing packing;
    if (packing_of(&packing, data, err) != 0) {
        return -1;
    }
    print_dataset(data->train, "dataset");
    if (data->eval) {
        print_dataset(data->eval, data->eval->source_count > 0 ? "eval_dataset" : "eval_split, held back from dataset");
    }
    print_steps(data, &packing);
    return 0;
}

static json_t *counts_json(const struct dataset_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "read", (json_int_t)counts->read, "bad", (json_int_t)counts->bad,
                     "truncated", (json_int_t)counts->truncated, "cut_turns", (json_int_t)counts->cut_turns, "dropped",
                     (json_int_t)counts->dropped, "untrained", (json_int_t)counts->untrained);
}

static json_t *histogram_json(const struct dataset *dataset)
{
    struct histogram histogram = histogram_of(dataset);
    json_t *list = json_array();
    for (size_t i = 0; i < histogram.bins; i++) {
        json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "from", (json_int_t)i * histogram.width + 1, "to",
                                              (json_int_t)(i + 1) * histogram.width, "examples",
                                              (json_int_t)histogram.counts[i]));
    }
    return list;
}

static json_t *sources_json(const struct dataset *dataset)
{
    json_t *list = json_array();
    for (size_t i = 0; i < dataset->source_count; i++) {
        const struct dataset_report *source = &dataset->sources[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s?, s:o}", "path", source->path, "format",
                                              source->format, "examples", (json_int_t)source->examples, "first_bad",
                                              source->first_bad, "counts", counts_json(&source->counts)));
    }
    return list;
}

static json_t *dataset_json(const struct dataset *dataset)
{
    return json_pack("{s:I, s:I, s:I, s:i, s:o, s:o, s:o}", "examples", (json_int_t)dataset->count, "tokens",
                     (json_int_t)dataset->tokens, "trained_tokens", (json_int_t)dataset->trained_tokens, "longest",
                     (int)dataset->longest, "counts", counts_json(&dataset->counts), "histogram",
                     histogram_json(dataset), "sources", sources_json(dataset));
}

int data_summary_json(const struct sft_data *data, struct err *err)
{
    struct packing packing;
    if (packing_of(&packing, data, err) != 0) {
        return -1;
    }
    json_t *summary =
        json_pack("{s:o, s:o, s:s, s:{s:b, s:I, s:f, s:i}, s:I, s:I}", "dataset", dataset_json(data->train), "eval",
                  data->eval ? dataset_json(data->eval) : json_null(), "chat_template", template_name(data), "packing",
                  "used", (int)data->recipe->packing, "rows", (json_int_t)packing.rows, "fill", packing.fill,
                  "examples_in_a_row", (int)packing.most, "steps_per_epoch", (json_int_t)data->steps_per_epoch,
                  "total_steps", (json_int_t)data->total_steps);
    char *text = summary ? json_dumps(summary, JSON_INDENT(2)) : NULL;
    json_decref(summary);
    if (!text) {
        return err_set(err, "out of memory while writing the summary");
    }
    puts(text);
    mem_free(text);
    return 0;
}
