/*
 * Any bytes as a file of records. The first byte picks how it is read: bit 0 skips bad records, bit 1 learns the prompt
 * too, bit 2 drops long examples, bit 3 leaves the template out, bit 4 cuts at 16 tokens, the rest names a format.
 */
#include "base/mem.h"
#include "support/byte_tokenizer.h"
#include "text/data/dataset.h"
#include "text/data/packing.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const formats[] = {NULL, "alpaca", "sharegpt", "messages", "completion", "text", "trl", "oasst"};

/* Opened once, at the first input. */
static const struct dataset_options *basic_options(void)
{
    static struct tokenizer *tokenizer;
    static struct chat_template *chat;
    static struct dataset_options options;
    if (!tokenizer) {
        struct err err;
        struct strbuf json = {0};
        byte_tokenizer_json(&json, true);
        if (tokenizer_open_memory(&tokenizer, json.data, json.length, "fuzz", &err) != 0 ||
            chat_template_builtin(&chat, "chatml", &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
        strbuf_free(&json);
        options = (struct dataset_options){.tokenizer = tokenizer, .chat = chat};
    }
    return &options;
}

static void check_example(const struct example *example, const struct dataset_options *options)
{
    int32_t trained = 0;
    assert(example->length >= 2 && (options->max_length == 0 || example->length <= options->max_length));
    assert(example->trained[0] == 0);
    for (int32_t i = 0; i < example->length; i++) {
        assert(example->ids[i] >= 0 && example->ids[i] < tokenizer_size(options->tokenizer));
        assert(example->trained[i] <= 1);
        trained += example->trained[i];
    }
    assert(trained >= 1 && trained == example->trained_count);
}

static void check_packing(const struct dataset *dataset)
{
    struct err err;
    struct packed_rows rows;
    if (packed_rows_fill(&rows, dataset->examples, NULL, dataset->count, dataset->longest, &err) == 0) {
        assert(rows.tokens == dataset->tokens && rows.starts[rows.rows] == (int32_t)dataset->count);
        packed_rows_free(&rows);
    }
}

static void check_split(struct dataset *dataset)
{
    struct err err;
    struct dataset *eval;
    size_t count = dataset->count;
    if (dataset_split(dataset, &eval, 0.5, 1, &err) != 0) {
        return;
    }
    assert(dataset->count > 0 && eval->count > 0 && dataset->count + eval->count == count);
    dataset_free(eval);
}

static void check_dataset(struct dataset *dataset, const struct dataset_options *options)
{
    const struct dataset_counts *counts = &dataset->counts;
    int64_t tokens = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        check_example(&dataset->examples[i], options);
        tokens += dataset->examples[i].length;
    }
    assert(tokens == dataset->tokens);
    assert(counts->read == (int64_t)dataset->count + counts->bad + counts->dropped + counts->untrained);
    check_packing(dataset);
    check_split(dataset);
}

static void read_file(const char *path, uint8_t choice)
{
    struct err err = {0};
    struct dataset_options options = *basic_options();
    options.skip_bad_records = choice & 1;
    options.train_on_prompt = choice & 2;
    options.too_long = choice & 4 ? DATASET_DROP : DATASET_TRUNCATE;
    options.chat = choice & 8 ? NULL : options.chat;
    options.max_length = choice & 16 ? 16 : 0;
    const struct dataset_source source = {.path = path, .format = formats[choice >> 5]};
    struct dataset *dataset;
    if (dataset_load(&dataset, &source, 1, &options, &err) == 0) {
        check_dataset(dataset, &options);
        dataset_free(dataset);
    } else {
        assert(err.text[0] != '\0');
    }
    struct prompt_list *prompts = NULL;
    if (prompt_list_load(&prompts, path, source.format, &options, &err) == 0) {
        assert(prompts->count > 0);
        prompt_list_free(prompts);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    int file = memfd_create("fuzz", 0);
    if (file < 0) {
        return 0;
    }
    if (write(file, data + 1, size - 1) == (ssize_t)(size - 1)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        read_file(path, data[0]);
    }
    close(file);
    return 0;
}
