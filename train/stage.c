/* train/stage.c - see stage.h. */
#include "train/stage.h"
#include "backend/profile.h"
#include "base/args.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/device.h"
#include "train/interrupt.h"
#include <stdio.h>

/* ---- the run ---- */

/* From files to a plan that was held against the memory there is. */
static int prepare(const struct stage_work *work, const struct recipe *recipe, struct step_counts *steps,
                   struct memory_plan *plan, struct err *err)
{
    if (work->open_models(work->context, err) != 0 || work->open_data(work->context, steps, err) != 0 ||
        work->check(work->context, err) != 0 || work->plan(work->context, plan, err) != 0) {
        return -1;
    }
    memory_plan_print(plan, work->backend);
    return memory_plan_check(plan, work->backend, (size_t)recipe->max_memory_mib << 20, work->shrink, err);
}

static int open_run(const struct stage_work *work, const struct step_counts *steps, struct err *err)
{
    struct run_identity identity = {0};
    struct run_numbers numbers = {0};
    if (work->identify(work->context, &identity, &numbers, err) != 0) {
        return -1;
    }
    return run_open(&work->loop->run, work->loop->recipe, &identity, steps->total, &numbers, err);
}

static int make(const struct stage_work *work, const struct memory_plan *plan, struct err *err)
{
    struct run *run = work->loop->run;
    if (memory_plan_write(plan, work->loop->recipe->output_dir, err) != 0 || work->make(work->context, err) != 0) {
        return -1;
    }
    if (!run->resume_folder) {
        return 0;
    }
    if (run_load_checkpoint(run, err) != 0) {
        return -1;
    }
    return work->resumed ? work->resumed(work->context, err) : 0;
}

static enum loop_outcome run_work(const struct stage_work *work, const struct recipe *recipe,
                                  const struct stage_options *options, struct err *err)
{
    struct memory_plan plan = {0};
    struct step_counts steps;
    if (prepare(work, recipe, &steps, &plan, err) != 0) {
        return LOOP_FAILED;
    }
    if (options->dry_run) {
        return LOOP_FINISHED;
    }
    loop_init(work->loop, recipe, &steps);
    if (open_run(work, &steps, err) != 0) {
        return LOOP_FAILED;
    }
    if (work->loop->run->already_finished) {
        return LOOP_FINISHED;
    }
    if (make(work, &plan, err) != 0) {
        return LOOP_FAILED;
    }
    enum loop_outcome outcome = loop_run(work->loop, err);
    if (outcome == LOOP_FINISHED) {
        log_info("finished: %s holds %s", recipe->output_dir, work->result(work->context));
    }
    return outcome;
}

enum loop_outcome stage_run(const struct stage_work *work, const struct recipe *recipe,
                            const struct stage_options *options, struct err *err)
{
    enum loop_outcome outcome = run_work(work, recipe, options, err);
    run_close(work->loop->run);
    work->close(work->context);
    return outcome;
}

struct pass_limits stage_pass_limits(const struct recipe *recipe, const struct trainable *trainable,
                                     const struct batch_limits *batch)
{
    return (struct pass_limits){
        .tokens = batch->tokens,
        .segments = batch->segments,
        .predictions = batch->predictions,
        .max_rank = trainable_max_rank(trainable),
        .training = true,
        .checkpointing = recipe->gradient_checkpointing,
        .scorer = trainable->scorer,
    };
}

/* ---- the command line ---- */

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
    if (device_open(&backend, &device, err) != 0) {
        return LOOP_FAILED;
    }
    if (profile && profile_create(&backend, backend, err) != 0) {
        backend->free(backend);
        return LOOP_FAILED;
    }
    enum loop_outcome outcome = interrupt_install(err) == 0 ? command->run(recipe, backend, options, err) : LOOP_FAILED;
    if (profile) {
        print_profile(backend);
    }
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
    char name[32], more[600];
    snprintf(name, sizeof name, "attune %s", stage->stage->name);
    snprintf(more, sizeof more, "attune help lists the recipe's keys, attune help KEY explains one.\n\nExamples:\n%s",
             stage->stage->examples);
    const struct args_operand operands[] = {{.name = "RECIPE", .help = "the recipe, a YAML file", .text = &path}};
    const struct args_option table[] = {
        {.name = "dry-run",
         .help = "print the data and the memory plan, and stop before the first step",
         .flag = &options.dry_run},
        {.name = "profile", .help = "print at the end how long each kind of operation took", .flag = &profile}};
    const struct args_command command = {
        .name = name,
        .summary = stage->stage->summary,
        .more = more,
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
    if (recipe_load(&recipe, stage->stages, stage->stage, path, (int)keys.count, (char **)(uintptr_t)keys.items,
                    &err) != 0) {
        args_list_free(&keys);
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    enum loop_outcome outcome = run(stage, recipe, &options, profile, &err);
    recipe_free(recipe);
    args_list_free(&keys);
    if (outcome == LOOP_INTERRUPTED) {
        return 128 + interrupt_signal();
    }
    return args_end(&command, outcome, &err);
}
