#include "commands/data_show.h"

#include <string.h>

/* What show_one() needs of one call. */
struct shown_examples {
    const struct sft_data *data;
    const struct dataset *dataset;
    const struct data_options *options;
};

static int put_json(struct strbuf *out, const struct sft_data *data, const struct example *example, const char *path,
                    struct err *err)
{
    strbuf_puts(out, "{\"path\":");
    strbuf_put_json(out, path, strlen(path));
    strbuf_printf(out, ",\"line\":%lld,\"truncated\":%s,\"text\":", (long long)example->line,
                  example->truncated ? "true" : "false");
    int result = data_put_json_text(out, data->text.tokenizer, example->ids, example->length, err);
    strbuf_puts(out, ",\"ids\":");
    data_put_json_ids(out, example->ids, example->length);
    strbuf_puts(out, ",\"trained\":[");
    for (int32_t i = 0; i < example->length; i++) {
        strbuf_printf(out, "%s%d", i > 0 ? "," : "", example->trained[i]);
    }
    strbuf_puts(out, "]}\n");
    return result;
}

static void put_heading(struct strbuf *out, size_t number, const struct example *example, const char *path)
{
    strbuf_printf(out, "--- example %zu: %s:%lld, %d tokens, %d of them learned%s\n", number, path,
                  (long long)example->line, example->length, example->trained_count,
                  example->truncated ? ", cut to max_length" : "");
}

static const char *path_of(const struct sft_data *data, const struct dataset *dataset, const struct example *example)
{
    /* Held-out examples of eval_split come from the files of the training data. */
    const struct dataset *origin = dataset->source_count > 0 ? dataset : data->train;
    return origin->sources[example->source].path;
}

static int show_one(const void *context, size_t i, struct strbuf *out, struct err *err)
{
    const struct shown_examples *showing = context;
    const struct example *example = &showing->dataset->examples[i];
    const char *path = path_of(showing->data, showing->dataset, example);
    if (showing->options->json) {
        return put_json(out, showing->data, example, path, err);
    }
    put_heading(out, i + 1, example, path);
    const struct data_tokens tokens = {.ids = example->ids, .marks = example->trained, .count = example->length};
    return data_put_tokens(out, showing->data->text.tokenizer, &tokens, showing->options->tokens, err);
}

int data_show(const struct sft_data *data, const struct data_options *options, struct err *err)
{
    const struct shown_examples showing = {data, options->eval ? data->eval : data->train, options};
    if (!showing.dataset) {
        return err_set(err, "the recipe has no evaluation data: set eval_dataset or eval_split, or leave --eval out");
    }
    return data_show_each(options, showing.dataset->count, "examples", &showing, show_one, err);
}
