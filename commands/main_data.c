/*
 * attune-data - what training will see: how many examples, how long, how much of them is learned; and the tokens of
 * some, with the learned ones marked.
 */
#include "base/args.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/data_show.h"
#include "commands/data_summary.h"
#include "sft/data.h"
#include <stdlib.h>

static int show(const struct recipe *recipe, const struct data_options *options, struct err *err)
{
    struct sft_data data;
    log_set_quiet(true); /* everything it would say stands in the summary */
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

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct data_options options = {0};
    struct args_list keys = {0};
    const struct args_operand operands[] = {
        {.name = "RECIPE", .help = "the recipe of attune sft", .text = &options.recipe},
    };
    const struct args_option table[] = {
        {.name = "show",
         .argument = "N",
         .help = "print the first N examples, what is learned [[in brackets]], or in colour on "
                 "a terminal",
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
                "  attune data recipes/sft.yaml --max_length 512 --packing true",
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
    int loaded = recipe_load(&recipe, STAGE_SFT, options.recipe, (int)keys.count, (char **)(uintptr_t)keys.items, &err);
    args_list_free(&keys);
    if (loaded != 0) {
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    int result = show(recipe, &options, &err);
    recipe_free(recipe);
    return args_end(&command, result, &err);
}
