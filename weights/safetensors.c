/* weights/safetensors.c - reading safetensors files; see safetensors.h for the format. */
#include "weights/safetensors.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 100000000u
#define INDEX_MAX  ((size_t)256 << 20)
#define FILES_MAX  4096

struct shard {
    char *path;
    struct file_map map;
    json_t *header;
};

struct safetensors {
    struct shard *shards;
    size_t shard_count, shard_capacity;
    struct safetensor *tensors; /* sorted by name */
    size_t tensor_count, tensor_capacity;
};

static int dtype_parse(enum dtype *out, const char *text)
{
    if (strcmp(text, "F32") == 0) {
        *out = DTYPE_F32;
    } else if (strcmp(text, "BF16") == 0) {
        *out = DTYPE_BF16;
    } else if (strcmp(text, "F16") == 0) {
        *out = DTYPE_F16;
    } else {
        return -1;
    }
    return 0;
}

/* Bytes an element takes in any dtype the format knows, 0 for an unknown one: tensors we cannot use are checked all the
 * same. */
static size_t element_size(const char *dtype)
{
    static const struct {
        const char *name;
        size_t size;
    } sizes[] = {{"F64", 8}, {"I64", 8}, {"U64", 8},  {"F32", 4},     {"I32", 4},
                 {"U32", 4}, {"F16", 2}, {"BF16", 2}, {"I16", 2},     {"U16", 2},
                 {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (strcmp(sizes[i].name, dtype) == 0) {
            return sizes[i].size;
        }
    }
    return 0;
}

/* Reads shape and checks it against the byte range. */
static int parse_shape(struct safetensor *tensor, const json_t *shape, size_t bytes, size_t size, const char *path,
                       struct err *err)
{
    if (!json_is_array(shape) || json_array_size(shape) > SAFETENSORS_DIMS_MAX) {
        return err_set(err, "%s: tensor '%s' needs a 'shape' list of at most %d numbers", path, tensor->name,
                       SAFETENSORS_DIMS_MAX);
    }
    tensor->rank = (int)json_array_size(shape);
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0) {
            return err_set(err, "%s: tensor '%s' has a shape that is not made of whole numbers from 0", path,
                           tensor->name);
        }
        tensor->shape[i] = json_integer_value(dim);
        if (__builtin_mul_overflow(tensor->count, tensor->shape[i], &tensor->count)) {
            return err_set(err, "%s: the shape of tensor '%s' overflows; the file is damaged or hostile", path,
                           tensor->name);
        }
    }
    size_t need;
    if (__builtin_mul_overflow((size_t)tensor->count, size, &need) || need != bytes) {
        return err_set(err,
                       "%s: tensor '%s' has %zu bytes of data, but its shape and dtype need another number; the file "
                       "is damaged, fetch it again",
                       path, tensor->name, bytes);
    }
    return 0;
}

struct extent {
    size_t begin, end;
    const char *name;
};

static int compare_extents(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

/* All byte ranges together must cover the data exactly once. */
static int check_extents(struct extent *extents, size_t count, size_t data_size, const char *path, struct err *err)
{
    qsort(extents, count, sizeof *extents, compare_extents);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (extents[i].begin != at) {
            return err_set(err,
                           "%s: the data of tensor '%s' begins at byte %zu where %zu was expected (a hole or an "
                           "overlap); the file is damaged, fetch it again",
                           path, extents[i].name, extents[i].begin, at);
        }
        at = extents[i].end;
    }
    if (at != data_size) {
        return err_set(
            err,
            "%s: the file holds %zu bytes of data, its header describes %zu; it was cut or damaged, fetch it again",
            path, data_size, at);
    }
    return 0;
}

static int add_tensor(struct safetensors *files, const struct shard *shard, const char *name, const json_t *entry,
                      size_t data_start, struct extent *extent, struct err *err)
{
    const char *path = shard->path;
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!dtype || json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin)) {
        return err_set(err, "%s: tensor '%s' needs 'dtype', 'shape' and 'data_offsets': [begin, end]", path, name);
    }
    *extent = (struct extent){(size_t)json_integer_value(begin), (size_t)json_integer_value(end), name};
    if (extent->end > shard->map.size - data_start) {
        return err_set(err, "%s: the data of tensor '%s' ends past the end of the file; it was cut, fetch it again",
                       path, name);
    }
    size_t size = element_size(dtype);
    if (!size) {
        return err_set(err, "%s: tensor '%s' has the unknown dtype '%s'", path, name, dtype);
    }
    struct safetensor tensor = {.file = path, .data = shard->map.data + data_start + extent->begin};
    tensor.name = mem_copy_string(name, strlen(name), err);
    if (!tensor.name) {
        return -1;
    }
    if (parse_shape(&tensor, json_object_get(entry, "shape"), extent->end - extent->begin, size, path, err) != 0) {
        mem_free(tensor.name);
        return -1;
    }
    if (dtype_parse(&tensor.dtype, dtype) != 0) { /* buffers of other kinds (masks, counters) are not weights */
        mem_free(tensor.name);
        return 0;
    }
    struct safetensor *grown =
        mem_grow(files->tensors, &files->tensor_capacity, files->tensor_count + 1, sizeof tensor, err);
    if (!grown) {
        mem_free(tensor.name);
        return -1;
    }
    files->tensors = grown;
    files->tensors[files->tensor_count++] = tensor;
    return 0;
}

static int read_header(struct shard *shard, size_t *data_start, struct err *err)
{
    const unsigned char *data = shard->map.data;
    if (shard->map.size < 8) {
        return err_set(err, "%s: %zu bytes are too few for a safetensors file; it was cut or is something else",
                       shard->path, shard->map.size);
    }
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) {
        length = length << 8 | data[i];
    }
    if (length > HEADER_MAX) {
        return err_set(err,
                       "%s: the header claims %llu bytes, more than the format allows (%u); this is no safetensors "
                       "file, or a damaged one",
                       shard->path, (unsigned long long)length, HEADER_MAX);
    }
    if (length > shard->map.size - 8) {
        return err_set(err, "%s: the header is longer than the file; it was cut, fetch it again", shard->path);
    }
    char where[512];
    snprintf(where, sizeof where, "%s (header)", shard->path);
    shard->header = json_read_text_strict((const char *)data + 8, (size_t)length, where, err);
    if (!shard->header) {
        return -1;
    }
    if (!json_is_object(shard->header)) {
        return err_set(err, "%s: the header is not a JSON object", shard->path);
    }
    *data_start = 8 + (size_t)length;
    return 0;
}

static int read_shard(struct safetensors *files, struct shard *shard, struct err *err)
{
    size_t data_start;
    if (file_map_open(&shard->map, shard->path, err) != 0 || read_header(shard, &data_start, err) != 0) {
        return -1;
    }
    struct extent *extents = mem_alloc(json_object_size(shard->header) + 1, sizeof *extents, err);
    if (!extents) {
        return -1;
    }
    size_t count = 0;
    const char *name;
    json_t *entry;
    int result = 0;
    json_object_foreach(shard->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            continue;
        }
        result = add_tensor(files, shard, name, entry, data_start, &extents[count], err);
        if (result != 0) {
            break;
        }
        count++;
    }
    if (result == 0) {
        result = check_extents(extents, count, shard->map.size - data_start, shard->path, err);
    }
    mem_free(extents);
    return result;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct safetensor *)a)->name, ((const struct safetensor *)b)->name);
}

/* Takes `path` over. */
static int add_shard(struct safetensors *files, char *path, struct err *err)
{
    if (!path) {
        return -1;
    }
    struct shard *grown = mem_grow(files->shards, &files->shard_capacity, files->shard_count + 1, sizeof *grown, err);
    if (!grown) {
        mem_free(path);
        return -1;
    }
    files->shards = grown;
    struct shard *shard = &files->shards[files->shard_count++];
    *shard = (struct shard){.path = path};
    return read_shard(files, shard, err);
}

static int finish(struct safetensors *files, struct err *err)
{
    if (files->tensor_count) {
        qsort(files->tensors, files->tensor_count, sizeof *files->tensors, compare_names);
    }
    for (size_t i = 1; i < files->tensor_count; i++) {
        if (strcmp(files->tensors[i - 1].name, files->tensors[i].name) == 0) {
            return err_set(err,
                           "tensor '%s' stands in both %s and %s; remove the file that does not belong to the model",
                           files->tensors[i].name, files->tensors[i - 1].file, files->tensors[i].file);
        }
    }
    return 0;
}

int safetensors_open(struct safetensors **out, const char *path, struct err *err)
{
    struct safetensors *files = mem_alloc(1, sizeof *files, err);
    if (!files) {
        return -1;
    }
    if (add_shard(files, mem_copy_string(path, strlen(path), err), err) != 0 || finish(files, err) != 0) {
        safetensors_close(files);
        return -1;
    }
    *out = files;
    return 0;
}

/* Opens each file that the index names, once, in the index's order. */
static int open_indexed(struct safetensors *files, const char *folder, const char *index_path, const json_t *index,
                        struct err *err)
{
    const json_t *weight_map = json_object_get(index, "weight_map");
    if (!json_is_object(weight_map) || json_object_size(weight_map) == 0) {
        return err_set(err, "%s: there is no 'weight_map' object that names the files of the tensors", index_path);
    }
    const char *tensor;
    const json_t *file;
    json_t *seen = json_object();
    if (!seen) {
        return err_set(err, "out of memory while reading %s", index_path);
    }
    int result = 0;
    json_object_foreach((json_t *)(uintptr_t)weight_map, tensor, file)
    {
        const char *name = json_string_value(file);
        if (!name || !*name || strchr(name, '/') || strchr(name, '\\') || strcmp(name, "..") == 0 ||
            strcmp(name, ".") == 0) {
            result =
                err_set(err, "%s: the file of tensor '%s' must be a plain name in the same folder, without a slash",
                        index_path, tensor);
        } else if (!json_object_get(seen, name)) {
            if (json_object_size(seen) >= FILES_MAX) {
                result = err_set(err, "%s names more than %d files", index_path, FILES_MAX);
            } else if (json_object_set_new(seen, name, json_true()) != 0) {
                result = err_set(err, "out of memory while reading %s", index_path);
            } else {
                result = add_shard(files, file_join(folder, name, err), err);
            }
        }
        if (result != 0) {
            break;
        }
    }
    json_decref(seen);
    if (result == 0) {
        result = finish(files, err);
    }
    if (result != 0) {
        return -1;
    }
    json_object_foreach(
        (json_t *)(uintptr_t)weight_map, tensor,
        file) if (!safetensors_find(files, tensor)) return err_set(err,
                                                                   "%s says that tensor '%s' is in %s, but it is not; "
                                                                   "fetch the model again",
                                                                   index_path, tensor, json_string_value(file));
    return 0;
}

int safetensors_open_folder(struct safetensors **out, const char *folder, struct err *err)
{
    char *single = file_join(folder, "model.safetensors", err);
    char *index_path = file_join(folder, "model.safetensors.index.json", err);
    struct safetensors *files = NULL;
    json_t *index = NULL;
    int result = -1;
    if (!single || !index_path) {
        goto done;
    }
    if (file_exists(single)) {
        result = safetensors_open(out, single, err);
        goto done;
    }
    if (!file_exists(index_path)) {
        result = err_set(err,
                         "%s has no weights: neither model.safetensors nor model.safetensors.index.json is there (.bin "
                         "files are not read; convert them with save_pretrained(safe_serialization=True))",
                         folder);
        goto done;
    }
    index = json_read_file(index_path, INDEX_MAX, err);
    files = index ? mem_alloc(1, sizeof *files, err) : NULL;
    if (!files || open_indexed(files, folder, index_path, index, err) != 0) {
        safetensors_close(files);
        goto done;
    }
    *out = files;
    result = 0;
done:
    if (index) {
        json_decref(index);
    }
    mem_free(single);
    mem_free(index_path);
    return result;
}

void safetensors_close(struct safetensors *files)
{
    if (!files) {
        return;
    }
    for (size_t i = 0; i < files->tensor_count; i++) {
        mem_free(files->tensors[i].name);
    }
    for (size_t i = 0; i < files->shard_count; i++) {
        file_map_close(&files->shards[i].map);
        if (files->shards[i].header) {
            json_decref(files->shards[i].header);
        }
        mem_free(files->shards[i].path);
    }
    mem_free(files->tensors);
    mem_free(files->shards);
    mem_free(files);
}

int32_t safetensors_count(const struct safetensors *files)
{
    return (int32_t)files->tensor_count;
}

const struct safetensor *safetensors_at(const struct safetensors *files, int32_t index)
{
    assert(index >= 0 && (size_t)index < files->tensor_count);
    return &files->tensors[index];
}

const struct safetensor *safetensors_find(const struct safetensors *files, const char *name)
{
    struct safetensor key = {.name = (char *)(uintptr_t)name};
    if (!files->tensor_count) {
        return NULL;
    }
    return bsearch(&key, files->tensors, files->tensor_count, sizeof key, compare_names);
}

const char *safetensors_metadata(const struct safetensors *files, const char *key)
{
    assert(files->shard_count);
    return json_string_value(json_object_get(json_object_get(files->shards[0].header, "__metadata__"), key));
}

void safetensors_release(const struct safetensors *files)
{
    for (size_t i = 0; i < files->shard_count; i++) {
        file_map_release(&files->shards[i].map, 0, files->shards[i].map.size);
    }
}

void safetensor_release(const struct safetensor *tensor)
{
    file_pages_release(tensor->data, (size_t)tensor->count * dtype_size(tensor->dtype));
}

void safetensor_read(float *out, const struct safetensor *tensor, int64_t first, int64_t count)
{
    assert(first >= 0 && count >= 0 && first + count <= tensor->count);
    size_t size = dtype_size(tensor->dtype);
    const unsigned char *data = (const unsigned char *)tensor->data + (size_t)first * size;
    safetensor_widen(out, data, tensor->dtype, count);
    file_pages_release(data, (size_t)count * size);
}
