/* train/stage.c - see stage.h. */
#include "train/stage.h"
#include "backend/profile.h"
#include "base/args.h"
#include "base/mem.h"
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

static enum loop_outcome run(const struct stage_command *command, const struct recipe *recipe,
                             const struct stage_options *options, bool profile, struct err *err)
{
    struct device_options device = {.dtype = recipe_choice(recipe, "dtype"),
                                    .device = recipe_choice(recipe, "device"),
                                    .threads = (int)recipe->threads};
    struct backend *backend;
    if (device_open(&backend, &device, err) != 0)
        return LOOP_FAILED;
    if (profile && profile_create(&backend, backend, err) != 0) {
        backend->free(backend);
        return LOOP_FAILED;
    }
    enum loop_outcome outcome = interrupt_install(err) == 0 ? command->run(recipe, backend, options, err) : LOOP_FAILED;
    if (profile)
        print_profile(backend);
    backend->free(backend);
    return outcome;
}

int stage_main(const struct stage_command *stage, int argc, char **argv)
{
    mem_hook_libraries();
    const char *path = NULL;
    struct stage_options options = {0};
    bool profile = false;
    struct args_list keys = {0};
    const struct args_operand operands[] = {{.name = "RECIPE", .help = "the recipe, a YAML file", .text = &path}};
    const struct args_option table[] = {
        {.name = "dry-run",
         .help = "print the data and the memory plan, and stop before the first step",
         .flag = &options.dry_run},
        {.name = "profile", .help = "print at the end how long each kind of operation took", .flag = &profile}};
    const struct args_command command = {
        .name = stage->name,
        .summary = stage->summary,
        .more = stage->more,
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
    if (recipe_load(&recipe, stage->stage, path, (int)keys.count, (char **)(uintptr_t)keys.items, &err) != 0) {
        args_list_free(&keys);
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    enum loop_outcome outcome = run(stage, recipe, &options, profile, &err);
    recipe_free(recipe);
    args_list_free(&keys);
    if (outcome == LOOP_INTERRUPTED)
        return 128 + interrupt_signal();
    return args_end(&command, outcome, &err);
}
