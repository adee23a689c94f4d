/*
 * Any bytes as a safetensors file. The tensors of one that opens must lie in its data, side by side, in names that are
 * found again, and every element must be there to read.
 */
#include "base/mem.h"
#include "weights/safetensors.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct range {
    uintptr_t begin, end;
};

static int compare_ranges(const void *left, const void *right)
{
    const struct range *a = left, *b = right;
    if (a->begin != b->begin) {
        return a->begin < b->begin ? -1 : 1;
    }
    return a->end < b->end ? -1 : a->end > b->end;
}

static struct range check_tensor(const struct safetensors *files, const struct safetensor *tensor)
{
    int64_t count = 1;
    assert(safetensors_find(files, tensor->name) == tensor && tensor->file);
    assert(tensor->rank >= 0 && tensor->rank <= SAFETENSORS_DIMS_MAX);
    for (int i = 0; i < tensor->rank; i++) {
        assert(tensor->shape[i] >= 0);
        count *= tensor->shape[i];
    }
    assert(count == tensor->count);
    size_t size = dtype_size(tensor->dtype);
    for (int64_t i = 0; i < count; i++) {
        float value = 0;
        safetensor_widen(&value, (const char *)tensor->data + (size_t)i * size, tensor->dtype, 1);
    }
    return (struct range){(uintptr_t)tensor->data, (uintptr_t)tensor->data + (size_t)count * size};
}

/* `data_size`: what stands after the header in the file. */
static void check_file(const struct safetensors *files, size_t data_size)
{
    struct err err;
    int32_t count = safetensors_count(files);
    struct range *ranges = mem_alloc((size_t)count + 1, sizeof *ranges, &err);
    if (!ranges) {
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        ranges[i] = check_tensor(files, safetensors_at(files, i));
        assert(i == 0 || strcmp(safetensors_at(files, i - 1)->name, safetensors_at(files, i)->name) < 0);
    }
    qsort(ranges, (size_t)count, sizeof *ranges, compare_ranges);
    for (int32_t i = 1; i < count; i++) {
        assert(ranges[i - 1].end <= ranges[i].begin);
    }
    assert(count == 0 || ranges[count - 1].end - ranges[0].begin <= data_size);
    mem_free(ranges);
    const char *format = safetensors_metadata(files, "format");
    assert(!format || strlen(format) < 1u << 20);
}

static void read_file(const char *path, const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct safetensors *files;
    if (safetensors_open(&files, path, &err) != 0) {
        assert(memchr(err.text, '\0', sizeof err.text) && strstr(err.text, path));
        return;
    }
    uint64_t header = 0;
    assert(size >= 8);
    for (int i = 7; i >= 0; i--) {
        header = header << 8 | data[i];
    }
    assert(header <= size - 8);
    check_file(files, size - 8 - header);
    safetensors_release(files);
    safetensors_close(files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int file = memfd_create("fuzz", 0);
    if (file < 0) {
        return 0;
    }
    if (size == 0 || write(file, data, size) == (ssize_t)size) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        read_file(path, data, size);
    }
    close(file);
    return 0;
}
