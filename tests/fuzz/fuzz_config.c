/*
 * Any bytes as the JSON files of a model's folder: config.json, a byte 0xFF, generation_config.json, a byte 0xFF, and
 * model.safetensors.index.json; without the last one the weights are a single file. The weights are those of the
 * fixtures tiny-llama and tiny-sharded. What opens must load and go through a forward pass.
 */
#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "fuzz/folder.h"
#include "model/pass.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 3

/* Made once, at the first input. */
static struct backend *backend_of_folders(void)
{
    static struct backend *backend;
    struct err err;
    if (backend) {
        return backend;
    }
    folder_make("single");
    folder_make("sharded");
    folder_link("single/model.safetensors", ATTUNE_FIXTURES "/tiny-llama/model.safetensors");
    folder_link("sharded/model-00001-of-00002.safetensors",
                ATTUNE_FIXTURES "/tiny-sharded/model-00001-of-00002.safetensors");
    folder_link("sharded/model-00002-of-00002.safetensors",
                ATTUNE_FIXTURES "/tiny-sharded/model-00002-of-00002.safetensors");
    if (cpu_backend_create(&backend, &(struct cpu_options){.compute = DTYPE_F32, .threads = 1}, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return backend;
}

static void check_config(const struct model_config *config)
{
    static float frequencies[1024];
    int stops = 0;
    assert(config->heads % config->kv_heads == 0 && config->head_size % 2 == 0 && config->norm_epsilon >= 0);
    assert(config->bos_token >= -1 && config->bos_token < config->vocabulary);
    while (config->stop_tokens[stops] >= 0) {
        assert(config->stop_tokens[stops] < config->vocabulary);
        stops++;
    }
    assert(stops <= STOP_TOKENS_MAX);
    rope_frequencies(config, frequencies);
    for (int32_t i = 0; i < config->head_size / 2; i++) {
        assert(isfinite(frequencies[i]));
    }
}

/* Log-probabilities are numbers, and not above 0 by more than rounding. */
static void check_forward(struct model *model)
{
    static const int32_t ids[TOKENS] = {5, 0, 7};
    static const uint8_t trained[TOKENS] = {0, 1, 1};
    struct err err;
    struct batch batch;
    struct pass *pass;
    if (batch_create(&batch, TOKENS, 1, TOKENS, &err) != 0) {
        return;
    }
    const struct pass_limits limits = {.tokens = TOKENS, .segments = 1, .predictions = TOKENS};
    if (pass_create(&pass, model, &limits, &err) == 0) {
        float logprob[TOKENS];
        struct predictions out = {.logprob = logprob};
        batch_append(&batch, ids, trained, TOKENS, -1, 0);
        pass_load(pass, &batch);
        pass_forward(pass, NULL, false);
        if (pass_predict(pass, NULL, 1.0f, &out, &err) == 0) {
            for (int32_t i = 0; i < batch.prediction_count; i++) {
                assert(logprob[i] <= 1e-4f);
            }
        }
        pass_free(pass);
    }
    batch_free(&batch);
}

static void read_folder(const char *folder)
{
    struct backend *backend = backend_of_folders();
    struct err err = {{0}};
    struct model *model;
    struct memory_plan plan;
    const struct model_options options = {0};
    if (model_open(&model, folder_path(folder), &err) != 0) {
        assert(err.text[0] != '\0' && memchr(err.text, '\0', sizeof err.text));
        return;
    }
    check_config(&model->config);
    if (model_plan(model, backend, &options, &plan, &err) == 0 && model_load(model, backend, &options, &err) == 0) {
        check_forward(model);
    }
    model_free(model);
}

static void write_part(const char *folder, const char *name, struct input_rest part)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    folder_write(path, part.bytes, part.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input_rest rest = {data, size}, config = input_part(&rest), generation = input_part(&rest);
    const char *folder = rest.size > 0 ? "sharded" : "single";
    backend_of_folders();
    if (generation.size == 0) {
        generation = (struct input_rest){(const uint8_t *)"{}", 2};
    }
    write_part(folder, "config.json", config);
    write_part(folder, "generation_config.json", generation);
    if (rest.size > 0) {
        write_part(folder, "model.safetensors.index.json", rest);
    }
    read_folder(folder);
    return 0;
}
