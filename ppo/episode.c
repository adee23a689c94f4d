/* ppo/episode.c - see episode.h. */
#include "ppo/episode.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

int episodes_create(struct episodes *episodes, int64_t answers, int64_t tokens, int64_t group_size, struct err *err)
{
    assert(answers > 0 && tokens > 0 && group_size > 0);
    size_t count = (size_t)tokens;
    *episodes = (struct episodes){.capacity = answers, .token_capacity = tokens, .group_size = group_size};
    episodes->items = mem_alloc((size_t)answers, sizeof *episodes->items, err);
    episodes->tokens = mem_alloc(count, sizeof *episodes->tokens, err);
    float **reals[] = {&episodes->sampled_logprobs, &episodes->old_logprobs, &episodes->reference_logprobs,
                       &episodes->values};
    double **doubles[] = {&episodes->rewards, &episodes->advantages, &episodes->returns};
    bool complete = episodes->items && episodes->tokens;
    for (size_t i = 0; i < sizeof reals / sizeof *reals && complete; i++) {
        *reals[i] = mem_alloc(count, sizeof **reals[i], err);
        complete = *reals[i] != NULL;
    }
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles && complete; i++) {
        *doubles[i] = mem_alloc(count, sizeof **doubles[i], err);
        complete = *doubles[i] != NULL;
    }
    if (!complete) {
        episodes_free(episodes);
        return -1;
    }
    return 0;
}

void episodes_free(struct episodes *episodes)
{
    mem_free(episodes->items);
    mem_free(episodes->tokens);
    mem_free(episodes->sampled_logprobs);
    mem_free(episodes->old_logprobs);
    mem_free(episodes->reference_logprobs);
    mem_free(episodes->values);
    mem_free(episodes->rewards);
    mem_free(episodes->advantages);
    mem_free(episodes->returns);
    *episodes = (struct episodes){0};
}

int64_t episodes_size(int64_t answers, int64_t tokens)
{
    const int64_t by_token = (int64_t)(sizeof(int32_t) + 4 * sizeof(float) + 3 * sizeof(double));
    return answers * (int64_t)sizeof(struct episode) + tokens * by_token;
}

void episodes_clear(struct episodes *episodes)
{
    episodes->count = episodes->token_count = 0;
}

struct episode *episodes_append(struct episodes *episodes, const int32_t *tokens, int64_t length, bool stopped)
{
    assert(length > 0 && episodes->count < episodes->capacity);
    assert(length <= episodes->token_capacity - episodes->token_count);
    struct episode *episode = &episodes->items[episodes->count];
    size_t first = (size_t)episodes->token_count, count = (size_t)length;
    *episode = (struct episode){.prompt = episodes->count / episodes->group_size,
                                .sample = episodes->count % episodes->group_size,
                                .first = episodes->token_count,
                                .length = length,
                                .stopped = stopped};
    memcpy(episodes->tokens + first, tokens, count * sizeof *tokens);
    memset(episodes->sampled_logprobs + first, 0, count * sizeof(float));
    memset(episodes->old_logprobs + first, 0, count * sizeof(float));
    memset(episodes->reference_logprobs + first, 0, count * sizeof(float));
    memset(episodes->values + first, 0, count * sizeof(float));
    memset(episodes->rewards + first, 0, count * sizeof(double));
    memset(episodes->advantages + first, 0, count * sizeof(double));
    memset(episodes->returns + first, 0, count * sizeof(double));
    episodes->count++;
    episodes->token_count += length;
    return episode;
}
