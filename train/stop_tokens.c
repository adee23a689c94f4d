/* train/stop_tokens.c - see stop_tokens.h. */
#include "train/stop_tokens.h"
#include <string.h>

static void add(struct stop_tokens *stop, int32_t id)
{
    int count = 0;
    if (id < 0 || stop_tokens_have(stop->ids, id)) {
        return;
    }
    while (stop->ids[count] >= 0) {
        count++;
    }
    stop->ids[count] = id;
    stop->ids[count + 1] = -1;
}

struct stop_tokens stop_tokens_of(const struct model_config *config, const struct model_text *text)
{
    struct stop_tokens stop;
    memcpy(stop.ids, config->stop_tokens, sizeof config->stop_tokens);
    add(&stop, tokenizer_eos_id(text->tokenizer));
    add(&stop, text->closing_token);
    return stop;
}
