/* train/stop_tokens.c - see stop_tokens.h. */
#include "train/stop_tokens.h"

struct stop_tokens stop_tokens_of(const struct model_config *config, const struct model_text *text)
{
    struct stop_tokens stop;
    int32_t count = 0;
    generate_stop_tokens(stop.ids, config, text->tokenizer);
    while (stop.ids[count] >= 0 && stop.ids[count] != text->closing_token)
        count++;
    if (stop.ids[count] < 0 && text->closing_token >= 0) {
        stop.ids[count] = text->closing_token;
        stop.ids[count + 1] = -1;
    }
    return stop;
}
