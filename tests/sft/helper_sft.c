/* tests/sft/helper_sft.c - see helper_sft.h. */
#include "sft/helper_sft.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/temporary.h"
#include "support/tiny_text.h"

/* Conversations of very different lengths, so that batches, rows and steps hold different numbers of trained tokens. */
static void write_records(const char *path, int count, uint64_t seed)
{
    static const char *const words[] = {"sea", "whale", "the sun",   "seven", "moon",
                                        "and", "four",  "an animal", "turns"};
    struct strbuf text = {0};
    for (int r = 0; r < count; r++) {
        strbuf_puts(&text, "{\"messages\": [{\"role\": \"user\", \"content\": \"what is");
        for (int part = 0; part < 2; part++) {
            uint64_t length = 1 + random_u64(seed, RANDOM_MIX, (uint64_t)r, (uint64_t)part) % (part ? 13 : 5);
            for (uint64_t w = 0; w < length; w++) {
                strbuf_printf(&text, " %s", words[random_u64(seed, RANDOM_MIX, (uint64_t)r, 10 + 2 * w) % 9]);
            }
            strbuf_puts(&text, part ? "\"}]}\n" : "\"}, {\"role\": \"assistant\", \"content\": \"it is");
        }
    }
    write_bytes(path, text.data, text.length);
    strbuf_free(&text);
}

int sft_setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    tiny_text_make(temporary("model"));
    write_records(temporary("train.jsonl"), 32, 1);
    write_records(temporary("eval.jsonl"), 6, 2);
    return 0;
}

static void put_dataset(struct strbuf *yaml, const char *lines)
{
    (void)lines;
    strbuf_printf(yaml, "dataset: %s\n", temporary("train.jsonl"));
}

const struct tested_stage tested_sft = {.stage = &sft_stage, .run = sft_run, .put_defaults = put_dataset};
