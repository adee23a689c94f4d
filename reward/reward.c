/* reward/reward.c - a reward run from its recipe to its result; see reward.h. */
#include "reward/reward.h"
#include "base/mem.h"
#include "reward/internal.h"
#include "reward/recipe.h"

/* The parts of a run in the order they are made; closed in the opposite one. */
struct reward {
    const struct recipe *recipe;
    struct backend *backend;
    struct trainable trainable;
    struct reward_data data;
    struct pass_limits limits;
    struct reward_loop loop;
    struct run_part part;
};

static int open_models(void *context, struct err *err)
{
    struct reward *reward = context;
    if (trainable_open(&reward->trainable, reward->recipe, true, err) != 0) {
        return -1;
    }
    trainable_introduce(&reward->trainable, reward->backend);
    return 0;
}

static int open_data(void *context, struct step_counts *steps, struct err *err)
{
    struct reward *reward = context;
    if (reward_data_open(&reward->data, reward->recipe, err) != 0) {
        return -1;
    }
    *steps = reward->data.order.steps;
    return 0;
}

static int check(void *context, struct err *err)
{
    struct reward *reward = context;
    return trainable_check_tokens(&reward->trainable, reward_data_highest_id(&reward->data),
                                  reward_data_longest(&reward->data), "a conversation", err);
}

static int plan(void *context, struct memory_plan *plan, struct err *err)
{
    struct reward *reward = context;
    struct batch_limits batch = reward_data_limits(&reward->data, reward->backend->traits.pass_tokens);
    reward->limits = stage_pass_limits(reward->recipe, &reward->trainable, &batch);
    if (trainable_plan(&reward->trainable, reward->backend, plan, err) != 0 ||
        pass_plan(reward->trainable.model, &reward->limits, reward->backend, plan, err) != 0) {
        return -1;
    }
    optimizer_plan(reward->trainable.parameters, plan);
    memory_plan_add_held(plan, reward_data_bytes(&reward->data));
    return 0;
}

static int identify(void *context, struct run_identity *identity, struct run_numbers *numbers, struct err *err)
{
    (void)err;
    struct reward *reward = context;
    struct reward_sums *sums = &reward->loop.sums;
    *identity = run_identity_of(&reward->trainable, reward->backend, reward_data_fingerprint(&reward->data));
    run_numbers_add(numbers, "window_decided", &sums->decided);
    run_numbers_add(numbers, "window_correct", &sums->correct);
    run_numbers_add(numbers, "window_margin", &sums->margin);
    run_numbers_add(numbers, "window_answers", &sums->answers);
    run_numbers_add(numbers, "window_score", &sums->score);
    run_numbers_add(numbers, "window_least", &sums->least);
    run_numbers_add(numbers, "window_most", &sums->most);
    return 0;
}

static int open_evaluations(struct reward *reward, struct err *err)
{
    const struct recipe *recipe = reward->recipe;
    const struct reward_data *data = &reward->data;
    const struct recipe_datasets *held_out = recipe->eval_dataset.count ? &recipe->eval_dataset : &recipe->dataset;
    if (data->eval && evaluation_open(&reward->loop.held_out, data->eval, held_out, INT64_MAX, err) != 0) {
        return -1;
    }
    return evaluation_open(&reward->loop.sample, data->train, &recipe->dataset, REWARD_SAMPLE_MAX, err);
}

static int make(void *context, struct err *err)
{
    struct reward *reward = context;
    struct reward_loop *loop = &reward->loop;
    const struct recipe *recipe = reward->recipe;
    const struct pass_limits *limits = &reward->limits;
    struct optimizer_options optimizer = optimizer_options_of(recipe);
    size_t readings = (size_t)limits->predictions;
    if (trainable_load(&reward->trainable, reward->backend, err) != 0 ||
        optimizer_create(&loop->optimizer, reward->backend, reward->trainable.parameters, &optimizer, err) != 0 ||
        pass_create(&loop->pass, reward->trainable.model, limits, err) != 0 ||
        batch_create(&loop->batch, limits->tokens, limits->segments, limits->predictions, err) != 0 ||
        open_evaluations(reward, err) != 0) {
        return -1;
    }
    loop->scores = mem_alloc(readings, sizeof *loop->scores, err);
    loop->dscores = mem_alloc(readings, sizeof *loop->dscores, err);
    if (!loop->scores || !loop->dscores) {
        return -1;
    }
    loop->loss = (struct reward_loss_options){.ties = reward_keys(recipe)->ties == REWARD_TIES_HALF,
                                              .label_smoothing = reward_keys(recipe)->label_smoothing,
                                              .centering = reward_keys(recipe)->center_rewards_coefficient};
    struct run *run = loop->steps.run;
    reward->part = (struct run_part){.trainable = &reward->trainable, .optimizer = loop->optimizer};
    run->parts = &reward->part;
    run->part_count = 1;
    run->before_result = reward_loop_before_result;
    run->context = loop;
    return 0;
}

static void close_all(void *context)
{
    struct reward *reward = context;
    struct reward_loop *loop = &reward->loop;
    evaluation_close(&loop->sample);
    evaluation_close(&loop->held_out);
    pass_free(loop->pass);
    optimizer_free(loop->optimizer);
    batch_free(&loop->batch);
    mem_free(loop->scores);
    mem_free(loop->dscores);
    reward_data_close(&reward->data);
    trainable_close(&reward->trainable);
}

static const char *result_name(const void *context)
{
    const struct reward *reward = context;
    return reward->trainable.adapter ? "the reward model, an adapter with a score head" : "the reward model";
}

enum loop_outcome reward_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                             struct err *err)
{
    struct reward reward = {.recipe = recipe, .backend = backend};
    reward.loop = (struct reward_loop){
        .recipe = recipe, .backend = backend, .data = &reward.data, .trainable = &reward.trainable};
    reward.loop.steps.stage = reward_loop_stage(&reward.loop);
    const struct stage_work work = {
        .context = &reward,
        .backend = backend,
        .loop = &reward.loop.steps,
        .open_models = open_models,
        .open_data = open_data,
        .check = check,
        .plan = plan,
        .identify = identify,
        .make = make,
        .close = close_all,
        .shrink = "gradient_checkpointing: true, a smaller per_device_train_batch_size (with more "
                  "gradient_accumulation_steps) or max_length, or finetuning_type: lora would shrink it",
        .result = result_name,
    };
    return stage_run(&work, recipe, options, err);
}
