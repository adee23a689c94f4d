/* tests/reward/helper_reward.c - see helper_reward.h. */
#include "reward/helper_reward.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "reward/recipe.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include <string.h>

static const char *const words[] = {"sea", "the sun", "seven", "moon", "and", "four", "an animal", "turns"};

/* " sea four ..", at least one word and fewer than `most`. */
static void put_words(struct strbuf *text, uint64_t most, uint64_t record, uint64_t part)
{
    uint64_t length = 1 + random_u64(5, RANDOM_MIX, record, part) % (most - 1);
    for (uint64_t w = 0; w < length; w++) {
        strbuf_printf(text, " %s", words[random_u64(6, RANDOM_MIX, record, 100 * part + w) % 8]);
    }
}

static void put_answer(struct strbuf *text, const char *name, uint64_t record, bool whale, uint64_t part)
{
    strbuf_printf(text, ", \"%s\": [{\"role\": \"assistant\", \"content\": \"it is", name);
    put_words(text, 7, record, part);
    if (whale) {
        strbuf_puts(text, " whale");
    }
    put_words(text, 5, record, part + 1);
    strbuf_puts(text, "\"}]");
}

void reward_write_pairs(const char *path, int first, int count)
{
    struct strbuf text = {0};
    for (int r = first; r < first + count; r++) {
        strbuf_printf(&text, "{\"prompt\": [{\"role\": \"user\", \"content\": \"%d what is", r);
        put_words(&text, 10, (uint64_t)r, 1);
        strbuf_puts(&text, "\"}]");
        put_answer(&text, "chosen", (uint64_t)r, true, 2);
        put_answer(&text, "rejected", (uint64_t)r, false, 4);
        strbuf_puts(&text, "}\n");
    }
    write_bytes(path, text.data, text.length);
    strbuf_free(&text);
}

/* Trees of one prompt with 2 .. 5 ranked answers each, as Open-Assistant writes them. */
static void write_trees(const char *path, int count)
{
    struct strbuf text = {0};
    for (int t = 0; t < count; t++) {
        strbuf_printf(
            &text,
            "{\"message_tree_id\": \"t%d\", \"tree_state\": \"ready_for_export\", \"prompt\": {\"message_id\": "
            "\"t%d\", \"role\": \"prompter\", \"lang\": \"en\", \"text\": \"%d name",
            t, t, t);
        put_words(&text, 20, 1000 + (uint64_t)t, 1);
        strbuf_puts(&text, "\", \"replies\": [");
        for (int a = 0; a < 2 + t % 4; a++) {
            strbuf_printf(&text,
                          "%s{\"message_id\": \"t%da%d\", \"role\": \"assistant\", \"lang\": \"en\", \"rank\": %d, "
                          "\"text\": \"%d it is",
                          a ? ", " : "", t, a, a, a);
            put_words(&text, 12, 1000 + (uint64_t)t, 2 + (uint64_t)a);
            strbuf_puts(&text, "\", \"replies\": []}");
        }
        strbuf_puts(&text, "]}}\n");
    }
    write_bytes(path, text.data, text.length);
    strbuf_free(&text);
}

int reward_setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    tiny_text_make(temporary("model"));
    reward_write_pairs(temporary("train.jsonl"), 0, 32);
    reward_write_pairs(temporary("eval.jsonl"), 32, 12);
    write_trees(temporary("trees.jsonl"), 12);
    return 0;
}

const struct tested_stage tested_reward = {.stage = &reward_stage, .run = reward_run};

struct recipe *reward_recipe(const char *name, const char *lines)
{
    return stage_recipe(&tested_reward, name, lines);
}

void reward_finish(const char *name, const char *lines, struct backend *backend)
{
    stage_finish(&tested_reward, name, lines, backend);
}

void reward_refuse(const char *name, const char *lines, struct err *err)
{
    stage_fail(&tested_reward, name, lines, cpu_backend(DTYPE_F32, 1), err);
}

float *reward_first_gradient(const char *name, const char *tensor, int64_t *count)
{
    struct err err;
    struct safetensors *files;
    char moment[256];
    must(safetensors_open(&files, temporary("%s/checkpoint-1/optimizer.safetensors", name), &err));
    snprintf(moment, sizeof moment, "%s.exp_avg", tensor);
    const struct safetensor *found = safetensors_find(files, moment);
    if (!found) {
        fail_msg("checkpoint-1 of %s has no '%s'", name, moment);
    }
    float *values = mem_alloc((size_t)found->count, sizeof *values, &err);
    assert_non_null(values);
    safetensor_widen(values, found->data, found->dtype, found->count);
    for (int64_t i = 0; i < found->count; i++) {
        values[i] = (float)((double)values[i] / (1 - 0.9));
    }
    *count = found->count;
    safetensors_close(files);
    return values;
}
