/* model/generate/generate.c - see generate.h. */
#include "model/generate/generate.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/threads.h"
#include <assert.h>
#include <string.h>

#define PREFILL_ROWS 256 /* tokens of prompts in one pass */

/* One answer in the making. */
struct sequence {
    bool live;
    int32_t *ids;    /* [max_prompt + max_new]: prompt and answer, for the repetition penalty too */
    float *logprobs; /* [max_new] */
    int32_t made;    /* tokens of the answer so far */
};

/* One request's place in the cache: rows for its prompt, then rows for each sample's answer. */
struct family {
    bool used;
    size_t request;
    int32_t samples, live;
    int32_t prompt, done; /* tokens of the prompt, and how many of them are in the cache */
    int32_t first_row;
};

/* The next token of a sequence: where its logits are, and what was drawn from them. */
struct draw {
    struct family *family;
    int32_t sample;
    const float *logits;
    int32_t id;
    float logprob;
};

struct generator {
    struct model *model;
    struct generator_limits limits;
    struct pass *pass;
    struct sampler *samplers; /* one a thread of the backend's pool */
    int sampler_count;
    struct family *families;
    struct sequence *sequences; /* [family_count * samples] */
    int32_t family_count;
    float *logits; /* host [spans, vocabulary] */
    int32_t *ids, *positions, *slots;
    struct attention_span *spans;
    struct family **span_families; /* of each span of a prefill */
    struct draw *draws;            /* [family_count * samples] */

    const struct overlay *overlay; /* of the run under way */
    const struct generate_request *requests;
    const struct generate_options *options;
    const struct generate_events *events;
};

static int32_t family_rows(const struct generator_limits *limits)
{
    return limits->max_prompt + limits->samples * limits->max_new;
}

static int32_t family_places(const struct generator_limits *limits)
{
    int32_t places = limits->sequences / limits->samples;
    return places > 0 ? places : 1;
}

static struct pass_limits pass_limits_of(const struct generator_limits *limits)
{
    int32_t families = family_places(limits), sequences = families * limits->samples;
    return (struct pass_limits){
        .tokens = sequences > PREFILL_ROWS ? sequences : PREFILL_ROWS,
        .segments = sequences,
        .max_rank = limits->max_rank,
        .cache_rows = families * family_rows(limits),
    };
}

/* One a thread of the backend's pool. */
static int sampler_count(const struct backend *backend)
{
    return backend->pool ? pool_threads(backend->pool) : 1;
}

int generator_plan(struct model *model, const struct generator_limits *limits, struct backend *backend,
                   struct memory_plan *plan, struct err *err)
{
    struct pass_limits pass = pass_limits_of(limits);
    size_t sequences = (size_t)pass.segments, vocabulary = (size_t)model->config.vocabulary;
    size_t prompt = (size_t)limits->max_prompt, answer = (size_t)limits->max_new;
    plan->bytes[MEMORY_HOST] +=
        sequences * (vocabulary * sizeof(float) + (prompt + answer) * sizeof(int32_t) + answer * sizeof(float)) +
        (size_t)sampler_count(backend) * sampler_size(model->config.vocabulary);
    return pass_plan(model, &pass, backend, plan, err);
}

static int create_arrays(struct generator *generator, const struct pass_limits *pass, struct err *err)
{
    const struct generator_limits *limits = &generator->limits;
    size_t tokens = (size_t)pass->tokens, sequences = (size_t)pass->segments;
    size_t history = (size_t)limits->max_prompt + (size_t)limits->max_new;
    generator->families = mem_alloc((size_t)generator->family_count, sizeof *generator->families, err);
    generator->sequences = mem_alloc(sequences, sizeof *generator->sequences, err);
    generator->logits =
        mem_alloc(sequences * (size_t)generator->model->config.vocabulary, sizeof *generator->logits, err);
    generator->ids = mem_alloc(tokens, sizeof(int32_t), err);
    generator->positions = mem_alloc(tokens, sizeof(int32_t), err);
    generator->slots = mem_alloc(tokens, sizeof(int32_t), err);
    generator->spans = mem_alloc(sequences, sizeof *generator->spans, err);
    generator->span_families = mem_alloc(sequences, sizeof *generator->span_families, err);
    generator->draws = mem_alloc(sequences, sizeof *generator->draws, err);
    if (!generator->families || !generator->sequences || !generator->logits || !generator->ids ||
        !generator->positions || !generator->slots || !generator->spans || !generator->span_families ||
        !generator->draws)
        return -1;
    for (size_t i = 0; i < sequences; i++) {
        generator->sequences[i].ids = mem_alloc(history, sizeof(int32_t), err);
        generator->sequences[i].logprobs = mem_alloc((size_t)limits->max_new, sizeof(float), err);
        if (!generator->sequences[i].ids || !generator->sequences[i].logprobs)
            return -1;
    }
    return 0;
}

static int create_samplers(struct generator *generator, struct err *err)
{
    int count = sampler_count(generator->model->backend);
    generator->samplers = mem_alloc((size_t)count, sizeof *generator->samplers, err);
    if (!generator->samplers)
        return -1;
    for (; generator->sampler_count < count; generator->sampler_count++)
        if (sampler_create(&generator->samplers[generator->sampler_count], generator->model->config.vocabulary, err) !=
            0)
            return -1;
    return 0;
}

int generator_create(struct generator **out, struct model *model, const struct generator_limits *limits,
                     struct err *err)
{
    assert(limits->sequences > 0 && limits->samples > 0 && limits->max_prompt > 0 && limits->max_new > 0);
    struct generator *generator = mem_alloc(1, sizeof *generator, err);
    if (!generator)
        return -1;
    generator->model = model;
    generator->limits = *limits;
    generator->family_count = family_places(limits);
    struct pass_limits pass = pass_limits_of(limits);
    if (create_arrays(generator, &pass, err) != 0 || create_samplers(generator, err) != 0 ||
        pass_create(&generator->pass, model, &pass, err) != 0) {
        generator_free(generator);
        return -1;
    }
    for (int32_t f = 0; f < generator->family_count; f++)
        generator->families[f].first_row = f * family_rows(limits);
    *out = generator;
    return 0;
}

void generator_free(struct generator *generator)
{
    if (!generator)
        return;
    int32_t sequences = generator->sequences ? generator->family_count * generator->limits.samples : 0;
    for (int32_t i = 0; i < sequences; i++) {
        mem_free(generator->sequences[i].ids);
        mem_free(generator->sequences[i].logprobs);
    }
    pass_free(generator->pass);
    for (int i = 0; i < generator->sampler_count; i++)
        sampler_free(&generator->samplers[i]);
    mem_free(generator->samplers);
    mem_free(generator->families);
    mem_free(generator->sequences);
    mem_free(generator->logits);
    mem_free(generator->ids);
    mem_free(generator->positions);
    mem_free(generator->slots);
    mem_free(generator->spans);
    mem_free(generator->span_families);
    mem_free(generator->draws);
    mem_free(generator);
}

static struct sequence *family_sequence(struct generator *generator, const struct family *family, int32_t sample)
{
    return &generator->sequences[(family - generator->families) * generator->limits.samples + sample];
}

static void draw(void *context, int64_t index)
{
    struct generator *generator = context;
    struct draw *draw = &generator->draws[index];
    const struct family *family = draw->family;
    const struct generate_request *request = &generator->requests[family->request];
    const struct generate_options *options = generator->options;
    const struct sequence *sequence = family_sequence(generator, family, draw->sample);
    int32_t length = family->prompt + sequence->made;
    double uniform =
        random_uniform(options->seed, RANDOM_SAMPLE, request->key + ((uint64_t)draw->sample << 48), (uint64_t)length);
    draw->id = sampler_draw(&generator->samplers[pool_thread_index()], draw->logits, &options->sampling, sequence->ids,
                            length, uniform, &draw->logprob);
}

/* Appends what was drawn to its sequence, and ends that where it is time. */
static int advance(struct generator *generator, const struct draw *draw, struct err *err)
{
    const struct generate_options *options = generator->options;
    struct family *family = draw->family;
    struct sequence *sequence = family_sequence(generator, family, draw->sample);
    sequence->ids[family->prompt + sequence->made] = draw->id;
    sequence->logprobs[sequence->made++] = draw->logprob;
    bool stopped = stop_tokens_have(options->stop_tokens, draw->id);
    bool ended = generator->events->token &&
                 generator->events->token(generator->events->context, family->request, draw->sample, draw->id) != 0;
    if (!stopped && !ended && sequence->made < options->max_new_tokens)
        return 0;
    sequence->live = false;
    if (--family->live == 0)
        family->used = false;
    struct generated answer = {.request = family->request,
                               .sample = draw->sample,
                               .ids = sequence->ids + family->prompt,
                               .logprobs = sequence->logprobs,
                               .length = sequence->made,
                               .stopped = stopped};
    return generator->events->finished ? generator->events->finished(generator->events->context, &answer, err) : 0;
}

/* Sequences go by themselves, so many are drawn at once; what comes of them is told in their order. */
static int draw_all(struct generator *generator, int32_t count, struct err *err)
{
    struct pool *pool = generator->model->backend->pool;
    if (pool)
        pool_run(pool, draw, generator, count);
    else
        for (int32_t i = 0; i < count; i++)
            draw(generator, i);
    for (int32_t i = 0; i < count; i++)
        if (advance(generator, &generator->draws[i], err) != 0)
            return -1;
    return 0;
}

static const float *span_logits(const struct generator *generator, int32_t span)
{
    return generator->logits + (size_t)span * (size_t)generator->model->config.vocabulary;
}

static void admit(struct generator *generator, struct family *family, size_t number)
{
    const struct generate_request *request = &generator->requests[number];
    assert(request->length >= 1 && request->length <= generator->limits.max_prompt && request->samples >= 1 &&
           request->samples <= generator->limits.samples);
    family->used = true;
    family->request = number;
    family->samples = family->live = request->samples;
    family->prompt = request->length;
    family->done = 0;
    for (int32_t s = 0; s < request->samples; s++) {
        struct sequence *sequence = family_sequence(generator, family, s);
        sequence->live = true;
        sequence->made = 0;
        memcpy(sequence->ids, request->prompt, (size_t)request->length * sizeof(int32_t));
    }
}

static int extend(struct generator *generator, int32_t rows, int32_t spans, float *logits, struct err *err)
{
    struct cached_rows cached = {.ids = generator->ids,
                                 .positions = generator->positions,
                                 .slots = generator->slots,
                                 .spans = generator->spans,
                                 .rows = rows,
                                 .span_count = spans};
    return pass_extend(generator->pass, generator->overlay, &cached, logits, err);
}

/* Puts as many waiting prompt tokens into the cache as one pass takes; answers begin where a prompt is complete. *more:
 * work was left. */
static int prefill(struct generator *generator, bool *more, struct err *err)
{
    int32_t rows = 0, spans = 0, room = pass_limits(generator->pass)->tokens;
    *more = false;
    for (int32_t f = 0; f < generator->family_count; f++) {
        struct family *family = &generator->families[f];
        if (!family->used || family->done == family->prompt)
            continue;
        if (rows == room) {
            *more = true;
            break;
        }
        int32_t waiting = family->prompt - family->done, taken = waiting < room - rows ? waiting : room - rows;
        generator->spans[spans] = (struct attention_span){
            .query = rows, .queries = taken, .key = family->first_row, .keys = family->done + taken};
        generator->span_families[spans++] = family;
        for (int32_t i = 0; i < taken; i++, rows++) {
            generator->ids[rows] = generator->requests[family->request].prompt[family->done + i];
            generator->positions[rows] = family->done + i;
            generator->slots[rows] = family->first_row + family->done + i;
        }
        family->done += taken;
        *more = *more || family->done < family->prompt;
    }
    if (rows == 0)
        return 0;
    if (extend(generator, rows, spans, generator->logits, err) != 0)
        return -1;
    int32_t draws = 0;
    for (int32_t i = 0; i < spans; i++) {
        struct family *family = generator->span_families[i];
        for (int32_t s = 0; s < family->samples && family->done == family->prompt; s++)
            generator->draws[draws++] = (struct draw){family, s, span_logits(generator, i), 0, 0};
    }
    return draw_all(generator, draws, err);
}

/* One more token for every live answer. */
static int decode(struct generator *generator, struct err *err)
{
    int32_t rows = 0;
    for (int32_t f = 0; f < generator->family_count; f++) {
        struct family *family = &generator->families[f];
        for (int32_t s = 0; family->used && s < family->samples; s++) {
            struct sequence *sequence = family_sequence(generator, family, s);
            if (!sequence->live)
                continue;
            int32_t own = family->first_row + generator->limits.max_prompt + s * generator->limits.max_new;
            generator->ids[rows] = sequence->ids[family->prompt + sequence->made - 1];
            generator->positions[rows] = family->prompt + sequence->made - 1;
            generator->slots[rows] = own + sequence->made - 1;
            generator->spans[rows] = (struct attention_span){.query = rows,
                                                             .queries = 1,
                                                             .key = own,
                                                             .keys = sequence->made,
                                                             .parent = family->first_row,
                                                             .parent_keys = family->prompt};
            generator->draws[rows] = (struct draw){family, s, span_logits(generator, rows), 0, 0};
            rows++;
        }
    }
    if (rows == 0)
        return 0;
    if (extend(generator, rows, rows, generator->logits, err) != 0)
        return -1;
    return draw_all(generator, rows, err);
}

static bool any_used(const struct generator *generator)
{
    for (int32_t f = 0; f < generator->family_count; f++)
        if (generator->families[f].used)
            return true;
    return false;
}

int generator_run(struct generator *generator, const struct overlay *overlay, const struct generate_request *requests,
                  size_t count, const struct generate_options *options, const struct generate_events *events,
                  struct err *err)
{
    assert(options->max_new_tokens >= 1 && options->max_new_tokens <= generator->limits.max_new);
    generator->overlay = overlay;
    generator->requests = requests;
    generator->options = options;
    generator->events = events;
    for (int32_t f = 0; f < generator->family_count; f++)
        generator->families[f].used = false;
    size_t next = 0;
    do {
        for (int32_t f = 0; f < generator->family_count && next < count; f++)
            if (!generator->families[f].used)
                admit(generator, &generator->families[f], next++);
        bool more = true;
        while (more)
            if (prefill(generator, &more, err) != 0)
                return -1;
        if (decode(generator, err) != 0)
            return -1;
    } while (next < count || any_used(generator));
    return 0;
}
