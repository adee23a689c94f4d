/* sft/sft.c - an SFT run from its recipe to its result; see sft.h. */
#include "sft/sft.h"
#include "base/log.h"
#include "base/mem.h"
#include "sft/loop.h"
#include "sft/samples.h"
#include "train/device.h"
#include <string.h>

/* The parts of a run in the order they are made; closed in the opposite one. */
struct sft {
    const struct recipe *recipe;
    struct backend *backend;
    struct sft_data data;
    struct trainable trainable;
    struct pass_limits limits;
    struct memory_plan plan;
    struct sft_loop loop;
    struct run_number numbers[2];
    struct run_part part;
};

static void close_all(struct sft *sft)
{
    struct sft_loop *loop = &sft->loop;
    run_close(loop->steps.run);
    generator_free(loop->generator);
    pass_free(loop->pass);
    optimizer_free(loop->optimizer);
    batch_free(&loop->batch);
    mem_free(loop->dlogprob);
    mem_free(loop->logprob);
    mem_free(loop->argmax);
    trainable_close(&sft->trainable);
    sft_data_close(&sft->data);
}

/* What only shows when model and data stand side by side. */
static int check_together(const struct sft *sft, struct err *err)
{
    return trainable_check_tokens(&sft->trainable, sft_data_highest_id(&sft->data), sft->data.train->longest,
                                  "an example", err);
}

static struct pass_limits limits_of(const struct sft *sft)
{
    struct sft_batch_limits batch = sft_data_limits(&sft->data);
    return (struct pass_limits){
        .tokens = batch.tokens,
        .segments = batch.segments,
        .predictions = batch.predictions,
        .max_rank = trainable_max_rank(&sft->trainable),
        .training = true,
        .checkpointing = sft->recipe->gradient_checkpointing,
        .dropout = sft->trainable.adapter && sft->trainable.adapter->dropout > 0,
    };
}

static int plan_memory(struct sft *sft, struct err *err)
{
    struct memory_plan *plan = &sft->plan;
    if (trainable_plan(&sft->trainable, sft->backend, plan, err) != 0 ||
        pass_plan(sft->trainable.model, &sft->limits, sft->backend, plan, err) != 0)
        return -1;
    optimizer_plan(trainable_count(&sft->trainable), plan);
    if (sft->data.samples) {
        struct generator_limits generator = sft_samples_limits(&sft->data, sft->limits.max_rank);
        if (generator_plan(sft->trainable.model, &generator, sft->backend, plan, err) != 0)
            return -1;
    }
    plan->bytes[MEMORY_DATA] = sft->data.train->bytes;
    memory_plan_print(plan);
    return memory_plan_check(plan, (size_t)sft->recipe->max_memory_mib << 20,
                             "gradient_checkpointing: true, a smaller per_device_train_batch_size (with more "
                             "gradient_accumulation_steps) or max_length, or finetuning_type: lora would shrink it",
                             err);
}

static int open_run(struct sft *sft, struct err *err)
{
    struct run_identity identity = run_identity_of(&sft->trainable, sft->backend, sft_data_fingerprint(&sft->data));
    sft->numbers[0] = (struct run_number){"window_predictions", &sft->loop.window_predictions};
    sft->numbers[1] = (struct run_number){"window_correct", &sft->loop.window_correct};
    return run_open(&sft->loop.steps.run, sft->recipe, &identity, sft->data.total_steps, sft->numbers, 2, err);
}

/* All memory, then the tensors. */
static int make_parts(struct sft *sft, struct err *err)
{
    const struct recipe *recipe = sft->recipe;
    struct sft_loop *loop = &sft->loop;
    struct optimizer_options optimizer = optimizer_options_of(recipe);
    size_t predictions = (size_t)sft->limits.predictions;
    if (trainable_load(&sft->trainable, sft->backend, err) != 0 ||
        optimizer_create(&loop->optimizer, sft->backend, sft->trainable.parameters, &optimizer, err) != 0 ||
        pass_create(&loop->pass, sft->trainable.model, &sft->limits, err) != 0 ||
        batch_create(&loop->batch, sft->limits.tokens, sft->limits.segments, sft->limits.predictions, err) != 0)
        return -1;
    if (sft->data.samples) {
        struct generator_limits generator = sft_samples_limits(&sft->data, sft->limits.max_rank);
        if (generator_create(&loop->generator, sft->trainable.model, &generator, err) != 0)
            return -1;
    }
    loop->dlogprob = mem_alloc(predictions, sizeof *loop->dlogprob, err);
    loop->logprob = mem_alloc(predictions, sizeof *loop->logprob, err);
    loop->argmax = mem_alloc(predictions, sizeof *loop->argmax, err);
    if (!loop->dlogprob || !loop->logprob || !loop->argmax)
        return -1;
    loop->recipe = recipe;
    loop->backend = sft->backend;
    loop->data = &sft->data;
    loop->trainable = &sft->trainable;
    loop->steps.stage = sft_loop_stage(loop);
    sft->part = (struct run_part){.trainable = &sft->trainable, .optimizer = loop->optimizer};
    loop->steps.run->parts = &sft->part;
    loop->steps.run->part_count = 1;
    return 0;
}

static enum loop_outcome run_all(struct sft *sft, const struct stage_options *options, struct err *err)
{
    if (trainable_open(&sft->trainable, sft->recipe, err) != 0)
        return LOOP_FAILED;
    trainable_introduce(&sft->trainable, sft->backend);
    if (sft_data_open(&sft->data, sft->recipe, err) != 0 || check_together(sft, err) != 0)
        return LOOP_FAILED;
    sft->limits = limits_of(sft);
    if (plan_memory(sft, err) != 0)
        return LOOP_FAILED;
    if (options->dry_run)
        return LOOP_FINISHED;
    loop_init(&sft->loop.steps, sft->recipe, sft->data.total_steps, sft->data.steps_per_epoch);
    if (open_run(sft, err) != 0)
        return LOOP_FAILED;
    struct run *run = sft->loop.steps.run;
    if (run->already_finished)
        return LOOP_FINISHED;
    if (memory_plan_write(&sft->plan, sft->recipe->output_dir, err) != 0 || make_parts(sft, err) != 0)
        return LOOP_FAILED;
    if (run->resume_folder && run_load_checkpoint(run, err) != 0)
        return LOOP_FAILED;
    enum loop_outcome outcome = loop_run(&sft->loop.steps, err);
    if (outcome == LOOP_FINISHED)
        log_info("finished: %s holds the %s", sft->recipe->output_dir,
                 sft->trainable.adapter ? "adapter (attune export merges it into the model)" : "model");
    return outcome;
}

enum loop_outcome sft_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                          struct err *err)
{
    struct sft sft = {.recipe = recipe, .backend = backend};
    enum loop_outcome outcome = run_all(&sft, options, err);
    close_all(&sft);
    return outcome;
}
