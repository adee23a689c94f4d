/* commands/answering.c - see answering.h. */
#include "commands/answering.h"

struct generate_options answering_options(const struct answering *answering, const struct opened *opened,
                                          int32_t stop_tokens[STOP_TOKENS_MAX + 2])
{
    generate_stop_tokens(stop_tokens, &opened->model->config, opened->text.tokenizer);
    return (struct generate_options){
        .sampling = {.temperature = (float)answering->temperature,
                     .top_k = (int32_t)answering->top_k,
                     .top_p = (float)answering->top_p,
                     .repetition_penalty = (float)answering->repetition_penalty},
        .max_new_tokens = (int32_t)answering->max_new_tokens,
        .stop_tokens = stop_tokens,
        .seed = (uint64_t)answering->seed,
    };
}
