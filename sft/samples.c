/* sft/samples.c - see internal.h. */
#include "base/log.h"
#include "base/mem.h"
#include "sft/internal.h"
#include "train/stop_tokens.h"
#include <string.h>

#define SAMPLES_AT_ONCE 8

struct generator_limits sft_samples_limits(const struct sft_data *data, int32_t max_rank)
{
    struct generator_limits limits = {.sequences = SAMPLES_AT_ONCE,
                                      .samples = 1,
                                      .max_prompt = prompt_list_longest(data->samples),
                                      .max_new = (int32_t)data->recipe->sample_max_new_tokens,
                                      .max_rank = max_rank};
    if ((size_t)limits.sequences > data->samples->count) {
        limits.sequences = (int32_t)data->samples->count;
    }
    return limits;
}

/* Answers arrive in the order they end; they are written in the order of the prompts. */
struct sample_texts {
    const struct sft_data *data;
    struct strbuf *texts; /* [prompts] */
};

static int keep_answer(void *context, const struct generated *answer, struct err *err)
{
    const struct sample_texts *answers = context;
    return tokenizer_decode(answers->data->text.tokenizer, answer->ids, (size_t)answer->length, TOKENIZER_SKIP_SPECIAL,
                            &answers->texts[answer->request], err);
}

static int write_answers(struct sft_loop *loop, const struct sample_texts *answers, struct err *err)
{
    const struct prompt_list *prompts = loop->data->samples;
    struct run *run = loop->steps.run;
    for (size_t i = 0; i < prompts->count; i++) {
        const char *answer = strbuf_text(&answers->texts[i]);
        log_info("  > %s\n    %s", prompts->items[i].text, answer);
        metrics_begin(run->samples, run->state.step, loop_epoch(&loop->steps, run->state.step));
        metrics_text(run->samples, "prompt", prompts->items[i].text);
        metrics_text(run->samples, "answer", answer);
        if (metrics_end(run->samples, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int sft_samples_write(struct sft_loop *loop, struct err *err)
{
    const struct prompt_list *prompts = loop->data->samples;
    struct generate_request *requests = mem_alloc(prompts->count, sizeof *requests, err);
    struct sample_texts answers = {loop->data, requests ? mem_alloc(prompts->count, sizeof *answers.texts, err) : NULL};
    struct stop_tokens stop_tokens = stop_tokens_of(&loop->trainable->model->config, &loop->data->text);
    int result = answers.texts ? 0 : -1;
    for (size_t i = 0; result == 0 && i < prompts->count; i++) {
        requests[i] =
            (struct generate_request){prompts->items[i].ids, prompts->items[i].count, 1, prompts->items[i].record};
    }
    struct generate_options options = {.sampling = {.top_p = 1, .repetition_penalty = 1},
                                       .max_new_tokens = (int32_t)loop->recipe->sample_max_new_tokens,
                                       .stop_tokens = stop_tokens.ids};
    struct generate_events events = {.context = &answers, .finished = keep_answer};
    if (result == 0) {
        result =
            generator_run(loop->generator, loop->trainable->overlay, requests, prompts->count, &options, &events, err);
    }
    if (result == 0) {
        result = write_answers(loop, &answers, err);
    }
    for (size_t i = 0; answers.texts && i < prompts->count; i++) {
        strbuf_free(&answers.texts[i]);
    }
    mem_free(answers.texts);
    mem_free(requests);
    return result;
}
