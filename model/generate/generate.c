/* model/generate/generate.c - see generate.h. */
#include "model/generate/generate.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "base/threads.h"
#include <assert.h>
#include <string.h>

#define PREFILL_ROWS 256 /* tokens of prompts in one pass */

/* One answer in the making. */
struct answer_sequence {
    bool live;
    int32_t *ids;    /* [max_prompt + max_new]: prompt and answer, for the repetition penalty too */
    float *logprobs; /* [max_new] */
    int32_t made;    /* tokens of the answer so far */
};

/* One request's place in the cache: rows for its prompt, then rows for each sample's answer. */
struct cache_place {
    bool used;
    size_t request;
    int32_t samples, live;
    int32_t prompt, done; /* tokens of the prompt, and how many of them are in the cache */
    int32_t first_row;
};

/* The next token of a sequence: where its logits are, and what was drawn from them. */
struct draw {
    struct cache_place *place;
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
    struct cache_place *places;
    struct answer_sequence *sequences; /* [place_count * samples] */
    int32_t place_count;
    float *logits; /* host [spans, vocabulary] */
    int32_t *ids, *positions, *slots;
    struct attention_span *spans;
    struct cache_place **span_places; /* of each span of a prefill */
    struct draw *draws;               /* [place_count * samples] */

    const struct overlay *overlay; /* of the run under way */
    const struct generate_request *requests;
    const struct generate_options *options;
    const struct generate_events *events;
};

static int32_t place_rows(const struct generator_limits *limits)
{
    return limits->max_prompt + limits->samples * limits->max_new;
}

static int32_t cache_places(const struct generator_limits *limits)
{
    int32_t places = limits->sequences / limits->samples;
    return max(places, 1);
}

static struct pass_limits pass_limits_of(const struct generator_limits *limits)
{
    int32_t places = cache_places(limits), sequences = places * limits->samples;
    return (struct pass_limits){
        .tokens = max(sequences, PREFILL_ROWS),
        .segments = sequences,
        .max_rank = limits->max_rank,
        .cache_rows = places * place_rows(limits),
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
    generator->places = mem_alloc((size_t)generator->place_count, sizeof *generator->places, err);
    generator->sequences = mem_alloc(sequences, sizeof *generator->sequences, err);
    generator->logits =
        mem_alloc(sequences * (size_t)generator->model->config.vocabulary, sizeof *generator->logits, err);
    generator->ids = mem_alloc(tokens, sizeof(int32_t), err);
    generator->positions = mem_alloc(tokens, sizeof(int32_t), err);
    generator->slots = mem_alloc(tokens, sizeof(int32_t), err);
    generator->spans = mem_alloc(sequences, sizeof *generator->spans, err);
    generator->span_places = mem_alloc(sequences, sizeof *generator->span_places, err);
    generator->draws = mem_alloc(sequences, sizeof *generator->draws, err);
    if (!generator->places || !generator->sequences || !generator->logits || !generator->ids || !generator->positions ||
        !generator->slots || !generator->spans || !generator->span_places || !generator->draws) {
        return -1;
    }
    for (size_t i = 0; i < sequences; i++) {
        generator->sequences[i].ids = mem_alloc(history, sizeof(int32_t), err);
        generator->sequences[i].logprobs = mem_alloc((size_t)limits->max_new, sizeof(float), err);
        if (!generator->sequences[i].ids || !generator->sequences[i].logprobs) {
            return -1;
        }
    }
    return 0;
}

static int create_samplers(struct generator *generator, struct err *err)
{
    int count = sampler_count(generator->model->backend);
    generator->samplers = mem_alloc((size_t)count, sizeof *generator->samplers, err);
    if (!generator->samplers) {
        return -1;
    }
    for (; generator->sampler_count < count; generator->sampler_count++) {
        if (sampler_create(&generator->samplers[generator->sampler_count], generator->model->config.vocabulary, err) !=
            0) {
            return -1;
        }
    }
    return 0;
}

int generator_create(struct generator **out, struct model *model, const struct generator_limits *limits,
                     struct err *err)
{
    assert(limits->sequences > 0 && limits->samples > 0 && limits->max_prompt > 0 && limits->max_new > 0);
    struct generator *generator = mem_alloc(1, sizeof *generator, err);
    if (!generator) {
        return -1;
    }
    generator->model = model;
    generator->limits = *limits;
    generator->place_count = cache_places(limits);
    struct pass_limits pass = pass_limits_of(limits);
    if (create_arrays(generator, &pass, err) != 0 || create_samplers(generator, err) != 0 ||
        pass_create(&generator->pass, model, &pass, err) != 0) {
        generator_free(generator);
        return -1;
    }
    for (int32_t p = 0; p < generator->place_count; p++) {
        generator->places[p].first_row = p * place_rows(limits);
    }
    *out = generator;
    return 0;
}

void generator_free(struct generator *generator)
{
    if (!generator) {
        return;
    }
    int32_t sequences = generator->sequences ? generator->place_count * generator->limits.samples : 0;
    for (int32_t i = 0; i < sequences; i++) {
        mem_free(generator->sequences[i].ids);
        mem_free(generator->sequences[i].logprobs);
    }
    pass_free(generator->pass);
    for (int i = 0; i < generator->sampler_count; i++) {
        sampler_free(&generator->samplers[i]);
    }
    mem_free(generator->samplers);
    mem_free(generator->places);
    mem_free(generator->sequences);
    mem_free(generator->logits);
    mem_free(generator->ids);
    mem_free(generator->positions);
    mem_free(generator->slots);
    mem_free(generator->spans);
    mem_free(generator->span_places);
    mem_free(generator->draws);
    mem_free(generator);
}

static struct answer_sequence *place_sequence(struct generator *generator, const struct cache_place *place,
                                              int32_t sample)
{
    return &generator->sequences[(place - generator->places) * generator->limits.samples + sample];
}

static void draw(void *context, int64_t index)
{
    struct generator *generator = context;
    struct draw *draw = &generator->draws[index];
    const struct cache_place *place = draw->place;
    const struct generate_request *request = &generator->requests[place->request];
    const struct generate_options *options = generator->options;
    const struct answer_sequence *sequence = place_sequence(generator, place, draw->sample);
    int32_t length = place->prompt + sequence->made;
    double uniform =
        random_uniform(options->seed, RANDOM_SAMPLE, request->key + ((uint64_t)draw->sample << 48), (uint64_t)length);
    draw->id = sampler_draw(&generator->samplers[pool_thread_index()], draw->logits, &options->sampling, sequence->ids,
                            length, uniform, &draw->logprob);
}

/* Appends what was drawn to its sequence, and ends that where it is time. */
static int advance(struct generator *generator, const struct draw *draw, struct err *err)
{
    const struct generate_options *options = generator->options;
    struct cache_place *place = draw->place;
    struct answer_sequence *sequence = place_sequence(generator, place, draw->sample);
    sequence->ids[place->prompt + sequence->made] = draw->id;
    sequence->logprobs[sequence->made++] = draw->logprob;
    bool stopped = stop_tokens_have(options->stop_tokens, draw->id);
    bool ended = generator->events->token &&
                 generator->events->token(generator->events->context, place->request, draw->sample, draw->id) != 0;
    if (!stopped && !ended && sequence->made < options->max_new_tokens) {
        return 0;
    }
    sequence->live = false;
    if (--place->live == 0) {
        place->used = false;
    }
    struct generated answer = {.request = place->request,
                               .sample = draw->sample,
                               .ids = sequence->ids + place->prompt,
                               .logprobs = sequence->logprobs,
                               .length = sequence->made,
                               .stopped = stopped};
    return generator->events->finished ? generator->events->finished(generator->events->context, &answer, err) : 0;
}

/* Sequences go by themselves, so many are drawn at once; what comes of them is told in their order. */
static int draw_all(struct generator *generator, int32_t count, struct err *err)
{
    struct pool *pool = generator->model->backend->pool;
    if (pool) {
        pool_run(pool, draw, generator, count);
    } else {
        for (int32_t i = 0; i < count; i++) {
            draw(generator, i);
        }
    }
    for (int32_t i = 0; i < count; i++) {
        if (advance(generator, &generator->draws[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const float *span_logits(const struct generator *generator, int32_t span)
{
    return generator->logits + (size_t)span * (size_t)generator->model->config.vocabulary;
}

static void admit(struct generator *generator, struct cache_place *place, size_t number)
{
    const struct generate_request *request = &generator->requests[number];
    assert(request->length >= 1 && request->length <= generator->limits.max_prompt && request->samples >= 1 &&
           request->samples <= generator->limits.samples);
    place->used = true;
    place->request = number;
    place->samples = place->live = request->samples;
    place->prompt = request->length;
    place->done = 0;
    for (int32_t s = 0; s < request->samples; s++) {
        struct answer_sequence *sequence = place_sequence(generator, place, s);
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
    for (int32_t p = 0; p < generator->place_count; p++) {
        struct cache_place *place = &generator->places[p];
        if (!place->used || place->done == place->prompt) {
            continue;
        }
        if (rows == room) {
            *more = true;
            break;
        }
        int32_t waiting = place->prompt - place->done, taken = min(waiting, room - rows);
        generator->spans[spans] = (struct attention_span){
            .query = rows, .queries = taken, .key = place->first_row, .keys = place->done + taken};
        generator->span_places[spans++] = place;
        for (int32_t i = 0; i < taken; i++, rows++) {
            generator->ids[rows] = generator->requests[place->request].prompt[place->done + i];
            generator->positions[rows] = place->done + i;
            generator->slots[rows] = place->first_row + place->done + i;
        }
        place->done += taken;
        *more = *more || place->done < place->prompt;
    }
    if (rows == 0) {
        return 0;
    }
    if (extend(generator, rows, spans, generator->logits, err) != 0) {
        return -1;
    }
    int32_t draws = 0;
    for (int32_t i = 0; i < spans; i++) {
        struct cache_place *place = generator->span_places[i];
        for (int32_t s = 0; s < place->samples && place->done == place->prompt; s++) {
            generator->draws[draws++] = (struct draw){place, s, span_logits(generator, i), 0, 0};
        }
    }
    return draw_all(generator, draws, err);
}

/* One more token for every live answer. */
static int decode(struct generator *generator, struct err *err)
{
    int32_t rows = 0;
    for (int32_t p = 0; p < generator->place_count; p++) {
        struct cache_place *place = &generator->places[p];
        for (int32_t s = 0; place->used && s < place->samples; s++) {
            struct answer_sequence *sequence = place_sequence(generator, place, s);
            if (!sequence->live) {
                continue;
            }
            int32_t own = place->first_row + generator->limits.max_prompt + s * generator->limits.max_new;
            generator->ids[rows] = sequence->ids[place->prompt + sequence->made - 1];
            generator->positions[rows] = place->prompt + sequence->made - 1;
            generator->slots[rows] = own + sequence->made - 1;
            generator->spans[rows] = (struct attention_span){.query = rows,
                                                             .queries = 1,
                                                             .key = own,
                                                             .keys = sequence->made,
                                                             .parent = place->first_row,
                                                             .parent_keys = place->prompt};
            generator->draws[rows] = (struct draw){place, s, span_logits(generator, rows), 0, 0};
            rows++;
        }
    }
    if (rows == 0) {
        return 0;
    }
    if (extend(generator, rows, rows, generator->logits, err) != 0) {
        return -1;
    }
    return draw_all(generator, rows, err);
}

static bool any_used(const struct generator *generator)
{
    for (int32_t p = 0; p < generator->place_count; p++) {
        if (generator->places[p].used) {
            return true;
        }
    }
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
    for (int32_t p = 0; p < generator->place_count; p++) {
        generator->places[p].used = false;
    }
    size_t next = 0;
    do {
        for (int32_t p = 0; p < generator->place_count && next < count; p++) {
            if (!generator->places[p].used) {
                admit(generator, &generator->places[p], next++);
            }
        }
        bool more = true;
        while (more) {
            if (prefill(generator, &more, err) != 0) {
                return -1;
            }
        }
        if (decode(generator, err) != 0) {
            return -1;
        }
    } while (next < count || any_used(generator));
    return 0;
}
