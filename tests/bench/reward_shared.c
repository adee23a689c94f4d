/*
 * tests/bench/reward_shared.c - what a shared prompt saves: one step on a ranking of K answers, its prompt computed
 * once (a family), against the same K conversations as sequences of their own.
 *
 *     bench-reward_shared MODEL [answers] [prompt tokens] [answer tokens] [threads] [rounds]     9 256 64 2 3
 *
 * LoRA of rank 16 on all linear layers with a score head, f32, forward and backward of the whole ranking, with the
 * stage's own loss. The rounds take turns and the fastest of each kind counts; with one thread it is that thread's own
 * time. Exits with 1 where scores or gradients
 * differ by more than BOUND.
 */
#include "backend/cpu/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "model/pass.h"
#include "reward/loss.h"
#include "reward/recipe.h"
#include "roles/trainable.h"
#include "text/data/family.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BOUND    1e-5
#define IDS_FROM 5
#define IDS_TO   40000

static void check(int result, const struct err *err)
{
    if (result != 0) {
        fprintf(stderr, "bench-reward_shared: %s\n", err->text);
        exit(1);
    }
}

/* With one thread its own time, which other programs lengthen less. */
static double seconds_now(int threads)
{
    struct timespec now;
    if (threads > 1) {
        return clock_seconds();
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct work {
    int32_t answers, prompt, answer;
    int threads, rounds;
    struct backend *backend;
    struct trainable trainable;
    struct family family;
};

/* One way to compute the ranking, and what came of it. */
struct way {
    const char *name;
    struct batch batch;
    struct pass *pass;
    float *scores, *dscores, *gradients;
    double seconds; /* the fastest round */
    size_t activations;
};

static int64_t trained_numbers(const struct work *work)
{
    int64_t count = 0;
    for (int32_t p = 0; p < work->trainable.parameters->count; p++) {
        count += parameter_size(&work->trainable.parameters->items[p]);
    }
    return count;
}

/* Tokens drawn for the place: what they are does not matter. */
static void draw(int32_t *ids, int32_t count, uint64_t stream)
{
    for (int32_t i = 0; i < count; i++) {
        ids[i] = IDS_FROM + (int32_t)(random_u64(1, RANDOM_MIX, stream, (uint64_t)i) % (IDS_TO - IDS_FROM));
    }
}

static void open_work(struct work *work, const char *folder)
{
    struct err err;
    char yaml[1024];
    struct recipe *recipe;
    int length = snprintf(yaml, sizeof yaml,
                          "model_name_or_path: %s\noutput_dir: none\ndataset: none\nlora_r: 16\nlora_alpha: 32\n"
                          "lora_dropout: 0\nlora_target_modules: all-linear\n",
                          folder);
    check(recipe_load_text(&recipe, &all_stages, &reward_stage, "bench", yaml, (size_t)length, 0, NULL, &err), &err);
    check(
        cpu_backend_create(&work->backend, &(struct cpu_options){.compute = DTYPE_F32, .threads = work->threads}, &err),
        &err);
    check(trainable_open(&work->trainable, recipe, true, &err), &err);
    check(trainable_load(&work->trainable, work->backend, &err), &err);
    recipe_free(recipe);

    size_t answers = (size_t)work->answers;
    int32_t *ids = mem_alloc((size_t)work->prompt + answers * (size_t)work->answer, sizeof *ids, &err);
    struct family_ids prompt = {ids, work->prompt}, *own = mem_alloc(answers, sizeof *own, &err);
    check(ids && own ? 0 : -1, &err);
    draw(ids, work->prompt, 0);
    for (int32_t a = 0; a < work->answers; a++) {
        int32_t *place = ids + work->prompt + (size_t)a * (size_t)work->answer;
        draw(place, work->answer, 1 + (uint64_t)a);
        own[a] = (struct family_ids){place, work->answer};
    }
    check(family_from_ids(&work->family, &prompt, own, work->answers, &err), &err);
    mem_free(ids);
    mem_free(own);
}

/* Each answer behind a prompt of its own. */
static void append_separately(struct batch *batch, const struct family *family)
{
    for (int32_t a = 0; a < family->count; a++) {
        struct err err;
        int32_t length = family_length(family, a), own = length - family->shared;
        int32_t *ids = mem_alloc((size_t)length, sizeof *ids, &err);
        check(ids ? 0 : -1, &err);
        memcpy(ids, family->ids, (size_t)family->shared * sizeof *ids);
        memcpy(ids + family->shared, family->ids + family->starts[a], (size_t)own * sizeof *ids);
        int32_t segment = batch_append(batch, ids, NULL, length, -1, 0);
        batch_read(batch, segment, batch->tokens - 1);
        mem_free(ids);
    }
}

static void open_way(struct way *way, struct work *work, const char *name, bool shared)
{
    struct err err;
    const struct family *family = &work->family;
    struct memory_plan plan = {0};
    int64_t tokens = shared ? family_tokens(family) : family_unshared_tokens(family);
    struct pass_limits limits = {.tokens = (int32_t)tokens,
                                 .segments = shared ? family_segments(family) : family->count,
                                 .predictions = family->count,
                                 .max_rank = trainable_max_rank(&work->trainable),
                                 .training = true,
                                 .scorer = true};
    *way = (struct way){.name = name, .seconds = INFINITY};
    check(batch_create(&way->batch, limits.tokens, limits.segments, limits.predictions, &err), &err);
    if (shared) {
        family_append(&way->batch, family, 0);
    } else {
        append_separately(&way->batch, family);
    }
    check(pass_plan(work->trainable.model, &limits, work->backend, &plan, &err), &err);
    check(pass_create(&way->pass, work->trainable.model, &limits, &err), &err);
    way->activations = memory_plan_total(&plan);
    way->scores = mem_alloc((size_t)family->count, sizeof *way->scores, &err);
    way->dscores = mem_alloc((size_t)family->count, sizeof *way->dscores, &err);
    way->gradients = mem_alloc((size_t)trained_numbers(work), sizeof *way->gradients, &err);
    check(way->scores && way->dscores && way->gradients ? 0 : -1, &err);
}

static void close_way(struct way *way)
{
    pass_free(way->pass);
    batch_free(&way->batch);
    mem_free(way->scores);
    mem_free(way->dscores);
    mem_free(way->gradients);
}

static void clear_gradients(struct work *work)
{
    const struct parameter_list *list = work->trainable.parameters;
    for (int32_t p = 0; p < list->count; p++) {
        work->backend->fill(
            work->backend, &(struct fill_args){.x = list->items[p].gradient, .count = parameter_size(&list->items[p])});
    }
}

static void fetch_gradients(struct way *way, struct work *work)
{
    const struct parameter_list *list = work->trainable.parameters;
    float *out = way->gradients;
    for (int32_t p = 0; p < list->count; p++) {
        struct err err;
        size_t count = (size_t)parameter_size(&list->items[p]);
        check(backend_download(work->backend, out, list->items[p].gradient, count * sizeof *out, &err), &err);
        out += count;
    }
}

static void step(struct way *way, struct work *work)
{
    struct err err;
    int32_t ranks[REWARD_LOSS_ANSWERS_MAX];
    struct reward_outcome outcome;
    const struct score_head *head = trainable_score(&work->trainable);
    clear_gradients(work);
    check(work->backend->synchronize(work->backend, &err), &err);
    double start = seconds_now(work->threads);
    pass_load(way->pass, &way->batch);
    pass_forward(way->pass, work->trainable.overlay, true);
    check(pass_score(way->pass, head, way->scores, &err), &err);
    for (int32_t a = 0; a < work->answers; a++) {
        ranks[a] = a + 1;
    }
    reward_loss(way->scores, ranks, NULL, work->answers, &(struct reward_loss_options){0}, 1, way->dscores, &outcome);
    pass_score_backward(way->pass, work->trainable.overlay, head, way->dscores);
    check(work->backend->synchronize(work->backend, &err), &err);
    double seconds = seconds_now(work->threads) - start;
    if (seconds < way->seconds) {
        way->seconds = seconds;
    }
    fetch_gradients(way, work);
}

/* norm(a - b) / norm(b) */
static double apart(const float *a, const float *b, int64_t count)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

static void print_way(const struct way *way)
{
    printf("%-9s %6d tokens  %8.3f s a step  %6.0f MiB of activations\n", way->name, way->batch.tokens, way->seconds,
           (double)way->activations / (1 << 20));
}

static int whole(int argc, char **argv, int place, int initial)
{
    return argc > place ? atoi(argv[place]) : initial;
}

int main(int argc, char **argv)
{
    struct work work = {.answers = whole(argc, argv, 2, 9),
                        .prompt = whole(argc, argv, 3, 256),
                        .answer = whole(argc, argv, 4, 64),
                        .threads = whole(argc, argv, 5, 2),
                        .rounds = whole(argc, argv, 6, 3)};
    struct way shared, separate;
    if (argc < 2 || work.answers < 2 || work.answers > REWARD_LOSS_ANSWERS_MAX || work.prompt < 1 || work.answer < 1) {
        fprintf(stderr,
                "usage: bench-reward_shared MODEL [answers] [prompt tokens] [answer tokens] [threads] [rounds]\n");
        return 2;
    }
    log_set_quiet(true);
    open_work(&work, argv[1]);
    open_way(&shared, &work, "shared", true);
    open_way(&separate, &work, "separate", false);
    for (int round = 0; round < work.rounds; round++) {
        step(&shared, &work);
        step(&separate, &work);
    }
    print_way(&shared);
    print_way(&separate);
    double of_scores = apart(shared.scores, separate.scores, work.answers),
           of_gradients = apart(shared.gradients, separate.gradients, trained_numbers(&work));
    printf("%.2f times fewer tokens, %.2f times faster; scores %.1e and gradients %.1e apart\n",
           (double)separate.batch.tokens / shared.batch.tokens, separate.seconds / shared.seconds, of_scores,
           of_gradients);
    bool same = of_scores <= BOUND && of_gradients <= BOUND;
    close_way(&shared);
    close_way(&separate);
    family_free(&work.family);
    trainable_close(&work.trainable);
    work.backend->free(work.backend);
    return same ? 0 : 1;
}
