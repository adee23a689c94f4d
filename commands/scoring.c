/* commands/scoring.c - see scoring.h. */
#include "commands/scoring.h"
#include "base/mem.h"
#include <assert.h>
#include <math.h>

int scoring_open(struct scoring *scoring, const struct opened *opened, int64_t max_length, struct err *err)
{
    *scoring = (struct scoring){.opened = opened};
    struct family_options options = scorer_family_options(&opened->scorer, max_length);
    return family_encoder_open(&scoring->encoder, &options, err);
}

static void free_pass(struct scoring *scoring)
{
    pass_free(scoring->pass);
    batch_free(&scoring->batch);
    scoring->pass = NULL;
}

void scoring_close(struct scoring *scoring)
{
    for (size_t i = 0; i < scoring->capacity; i++)
        family_free(&scoring->items[i].family);
    mem_free(scoring->items);
    free_pass(scoring);
    family_encoder_close(scoring->encoder);
    *scoring = (struct scoring){0};
}

int scoring_add(struct scoring *scoring, const json_t *messages, const struct family_answer *answers, int32_t count,
                float *scores, struct err *err)
{
    struct scoring_family *items = mem_grow(scoring->items, &scoring->capacity, scoring->count + 1, sizeof *items, err);
    if (!items)
        return -1;
    scoring->items = items;
    struct scoring_family *item = &items[scoring->count];
    bool *fits = mem_alloc((size_t)count, sizeof *fits, err);
    int rc = fits ? family_encode(scoring->encoder, messages, answers, count, &item->family, fits, err) : -1;
    if (rc == 0)
        rc = scorer_check(&scoring->opened->scorer, &item->family, err);
    if (rc == 0) {
        for (int32_t k = 0; k < count; k++)
            scores[k] = fits[k] ? 0 : NAN;
        item->scores = scores;
        item->count = count;
        scoring->count++;
        scoring->tokens += item->family.count > 0 ? family_tokens(&item->family) : 0;
    }
    mem_free(fits);
    return rc;
}

bool scoring_is_full(const struct scoring *scoring)
{
    return scoring->tokens >= SCORING_WAITING_MAX;
}

/* A pass with room for the longest conversation that waits. */
static int make_pass(struct scoring *scoring, struct err *err)
{
    const struct scorer *scorer = &scoring->opened->scorer;
    int32_t longest = 1;
    for (size_t i = 0; i < scoring->count; i++)
        if (family_longest(&scoring->items[i].family) > longest)
            longest = family_longest(&scoring->items[i].family);
    if (scoring->pass && scoring->pass->limits.tokens >= longest)
        return 0;
    free_pass(scoring);
    struct pass_limits limits = scorer_limits(scorer, longest);
    return pass_create(&scoring->pass, scorer->model, &limits, err) == 0
               ? batch_create(&scoring->batch, limits.tokens, limits.segments, limits.predictions, err)
               : -1;
}

int scoring_run(struct scoring *scoring, struct err *err)
{
    size_t answers = 0;
    for (size_t i = 0; i < scoring->count; i++)
        answers += (size_t)scoring->items[i].family.count;
    struct family *families = mem_alloc(scoring->count, sizeof *families, err);
    float *scores = mem_alloc(answers, sizeof *scores, err), *next = scores;
    int rc = families && scores && make_pass(scoring, err) == 0 ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < scoring->count; i++)
        families[i] = scoring->items[i].family;
    if (rc == 0)
        rc = scorer_score(&scoring->opened->scorer, scoring->pass, &scoring->batch, families, scoring->count, scores,
                          err);
    for (size_t i = 0; rc == 0 && i < scoring->count; i++)
        for (int32_t k = 0; k < scoring->items[i].count; k++)
            if (!isnan(scoring->items[i].scores[k]))
                scoring->items[i].scores[k] = *next++;
    scoring->count = 0;
    scoring->tokens = 0;
    mem_free(families);
    mem_free(scores);
    return rc;
}
