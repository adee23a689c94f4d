/* session/score_queue.c - see score_queue.h. */
#include "session/score_queue.h"
#include "base/mem.h"
#include <math.h>

int score_queue_open(struct score_queue *queue, const struct session *session, int64_t max_length, struct err *err)
{
    *queue = (struct score_queue){.session = session};
    struct family_options options = scorer_family_options(&session->scorer, max_length);
    return family_encoder_open(&queue->encoder, &options, err);
}

static void free_pass(struct score_queue *queue)
{
    pass_free(queue->pass);
    batch_free(&queue->batch);
    queue->pass = NULL;
}

void score_queue_close(struct score_queue *queue)
{
    for (size_t i = 0; i < queue->capacity; i++) {
        family_free(&queue->items[i].family);
    }
    mem_free(queue->items);
    free_pass(queue);
    family_encoder_close(queue->encoder);
    *queue = (struct score_queue){0};
}

int score_queue_add(struct score_queue *queue, const json_t *messages, const struct family_answer *answers,
                    int32_t count, float *scores, struct err *err)
{
    struct score_queue_item *items = mem_grow(queue->items, &queue->capacity, queue->count + 1, sizeof *items, err);
    if (!items) {
        return -1;
    }
    queue->items = items;
    struct score_queue_item *item = &items[queue->count];
    bool *fits = mem_alloc((size_t)count, sizeof *fits, err);
    int result = fits ? family_encode(queue->encoder, messages, answers, count, &item->family, fits, err) : -1;
    if (result == 0) {
        result = scorer_check(&queue->session->scorer, &item->family, err);
    }
    if (result == 0) {
        for (int32_t k = 0; k < count; k++) {
            scores[k] = fits[k] ? 0 : NAN;
        }
        item->scores = scores;
        item->count = count;
        queue->count++;
        queue->tokens += item->family.count > 0 ? family_tokens(&item->family) : 0;
    }
    mem_free(fits);
    return result;
}

bool score_queue_is_full(const struct score_queue *queue)
{
    return queue->tokens >= SCORE_QUEUE_TOKENS;
}

/* A pass with room for the longest conversation that waits. */
static int make_pass(struct score_queue *queue, struct err *err)
{
    const struct scorer *scorer = &queue->session->scorer;
    int32_t longest = 1;
    for (size_t i = 0; i < queue->count; i++) {
        if (family_longest(&queue->items[i].family) > longest) {
            longest = family_longest(&queue->items[i].family);
        }
    }
    if (queue->pass && pass_limits(queue->pass)->tokens >= longest) {
        return 0;
    }
    free_pass(queue);
    struct pass_limits limits = scorer_limits(scorer, longest, scorer->model->backend->traits.pass_tokens);
    return pass_create(&queue->pass, scorer->model, &limits, err) == 0
               ? batch_create(&queue->batch, limits.tokens, limits.segments, limits.predictions, err)
               : -1;
}

int score_queue_run(struct score_queue *queue, struct err *err)
{
    size_t answers = 0;
    for (size_t i = 0; i < queue->count; i++) {
        answers += (size_t)queue->items[i].family.count;
    }
    struct family *families = mem_alloc(queue->count, sizeof *families, err);
    float *scores = mem_alloc(answers, sizeof *scores, err), *next = scores;
    int result = families && scores && make_pass(queue, err) == 0 ? 0 : -1;
    for (size_t i = 0; result == 0 && i < queue->count; i++) {
        families[i] = queue->items[i].family;
    }
    if (result == 0) {
        result = scorer_score(&queue->session->scorer, queue->pass, &queue->batch, families, queue->count, scores, err);
    }
    for (size_t i = 0; result == 0 && i < queue->count; i++) {
        for (int32_t k = 0; k < queue->items[i].count; k++) {
            if (!isnan(queue->items[i].scores[k])) {
                queue->items[i].scores[k] = *next++;
            }
        }
    }
    queue->count = 0;
    queue->tokens = 0;
    mem_free(families);
    mem_free(scores);
    return result;
}
