/* reward/reward.c - a reward run from its recipe to its result; see reward.h. */
#include "reward/reward.h"
#include "base/log.h"
#include "base/mem.h"
#include "reward/loop.h"
#include "train/device.h"
#include <string.h>

#define WINDOW_NUMBERS (sizeof(struct reward_window) / sizeof(double))

/* The parts of a run in the order they are made; closed in the opposite one. */
struct reward {
    const struct recipe *recipe;
    struct backend *backend;
    struct reward_data data;
    struct trainable trainable;
    struct pass_limits limits;
    struct memory_plan plan;
    struct reward_loop loop;
    struct run_number numbers[WINDOW_NUMBERS];
    struct run_part part;
};

static void close_all(struct reward *reward)
{
    struct reward_loop *loop = &reward->loop;
    run_close(loop->steps.run);
    evaluation_close(&loop->sample);
    evaluation_close(&loop->held_out);
    pass_free(loop->pass);
    optimizer_free(loop->optimizer);
    batch_free(&loop->batch);
    mem_free(loop->scores);
    mem_free(loop->dscores);
    trainable_close(&reward->trainable);
    reward_data_close(&reward->data);
}

/* What only shows when model and data stand side by side. */
static int check_together(const struct reward *reward, struct err *err)
{
    return trainable_check_tokens(&reward->trainable, reward_data_highest_id(&reward->data),
                                  reward_data_longest(&reward->data), "a conversation", err);
}

static struct pass_limits limits_of(const struct reward *reward)
{
    struct reward_batch_limits batch = reward_data_limits(&reward->data);
    return (struct pass_limits){
        .tokens = batch.tokens,
        .segments = batch.segments,
        .predictions = batch.predictions,
        .max_rank = trainable_max_rank(&reward->trainable),
        .training = true,
        .checkpointing = reward->recipe->gradient_checkpointing,
        .dropout = reward->trainable.adapter && reward->trainable.adapter->dropout > 0,
        .scorer = true,
    };
}

static int plan_memory(struct reward *reward, struct err *err)
{
    struct memory_plan *plan = &reward->plan;
    if (trainable_plan(&reward->trainable, reward->backend, plan, err) != 0 ||
        pass_plan(reward->trainable.model, &reward->limits, reward->backend, plan, err) != 0)
        return -1;
    optimizer_plan(trainable_count(&reward->trainable), plan);
    plan->bytes[MEMORY_DATA] = reward_data_bytes(&reward->data);
    memory_plan_print(plan);
    return memory_plan_check(plan, (size_t)reward->recipe->max_memory_mib << 20,
                             "gradient_checkpointing: true, a smaller per_device_train_batch_size (with more "
                             "gradient_accumulation_steps) or max_length, or finetuning_type: lora would shrink it",
                             err);
}

static int open_run(struct reward *reward, struct err *err)
{
    struct reward_window *window = &reward->loop.window;
    struct run_identity identity =
        run_identity_of(&reward->trainable, reward->backend, reward_data_fingerprint(&reward->data));
    const struct run_number numbers[WINDOW_NUMBERS] = {
        {"window_decided", &window->decided}, {"window_correct", &window->correct}, {"window_margin", &window->margin},
        {"window_answers", &window->answers}, {"window_score", &window->score},     {"window_least", &window->least},
        {"window_most", &window->most},
    };
    memcpy(reward->numbers, numbers, sizeof numbers);
    return run_open(&reward->loop.steps.run, reward->recipe, &identity, reward->data.total_steps, reward->numbers,
                    WINDOW_NUMBERS, err);
}

static int open_evaluations(struct reward *reward, struct err *err)
{
    const struct recipe *recipe = reward->recipe;
    const struct reward_data *data = &reward->data;
    const struct recipe_datasets *held_out = recipe->eval_dataset.count ? &recipe->eval_dataset : &recipe->dataset;
    if (data->eval && evaluation_open(&reward->loop.held_out, data->eval, held_out, INT64_MAX, err) != 0)
        return -1;
    return evaluation_open(&reward->loop.sample, data->train, &recipe->dataset, REWARD_SAMPLE_MAX, err);
}

/* All memory, then the tensors. */
static int make_parts(struct reward *reward, struct err *err)
{
    const struct recipe *recipe = reward->recipe;
    struct reward_loop *loop = &reward->loop;
    struct optimizer_options optimizer = optimizer_options_of(recipe);
    size_t readings = (size_t)reward->limits.predictions;
    if (trainable_load(&reward->trainable, reward->backend, err) != 0 ||
        optimizer_create(&loop->optimizer, reward->backend, reward->trainable.parameters, &optimizer, err) != 0 ||
        pass_create(&loop->pass, reward->trainable.model, &reward->limits, err) != 0 ||
        batch_create(&loop->batch, reward->limits.tokens, reward->limits.segments, reward->limits.predictions, err) !=
            0 ||
        open_evaluations(reward, err) != 0)
        return -1;
    loop->scores = mem_alloc(readings, sizeof *loop->scores, err);
    loop->dscores = mem_alloc(readings, sizeof *loop->dscores, err);
    if (!loop->scores || !loop->dscores)
        return -1;
    loop->recipe = recipe;
    loop->backend = reward->backend;
    loop->data = &reward->data;
    loop->trainable = &reward->trainable;
    loop->loss = (struct reward_loss_options){.ties = recipe->ties == RECIPE_TIES_HALF,
                                              .label_smoothing = recipe->label_smoothing,
                                              .centering = recipe->center_rewards_coefficient};
    loop->steps.stage = reward_loop_stage(loop);
    struct run *run = loop->steps.run;
    reward->part = (struct run_part){.trainable = &reward->trainable, .optimizer = loop->optimizer};
    run->parts = &reward->part;
    run->part_count = 1;
    run->before_result = reward_loop_before_result;
    run->context = loop;
    return 0;
}

static enum loop_outcome run_all(struct reward *reward, const struct stage_options *options, struct err *err)
{
    if (trainable_open(&reward->trainable, reward->recipe, err) != 0)
        return LOOP_FAILED;
    trainable_introduce(&reward->trainable, reward->backend);
    if (reward_data_open(&reward->data, reward->recipe, err) != 0 || check_together(reward, err) != 0)
        return LOOP_FAILED;
    reward->limits = limits_of(reward);
    if (plan_memory(reward, err) != 0)
        return LOOP_FAILED;
    if (options->dry_run)
        return LOOP_FINISHED;
    loop_init(&reward->loop.steps, reward->recipe, reward->data.total_steps, reward->data.steps_per_epoch);
    if (open_run(reward, err) != 0)
        return LOOP_FAILED;
    struct run *run = reward->loop.steps.run;
    if (run->already_finished)
        return LOOP_FINISHED;
    if (memory_plan_write(&reward->plan, reward->recipe->output_dir, err) != 0 || make_parts(reward, err) != 0)
        return LOOP_FAILED;
    if (run->resume_folder && run_load_checkpoint(run, err) != 0)
        return LOOP_FAILED;
    enum loop_outcome outcome = loop_run(&reward->loop.steps, err);
    if (outcome == LOOP_FINISHED)
        log_info("finished: %s holds the reward model%s", reward->recipe->output_dir,
                 reward->trainable.adapter ? ", an adapter with a score head" : "");
    return outcome;
}

enum loop_outcome reward_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                             struct err *err)
{
    struct reward reward = {.recipe = recipe, .backend = backend};
    enum loop_outcome outcome = run_all(&reward, options, err);
    close_all(&reward);
    return outcome;
}
