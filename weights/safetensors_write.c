/* weights/safetensors_write.c - writing safetensors files, and the number formats in them. */
#include "base/file.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/strbuf.h"
#include "weights/safetensors.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float f32_from_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 31) {
        return f32_from_bits(sign | 0x7f800000 | mantissa << 13);
    }
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 */
        return (sign ? -1.0f : 1.0f) * ldexpf((float)mantissa, -24);
    }
    return f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t bf16_from_f32(float value)
{
    uint32_t bits = bits_from_f32(value);
    if (isnan(value)) {
        return (uint16_t)(bits >> 16 | 64);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t f16_from_f32(float value)
{
    uint16_t sign = (uint16_t)(bits_from_f32(value) >> 16 & 0x8000);
    float size = fabsf(value);
    if (isnan(value)) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (size >= 65520.0f) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (size < 0x1p-14f) { /* subnormal: a whole number of 2^-24, rounded to even by rintf */
        return (uint16_t)(sign | (uint16_t)rintf(ldexpf(size, 24)));
    }
    uint32_t bits = bits_from_f32(size);
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((bits >> 13) - (112u << 10)));
}

void safetensor_widen(float *out, const void *data, enum dtype dtype, int64_t count)
{
    const unsigned char *bytes = data;
    if (dtype == DTYPE_F32) {
        memcpy(out, data, (size_t)count * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = dtype == DTYPE_BF16 ? f32_from_bits((uint32_t)half << 16) : f32_from_f16(half);
    }
}

static const char *format_dtype(enum dtype dtype)
{
    static const char *const names[] = {"F32", "BF16", "F16"};
    return names[dtype];
}

static int64_t spec_count(const struct safetensor_spec *spec)
{
    int64_t count = 1;
    for (int i = 0; i < spec->rank; i++) {
        count *= spec->shape[i];
    }
    return count;
}

/* The order of the reference writer: wider dtypes first, then by name. */
static int compare_specs(const void *a, const void *b)
{
    const struct safetensor_spec *x = *(const struct safetensor_spec *const *)a,
                                 *y = *(const struct safetensor_spec *const *)b;
    size_t size_x = dtype_size(x->dtype), size_y = dtype_size(y->dtype);
    if (size_x != size_y) {
        return size_x > size_y ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static void put_header(struct strbuf *header, const struct safetensor_spec *const *order, int32_t count,
                       const char *const *metadata)
{
    strbuf_puts(header, "{\"__metadata__\":{\"format\":\"pt\"");
    for (; metadata && metadata[0]; metadata += 2) {
        strbuf_putc(header, ',');
        strbuf_put_json(header, metadata[0], strlen(metadata[0]));
        strbuf_putc(header, ':');
        strbuf_put_json(header, metadata[1], strlen(metadata[1]));
    }
    strbuf_putc(header, '}');
    size_t at = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct safetensor_spec *spec = order[i];
        size_t end = at + (size_t)spec_count(spec) * dtype_size(spec->dtype);
        strbuf_putc(header, ',');
        strbuf_put_json(header, spec->name, strlen(spec->name));
        strbuf_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", format_dtype(spec->dtype));
        for (int d = 0; d < spec->rank; d++) {
            strbuf_printf(header, "%s%lld", d ? "," : "", (long long)spec->shape[d]);
        }
        strbuf_printf(header, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    strbuf_putc(header, '}');
    while (header->length % 8 && !header->failed) {
        strbuf_putc(header, ' ');
    }
}

/* In place: the narrow one never overtakes the wide one. */
static void narrow(float *values, int64_t count, enum dtype dtype)
{
    uint16_t *halves = (uint16_t *)(void *)values;
    for (int64_t i = 0; i < count; i++) {
        float value = values[i];
        uint16_t half = dtype == DTYPE_BF16 ? bf16_from_f32(value) : f16_from_f32(value);
        memcpy(&halves[i], &half, sizeof half);
    }
}

/* `values` has room for a piece. */
static int write_tensor(struct file_writer *writer, const struct safetensor_spec *spec, float *values, struct err *err)
{
    int64_t size = spec_count(spec);
    for (int64_t first = 0; first < size; first += SAFETENSOR_PIECE) {
        int64_t count = min(size - first, SAFETENSOR_PIECE);
        if (spec->read(spec->context, values, first, count, err) != 0) {
            return -1;
        }
        if (spec->dtype != DTYPE_F32) {
            narrow(values, count, spec->dtype);
        }
        if (file_write(writer, values, (size_t)count * dtype_size(spec->dtype), err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Elements of the largest piece that will be written. */
static int64_t largest_piece(const struct safetensor_spec *specs, int32_t count)
{
    int64_t most = 1;
    for (int32_t i = 0; i < count; i++) {
        int64_t piece = min(spec_count(&specs[i]), SAFETENSOR_PIECE);
        most = piece > most ? piece : most;
    }
    return most;
}

int safetensors_write(const char *path, const struct safetensor_spec *specs, int32_t count, const char *const *metadata,
                      struct err *err)
{
    const struct safetensor_spec **order = mem_alloc((size_t)count + 1, sizeof *order, err);
    float *values = order ? mem_alloc((size_t)largest_piece(specs, count), sizeof *values, err) : NULL;
    if (!values) {
        mem_free(order);
        return -1;
    }
    for (int32_t i = 0; i < count; i++) {
        order[i] = &specs[i];
    }
    qsort(order, (size_t)count, sizeof *order, compare_specs);
    struct strbuf header = {0};
    put_header(&header, order, count, metadata);
    unsigned char length[8];
    for (int i = 0; i < 8; i++) {
        length[i] = (unsigned char)((uint64_t)header.length >> (8 * i));
    }
    struct file_writer writer;
    int result = strbuf_check(&header, err);
    if (result == 0) {
        result = file_write_begin(&writer, path, err);
    }
    if (result == 0) {
        result = file_write(&writer, length, sizeof length, err);
        if (result == 0) {
            result = file_write(&writer, header.data, header.length, err);
        }
        for (int32_t i = 0; result == 0 && i < count; i++) {
            result = write_tensor(&writer, order[i], values, err);
        }
        if (result == 0) {
            result = file_write_commit(&writer, err);
        }
        if (result != 0) {
            file_write_abort(&writer);
        }
    }
    strbuf_free(&header);
    mem_free(values);
    mem_free(order);
    return result;
}
