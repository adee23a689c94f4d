/*
 * attune-data - what training will see: how many examples, how long, how much of them is learned; and the tokens of
 * some, with the learned ones marked. Of a reward model's recipe the rankings, of a PPO recipe the prompts.
 */
#include "base/args.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/data_prompts.h"
#include "commands/data_reward.h"
#include "commands/data_show.h"
#include "commands/data_summary.h"
#include "ppo/recipe.h"
#include "reward/recipe.h"
#include "sft/recipe.h"
#include <stdlib.h>

static int data_examples(const struct recipe *recipe, const struct data_options *options, struct err *err)
{
    struct sft_data data;
    if (sft_data_open(&data, recipe, err) != 0) {
        return -1;
    }
    int result;
    if (options->show > 0) {
        result = data_show(&data, options, err);
    } else {
        result = options->json ? data_summary_json(&data, err) : data_summary_print(&data, err);
    }
    sft_data_close(&data);
    return result;
}

/* How the data of each stage is shown. */
static const struct {
    const struct recipe_stage *stage;
    int (*show)(const struct recipe *recipe, const struct data_options *options, struct err *err);
} shows[] = {{&sft_stage, data_examples}, {&reward_stage, data_reward}, {&ppo_stage, data_prompts}};
#define SHOW_COUNT (sizeof shows / sizeof shows[0])

static int print_data(const struct recipe *recipe, const struct data_options *options, struct err *err)
{
    log_set_quiet(true); /* everything it would say stands in the summary */
    for (size_t i = 0; i < SHOW_COUNT; i++) {
        if (shows[i].stage == recipe->stage) {
            return shows[i].show(recipe, options, err);
        }
    }
    return err_set(err, "attune data does not know the data of attune %s yet", recipe->stage->name);
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct data_options options = {.stage = -1};
    struct args_list keys = {0};
    struct strbuf names = {0};
    stages_put_names(&names, &all_stages, "", ", ", " or ");
    char of_whom[200], whose[200];
    snprintf(of_whom, sizeof of_whom, "the recipe of attune %s", strbuf_text(&names));
    snprintf(whose, sizeof whose, "whose recipe it is: %s (default: told from its keys)", strbuf_text(&names));
    strbuf_free(&names);
    const struct args_operand operands[] = {
        {.name = "RECIPE", .help = of_whom, .text = &options.recipe},
    };
    const char *stages[STAGES_MAX + 1] = {NULL};
    for (size_t i = 0; i < all_stages.count; i++) {
        stages[i] = all_stages.items[i]->name;
    }
    const struct args_option table[] = {
        {.name = "stage", .argument = "S", .help = whose, .choice = &options.stage, .choices = stages},
        {.name = "show",
         .argument = "N",
         .help = "print the first N examples, what is learned [[in brackets]], or in colour on a terminal; of a reward "
                 "model's data N rankings, with the token at which each answer's score is read; of PPO's N prompts",
         .whole = &options.show,
         .least = 1,
         .most = 1e9},
        {.name = "first",
         .argument = "I",
         .help = "with --show: begin with example I; default 1",
         .whole = &options.first,
         .least = 1,
         .most = 1e9},
        {.name = "tokens", .help = "with --show: a token a line", .flag = &options.tokens},
        {.name = "eval", .help = "with --show: examples of the evaluation data", .flag = &options.eval},
        {.name = "json", .help = "as JSON; with --show an example a line", .flag = &options.json},
    };
    const struct args_command command = {
        .name = "attune data",
        .summary =
            "Shows what training will see: how many examples, how long they are, and how much of them is learned.",
        .more = "Examples:\n  attune data recipes/sft.yaml\n  attune data recipes/sft.yaml --show 3\n"
                "  attune data recipes/sft.yaml --max_length 512 --packing true\n"
                "  attune data recipes/reward.yaml --show 2 --tokens",
        .operands = operands,
        .operand_count = 1,
        .options = table,
        .option_count = sizeof table / sizeof *table,
        .passed = &keys,
        .passed_help = "a key of the recipe, which wins over what stands there",
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct err err;
    struct recipe *recipe;
    char **given = (char **)(uintptr_t)keys.items;
    const struct recipe_stage *stage = options.stage >= 0
                                           ? all_stages.items[options.stage]
                                           : recipe_find_stage(&all_stages, options.recipe, (int)keys.count, given);
    int loaded = recipe_load(&recipe, &all_stages, stage, options.recipe, (int)keys.count, given, &err);
    args_list_free(&keys);
    if (loaded != 0) {
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    int result = print_data(recipe, &options, &err);
    recipe_free(recipe);
    return args_end(&command, result, &err);
}
