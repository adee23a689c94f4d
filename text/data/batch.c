/* text/data/batch.c - building batches; see batch.h. */
#include "text/data/batch.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

bool batch_takes(int64_t *tokens, int64_t more, int64_t most)
{
    if (*tokens > 0 && *tokens + more > most) {
        return false;
    }
    *tokens += more;
    return true;
}

int batch_create(struct batch *batch, int32_t tokens, int32_t segments, int32_t predictions, struct err *err)
{
    assert(tokens > 0 && segments > 0 && predictions >= 0);
    *batch = (struct batch){.token_capacity = tokens, .segment_capacity = segments, .prediction_capacity = predictions};
    batch->ids = mem_alloc((size_t)tokens, sizeof(int32_t), err);
    batch->positions = mem_alloc((size_t)tokens, sizeof(int32_t), err);
    batch->segments = mem_alloc((size_t)segments, sizeof(struct segment), err);
    batch->predictions = mem_alloc((size_t)predictions + 1, sizeof(struct prediction), err);
    if (!batch->ids || !batch->positions || !batch->segments || !batch->predictions) {
        batch_free(batch);
        return -1;
    }
    return 0;
}

void batch_clear(struct batch *batch)
{
    batch->tokens = 0;
    batch->segment_count = 0;
    batch->prediction_count = 0;
}

void batch_free(struct batch *batch)
{
    mem_free(batch->ids);
    mem_free(batch->positions);
    mem_free(batch->segments);
    mem_free(batch->predictions);
    *batch = (struct batch){0};
}

int32_t batch_append(struct batch *batch, const int32_t *ids, const uint8_t *trained, int32_t length, int32_t parent,
                     uint64_t key)
{
    assert(length >= 1 && batch->tokens + length <= batch->token_capacity &&
           batch->segment_count < batch->segment_capacity);
    int32_t index = batch->segment_count++;
    int32_t start = batch->tokens;
    int32_t first_position = 0;
    int32_t row_before = -1;
    if (parent >= 0) {
        const struct segment *family = &batch->segments[parent];
        assert(parent < index && family->parent < 0);
        assert(parent == index - 1 || batch->segments[index - 1].parent == parent); /* right after its family */
        first_position = family->length;
        row_before = family->start + family->length - 1;
    }
    batch->segments[index] = (struct segment){.start = start, .length = length, .parent = parent, .key = key};
    memcpy(batch->ids + start, ids, (size_t)length * sizeof *ids);
    for (int32_t i = 0; i < length; i++) {
        batch->positions[start + i] = first_position + i;
    }
    for (int32_t i = 0; trained && i < length; i++) {
        int32_t row = i ? start + i - 1 : row_before;
        if (!trained[i] || row < 0) {
            continue;
        }
        assert(batch->prediction_count < batch->prediction_capacity);
        batch->predictions[batch->prediction_count++] = (struct prediction){row, ids[i], index};
    }
    batch->tokens += length;
    return index;
}

int32_t batch_read(struct batch *batch, int32_t segment, int32_t row)
{
    assert(segment >= 0 && segment < batch->segment_count && batch->prediction_count < batch->prediction_capacity);
    const struct segment *of = &batch->segments[segment];
    assert(row >= of->start && row < of->start + of->length);
    int32_t index = batch->prediction_count++;
    batch->predictions[index] = (struct prediction){row, batch->ids[row], segment};
    return index;
}
