/* tests/sft/helper_sft.c - see helper_sft.h. */
#include "sft/helper_sft.h"
#include "backend/cpu/cpu.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include <string.h>

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
            for (uint64_t w = 0; w < length; w++)
                strbuf_printf(&text, " %s", words[random_u64(seed, RANDOM_MIX, (uint64_t)r, 10 + 2 * w) % 9]);
            strbuf_puts(&text, part ? "\"}]}\n" : "\"}, {\"role\": \"assistant\", \"content\": \"it is");
        }
    }
    write_bytes(path, text.data, text.length);
    strbuf_free(&text);
}

int sft_setup(void **state)
{
    if (temporary_setup(state) != 0)
        return -1;
    log_set_quiet(true);
    tiny_text_make(temporary("model"));
    write_records(temporary("train.jsonl"), 32, 1);
    write_records(temporary("eval.jsonl"), 6, 2);
    return 0;
}

struct backend *sft_cpu(int threads)
{
    struct err err;
    struct backend *backend;
    must(cpu_backend_create(&backend, &(struct cpu_options){.compute = DTYPE_F32, .threads = threads}, &err));
    return backend;
}

struct recipe *sft_recipe(const char *name, const char *lines)
{
    struct err err;
    struct recipe *recipe;
    struct strbuf yaml = {0};
    strbuf_printf(&yaml, "model_name_or_path: %s\noutput_dir: %s\ndataset: %s\nthreads: 1\ndtype: f32\n",
                  temporary("model"), temporary("%s", name), temporary("train.jsonl"));
    strbuf_puts(&yaml, lines);
    must(strbuf_check(&yaml, &err));
    must(recipe_load_text(&recipe, STAGE_SFT, "recipe.yaml", yaml.data, yaml.length, 0, NULL, &err));
    strbuf_free(&yaml);
    return recipe;
}

void sft_finish(const char *name, const char *lines, struct backend *backend)
{
    struct err err;
    struct recipe *recipe = sft_recipe(name, lines);
    if (!backend)
        backend = sft_cpu(2);
    must(sft_run(recipe, backend, &(struct stage_options){0}, &err));
    backend->free(backend);
    recipe_free(recipe);
}
