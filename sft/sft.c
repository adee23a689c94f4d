/* sft/sft.c - an SFT run from its recipe to its result; see sft.h. */
#include "sft/sft.h"
#include "base/mem.h"
#include "sft/internal.h"

/* The parts of a run in the order they are made; closed in the opposite one. */
struct sft {
    const struct recipe *recipe;
    struct backend *backend;
    struct trainable trainable;
    struct sft_data data;
    struct pass_limits limits;
    struct sft_loop loop;
    struct run_part part;
};

static int open_models(void *context, struct err *err)
{
    struct sft *sft = context;
    if (trainable_open(&sft->trainable, sft->recipe, false, err) != 0) {
        return -1;
    }
    trainable_introduce(&sft->trainable, sft->backend);
    return 0;
}

static int open_data(void *context, struct step_counts *steps, struct err *err)
{
    struct sft *sft = context;
    if (sft_data_open(&sft->data, sft->recipe, err) != 0) {
        return -1;
    }
    sft->data.pass_tokens = sft->backend->traits.pass_tokens;
    *steps = sft->data.order.steps;
    return 0;
}

static int check(void *context, struct err *err)
{
    struct sft *sft = context;
    return trainable_check_tokens(&sft->trainable, sft_data_highest_id(&sft->data), sft->data.train->longest,
                                  "an example", err);
}

static int plan(void *context, struct memory_plan *plan, struct err *err)
{
    struct sft *sft = context;
    struct batch_limits batch;
    if (sft_data_limits(&sft->data, &batch, err) != 0) {
        return -1;
    }
    sft->limits = stage_pass_limits(sft->recipe, &sft->trainable, &batch);
    if (trainable_plan(&sft->trainable, sft->backend, plan, err) != 0 ||
        pass_plan(sft->trainable.model, &sft->limits, sft->backend, plan, err) != 0) {
        return -1;
    }
    optimizer_plan(sft->trainable.parameters, plan);
    if (sft->data.samples) {
        struct generator_limits generator = sft_samples_limits(&sft->data, sft->limits.max_rank);
        if (generator_plan(sft->trainable.model, &generator, sft->backend, plan, err) != 0) {
            return -1;
        }
    }
    memory_plan_add_held(plan, sft->data.train->bytes + (sft->data.eval ? sft->data.eval->bytes : 0));
    return 0;
}

static int identify(void *context, struct run_identity *identity, struct run_numbers *numbers, struct err *err)
{
    (void)err;
    struct sft *sft = context;
    *identity = run_identity_of(&sft->trainable, sft->backend, sft_data_fingerprint(&sft->data));
    run_numbers_add(numbers, "window_predictions", &sft->loop.window_predictions);
    run_numbers_add(numbers, "window_correct", &sft->loop.window_correct);
    return 0;
}

static int make(void *context, struct err *err)
{
    struct sft *sft = context;
    struct sft_loop *loop = &sft->loop;
    struct optimizer_options optimizer = optimizer_options_of(sft->recipe);
    size_t predictions = (size_t)sft->limits.predictions;
    if (trainable_load(&sft->trainable, sft->backend, err) != 0 ||
        optimizer_create(&loop->optimizer, sft->backend, sft->trainable.parameters, &optimizer, err) != 0 ||
        pass_create(&loop->pass, sft->trainable.model, &sft->limits, err) != 0 ||
        batch_create(&loop->batch, sft->limits.tokens, sft->limits.segments, sft->limits.predictions, err) != 0) {
        return -1;
    }
    if (sft->data.samples) {
        struct generator_limits generator = sft_samples_limits(&sft->data, sft->limits.max_rank);
        if (generator_create(&loop->generator, sft->trainable.model, &generator, err) != 0) {
            return -1;
        }
    }
    loop->dlogprob = mem_alloc(predictions, sizeof *loop->dlogprob, err);
    loop->logprob = mem_alloc(predictions, sizeof *loop->logprob, err);
    loop->argmax = mem_alloc(predictions, sizeof *loop->argmax, err);
    if (!loop->dlogprob || !loop->logprob || !loop->argmax) {
        return -1;
    }
    sft->part = (struct run_part){.trainable = &sft->trainable, .optimizer = loop->optimizer};
    loop->steps.run->parts = &sft->part;
    loop->steps.run->part_count = 1;
    return 0;
}

static void close_all(void *context)
{
    struct sft *sft = context;
    struct sft_loop *loop = &sft->loop;
    generator_free(loop->generator);
    pass_free(loop->pass);
    optimizer_free(loop->optimizer);
    batch_free(&loop->batch);
    mem_free(loop->dlogprob);
    mem_free(loop->logprob);
    mem_free(loop->argmax);
    sft_data_close(&sft->data);
    trainable_close(&sft->trainable);
}

static const char *result_name(const void *context)
{
    const struct sft *sft = context;
    return sft->trainable.adapter ? "the adapter (attune export merges it into the model)" : "the model";
}

enum loop_outcome sft_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                          struct err *err)
{
    struct sft sft = {.recipe = recipe, .backend = backend};
    sft.loop = (struct sft_loop){.recipe = recipe, .backend = backend, .data = &sft.data, .trainable = &sft.trainable};
    sft.loop.steps.stage = sft_loop_stage(&sft.loop);
    const struct stage_work work = {
        .context = &sft,
        .backend = backend,
        .loop = &sft.loop.steps,
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
