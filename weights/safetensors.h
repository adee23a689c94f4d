/*
 * weights/safetensors.h - the file format of weights: reading by mapping, writing beside and renaming.
 *
 * A file is
 *     u64 little-endian N | N bytes of JSON | data
 *     {"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}, ...}
 * Offsets count from the end of the JSON. The reader holds a file to all of its rules, since the lengths come from
 * outside: N <= 100,000,000; offsets contiguous from 0 without holes or overlaps; 8 + N + last end == file length;
 * shape x dtype == end - begin, multiplied with overflow checks. Rank 0 and empty tensors are valid.
 * (https://github.com/huggingface/safetensors, "Format")
 *
 * Errors:    0 or -1 with a full sentence that names the file and the tensor.
 * Ownership: tensors point into the mapped file, which lives until safetensors_close().
 */
#ifndef ATTUNE_WEIGHTS_SAFETENSORS_H
#define ATTUNE_WEIGHTS_SAFETENSORS_H

#include "backend/backend.h"
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

#define SAFETENSORS_DIMS_MAX 8

struct safetensor {
    char *name;
    enum dtype dtype;
    int rank;
    int64_t shape[SAFETENSORS_DIMS_MAX];
    int64_t count;    /* elements */
    const void *data; /* `count` elements of dtype, aligned as the file has them (perhaps not at all) */
    const char *file; /* which of the files */
};

struct safetensors;

/* A single file, or a folder: its model.safetensors, or the shards its model.safetensors.index.json names. */
int safetensors_open(struct safetensors **out, const char *path, struct err *err);
int safetensors_open_folder(struct safetensors **out, const char *folder, struct err *err);
void safetensors_close(struct safetensors *files);

int32_t safetensors_count(const struct safetensors *files);
const struct safetensor *safetensors_at(const struct safetensors *files, int32_t index);
/* NULL when there is none of that name. */
const struct safetensor *safetensors_find(const struct safetensors *files, const char *name);
/* A value of __metadata__ (of the first file), or NULL. */
const char *safetensors_metadata(const struct safetensors *files, const char *key);
/* Lets the mapped pages leave memory; they come back from the file when touched. */
void safetensors_release(const struct safetensors *files);
/* The same for the pages of one tensor. */
void safetensor_release(const struct safetensor *tensor);

/* Widens `count` elements of any dtype to f32. */
void safetensor_widen(float *out, const void *data, enum dtype dtype, int64_t count);
/* Elements first .. first + count - 1 of a tensor as f32; their pages are then released. */
void safetensor_read(float *out, const struct safetensor *tensor, int64_t first, int64_t count);
/* Rounds to nearest, ties to even. */
uint16_t bf16_from_f32(float value);
uint16_t f16_from_f32(float value);

/*
 * Tensors go from files to devices and back a piece of so many elements at a time: the copies on the host stay small
 * however large a tensor is.
 */
#define SAFETENSOR_PIECE ((int64_t)1 << 18)

/* Writing: all tensors are described first; their values are asked for one piece at a time. */
struct safetensor_spec {
    const char *name;
    enum dtype dtype;
    int rank;
    int64_t shape[SAFETENSORS_DIMS_MAX];
    /* Fills `out` with elements first .. first + count - 1 as f32 (converted to dtype when written). Called once for
     * each piece, in their order. */
    int (*read)(void *context, float *out, int64_t first, int64_t count, struct err *err);
    void *context;
};
/* metadata: pairs of key and value, ended by NULL; {"format":"pt"} is added. Writes beside and renames. */
int safetensors_write(const char *path, const struct safetensor_spec *specs, int32_t count, const char *const *metadata,
                      struct err *err);

#endif
