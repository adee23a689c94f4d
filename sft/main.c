/* sft/main.c - the command line of attune-sft. */
#include "backend/profile.h"
#include "base/args.h"
#include "base/mem.h"
#include "sft/sft.h"
#include "train/device.h"
#include "train/interrupt.h"
#include <stdio.h>

static void print_profile(const struct backend *profiled)
{
    struct strbuf report = {0};
    profile_report(profiled, &report);
    fputs(strbuf_text(&report), stderr);
    strbuf_free(&report);
}

static enum sft_outcome run(const struct recipe *recipe, const struct sft_options *options, bool profile,
                            struct err *err)
{
    struct device_options device = {.dtype = recipe_choice(recipe, "dtype"),
                                    .device = recipe_choice(recipe, "device"),
                                    .threads = (int)recipe->threads};
    struct backend *backend;
    if (device_open(&backend, &device, err) != 0)
        return SFT_FAILED;
    if (profile && profile_create(&backend, backend, err) != 0) {
        backend->free(backend);
        return SFT_FAILED;
    }
    enum sft_outcome outcome = interrupt_install(err) == 0 ? sft_run(recipe, backend, options, err) : SFT_FAILED;
    if (profile)
        print_profile(backend);
    backend->free(backend);
    return outcome;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    const char *path = NULL;
    struct sft_options options = {0};
    bool profile = false;
    struct args_list keys = {0};
    const struct args_operand operands[] = {{.name = "RECIPE", .help = "the recipe, a YAML file", .text = &path}};
    const struct args_option table[] = {
        {.name = "dry-run",
         .help = "print the data and the memory plan, and stop before the first step",
         .flag = &options.dry_run},
        {.name = "profile", .help = "print at the end how long each kind of operation took", .flag = &profile}};
    const struct args_command command = {
        .name = "attune sft",
        .summary = "Fine-tunes a model on examples, with LoRA or of all weights.",
        .more =
            "attune help lists the recipe's keys, attune help KEY explains one.\n\nExamples:\n  attune sft "
            "recipes/sft-lora.yaml\n  attune sft recipes/sft-lora.yaml --learning_rate 1e-4 --output_dir runs/second",
        .operands = operands,
        .operand_count = 1,
        .options = table,
        .option_count = sizeof table / sizeof *table,
        .passed = &keys,
        .passed_help = "sets any key of the recipe",
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        args_list_free(&keys);
        return status;
    }
    struct err err;
    struct recipe *recipe;
    if (recipe_load(&recipe, STAGE_SFT, path, (int)keys.count, (char **)(uintptr_t)keys.items, &err) != 0) {
        args_list_free(&keys);
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    enum sft_outcome outcome = run(recipe, &options, profile, &err);
    recipe_free(recipe);
    args_list_free(&keys);
    if (outcome == SFT_INTERRUPTED)
        return 128 + interrupt_signal();
    return args_end(&command, outcome, &err);
}
