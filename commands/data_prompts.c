#include "commands/data_prompts.h"
#include "base/minmax.h"
#include "commands/data_lengths.h"
#include "commands/data_summary.h"
#include "ppo/data.h"
#include "ppo/recipe.h"

#include <stdio.h>
#include <string.h>

/* ---- the summary ---- */

/* What a list came to: the prompts that are used, and those that are not. */
struct prompt_tally {
    struct data_lengths lengths;
    int64_t tokens, dropped, skipped;
    int32_t longest;
};

/* `list` is what was read; NULL where the prompts were held back from another. */
static struct prompt_tally tally_of(const struct ppo_data *data, const struct ppo_prompts *prompts,
                                    const struct prompt_list *list)
{
    struct prompt_tally tally = {0};
    int64_t prompt_tokens = data->recipe->max_length - ppo_keys(data->recipe)->response_length;
    for (size_t i = 0; i < prompts->count; i++) {
        int32_t count = prompts->items[i]->count;
        tally.tokens += count;
        tally.longest = max(tally.longest, count);
    }
    tally.lengths = data_lengths_for(tally.longest);
    for (size_t i = 0; i < prompts->count; i++) {
        data_lengths_add(&tally.lengths, prompts->items[i]->count);
    }
    for (size_t i = 0; list && i < list->count; i++) {
        tally.dropped += list->items[i].count > prompt_tokens;
    }
    tally.skipped = list ? list->skipped : 0;
    return tally;
}

static void print_entries(const struct recipe_datasets *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        printf("  %s\n", entries->items[i].path);
    }
}

static void print_prompts(const struct ppo_data *data, const struct ppo_prompts *prompts,
                          const struct prompt_list *list, const char *title)
{
    const struct prompt_tally tally = tally_of(data, prompts, list);
    printf("  %zu prompts, %lld tokens, the longest has %d\n", prompts->count, (long long)tally.tokens, tally.longest);
    data_print_count(tally.skipped, "bad records are skipped");
    data_print_count(tally.dropped, "leave no room for response_length in max_length and are left out");
    data_lengths_print(&tally.lengths, title);
    putchar('\n');
}

static void print_summary(const struct ppo_data *data)
{
    const struct recipe *recipe = data->recipe;
    printf("dataset\n");
    print_entries(&recipe->dataset);
    print_prompts(data, &data->train, data->list, "prompts");
    if (data->eval.count > 0) {
        printf("%s\n", recipe->eval_dataset.count > 0 ? "eval_dataset" : "eval_split, held back from dataset");
        print_entries(&recipe->eval_dataset);
        print_prompts(data, &data->eval, data->eval_list, "prompts");
    }
    if (data->ptx) {
        data_print_dataset(data->ptx, "ptx_dataset");
    }
    printf("training\n  chat template: %s\n", data_template_name(data->recipe, &data->text));
    printf("  %lld prompts with %lld answers each in an iteration, %lld iterations\n",
           (long long)recipe->per_device_train_batch_size, (long long)ppo_keys(recipe)->num_generations,
           (long long)data->steps.total);
    printf("  answers have up to %lld tokens (response_length)\n", (long long)ppo_keys(recipe)->response_length);
}

static json_t *prompts_json(const struct ppo_data *data, const struct ppo_prompts *prompts,
                            const struct prompt_list *list)
{
    const struct prompt_tally tally = tally_of(data, prompts, list);
    return json_pack("{s:I, s:I, s:i, s:I, s:I, s:o}", "prompts", (json_int_t)prompts->count, "tokens",
                     (json_int_t)tally.tokens, "longest", (int)tally.longest, "skipped", (json_int_t)tally.skipped,
                     "dropped", (json_int_t)tally.dropped, "histogram", data_lengths_json(&tally.lengths, "prompts"));
}

static int print_summary_json(const struct ppo_data *data, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    return data_print_json(
        json_pack("{s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:I}", "stage", "ppo", "dataset",
                  prompts_json(data, &data->train, data->list), "eval",
                  data->eval.count > 0 ? prompts_json(data, &data->eval, data->eval_list) : json_null(), "ptx",
                  data->ptx ? data_dataset_json(data->ptx) : json_null(), "chat_template",
                  data_template_name(data->recipe, &data->text), "prompts_per_iteration",
                  (json_int_t)recipe->per_device_train_batch_size, "answers_per_prompt",
                  (json_int_t)ppo_keys(recipe)->num_generations, "total_steps", (json_int_t)data->steps.total),
        err);
}

/* ---- prompts ---- */

struct shown_prompts {
    const struct ppo_data *data;
    const struct ppo_prompts *prompts;
    const struct data_options *options;
};

static int show_one(const void *context, size_t i, struct strbuf *out, struct err *err)
{
    const struct shown_prompts *showing = context;
    const struct prompt *prompt = showing->prompts->items[i];
    const struct tokenizer *tokenizer = showing->data->text.tokenizer;
    if (!showing->options->json) {
        const struct data_tokens tokens = {.ids = prompt->ids, .count = prompt->count};
        strbuf_printf(out, "--- prompt %zu: %d tokens\n", i + 1, prompt->count);
        return data_put_tokens(out, tokenizer, &tokens, showing->options->tokens, err);
    }
    strbuf_printf(out, "{\"prompt\":%s,\"text\":", prompt->json);
    int result = data_put_json_text(out, tokenizer, prompt->ids, prompt->count, err);
    strbuf_puts(out, ",\"ids\":");
    data_put_json_ids(out, prompt->ids, prompt->count);
    strbuf_puts(out, "}\n");
    return result;
}

static int show(const struct ppo_data *data, const struct data_options *options, struct err *err)
{
    const struct shown_prompts showing = {data, options->eval ? &data->eval : &data->train, options};
    if (showing.prompts->count == 0) {
        return err_set(err, "the recipe has no evaluation data: set eval_dataset or eval_split, or leave --eval out");
    }
    return data_show_each(options, showing.prompts->count, "prompts", &showing, show_one, err);
}

int data_prompts(const struct recipe *recipe, const struct data_options *options, struct err *err)
{
    struct ppo_data data;
    if (ppo_data_open(&data, recipe, err) != 0) {
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
    ppo_data_close(&data);
    return result;
}
