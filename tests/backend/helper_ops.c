/* tests/backend/helper_ops.c - see helper_ops.h. */
#include "helper_ops.h"
#include "base/mem.h"
#include "base/random.h"
#include "support/cmocka.h"
#include "support/numbers.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *take(size_t count, size_t size)
{
    struct err err;
    void *memory = mem_alloc(count ? count : 1, size, &err);
    assert_non_null(memory);
    return memory;
}

size_t op_element_size(enum op_element element)
{
    static const size_t sizes[] = {[OP_F32] = 4,
                                   [OP_F64] = 8,
                                   [OP_I32] = 4,
                                   [OP_U64] = 8,
                                   [OP_BF16] = 2,
                                   [OP_SPAN] = sizeof(struct attention_span),
                                   [OP_TENSOR] = sizeof(struct arena_tensor)};
    return sizes[element];
}

static size_t array_size(const struct op_array *array)
{
    return (size_t)(array->rows * array->columns) * op_element_size(array->element);
}

/* ---- building a case ---- */

void op_begin(struct op_case *c, enum backend_operation operation, const char *format, ...)
{
    *c = (struct op_case){.operation = operation};
    c->tolerance[DTYPE_F32] = c->tolerance[DTYPE_BF16] = (struct op_tolerance){1e-10, 0.01};
    int length = snprintf(c->name, sizeof c->name, "%s: ", backend_operation_name(operation));
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(c->name + length, sizeof c->name - (size_t)length, format, arguments);
    va_end(arguments);
}

void op_free(struct op_case *c)
{
    for (int i = 0; i < c->array_count; i++) {
        mem_free(c->arrays[i].values);
    }
    for (int i = 0; i < c->weight_count; i++) {
        mem_free(c->weights[i].values);
    }
}

static size_t place_of(const struct op_case *c, const void *place)
{
    return (size_t)((const char *)place - (const char *)&c->arguments);
}

/* Normally distributed numbers that depend on the field's name and the index, not on how many there are. */
static void fill_normal(float *values, int64_t count, const char *field)
{
    uint64_t key = 0;
    for (const char *letter = field; *letter; letter++) {
        key = key * 31 + (uint64_t)*letter;
    }
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)random_normal(17, RANDOM_INIT, key, (uint64_t)i);
    }
}

static void fill_rounded(uint16_t *values, int64_t count, const char *field)
{
    float *wide = take((size_t)count, sizeof *wide);
    fill_normal(wide, count, field);
    for (int64_t i = 0; i < count; i++) {
        values[i] = bf16_from_float(wide[i]);
    }
    mem_free(wide);
}

void *op_array(struct op_case *c, const char *field, const void *place, enum op_element element, enum op_role role,
               int64_t rows, int64_t columns, bool by_row)
{
    assert_true(c->array_count < OP_ARRAYS_MAX);
    struct op_array *array = &c->arrays[c->array_count++];
    *array = (struct op_array){field, place_of(c, place), role, element, rows, columns, by_row, -1, NULL};
    array->values = take((size_t)(rows * columns), op_element_size(element));
    if (role == OP_SET) {
        memset(array->values, 0xff, array_size(array)); /* a NaN in every floating type, -1 as an integer */
    } else if (element == OP_F32) {
        fill_normal(array->values, rows * columns, field);
    } else if (element == OP_BF16) {
        fill_rounded(array->values, rows * columns, field);
    }
    return array->values;
}

enum op_element op_element(enum dtype dtype)
{
    assert_true(dtype == DTYPE_F32 || dtype == DTYPE_BF16);
    return dtype == DTYPE_F32 ? OP_F32 : OP_BF16;
}

void op_dtype(struct op_case *c, enum dtype *place, enum dtype dtype)
{
    *place = dtype;
    if (dtype != DTYPE_F32) {
        assert_true(c->dtype_count < OP_DTYPES_MAX);
        c->dtype_places[c->dtype_count++] = place_of(c, place);
    }
}

static int array_number(const struct op_case *c, const char *field)
{
    for (int i = 0; i < c->array_count; i++) {
        if (strcmp(c->arrays[i].field, field) == 0) {
            return i;
        }
    }
    return -1;
}

void op_in_place(struct op_case *c, const char *output, const void *place, const char *input)
{
    int number = array_number(c, input);
    assert_true(number >= 0 && c->array_count < OP_ARRAYS_MAX);
    struct op_array *array = &c->arrays[c->array_count++];
    *array = c->arrays[number];
    array->field = output;
    array->place = place_of(c, place);
    array->role = OP_SET;
    array->same_as = number;
    array->values = NULL;
}

float *op_weight(struct op_case *c, const char *field, const void *place, struct weight_shape shape)
{
    assert_true(c->weight_count < OP_WEIGHTS_MAX);
    struct op_weight *weight = &c->weights[c->weight_count++];
    int64_t count = (int64_t)shape.rows * shape.columns;
    *weight = (struct op_weight){field, place_of(c, place), shape, take((size_t)count, sizeof(float))};
    fill_normal(weight->values, count, field);
    for (int64_t i = 0; i < count; i++) {
        weight->values[i] = dtype_round(weight->values[i] / sqrtf((float)shape.columns), shape.dtype);
    }
    return weight->values;
}

void op_row_count(struct op_case *c, void *place, size_t size, int64_t count)
{
    c->rows = count;
    c->rows_place = place_of(c, place);
    c->rows_size = size;
    int32_t narrow = (int32_t)count;
    memcpy(place, size == sizeof narrow ? (const void *)&narrow : (const void *)&count, size);
}

float *op_values(const struct op_case *c, const char *field)
{
    for (int i = 0; i < c->weight_count; i++) {
        if (strcmp(c->weights[i].field, field) == 0) {
            return c->weights[i].values;
        }
    }
    int number = array_number(c, field);
    assert_true(number >= 0 && c->arrays[number].element == OP_F32);
    return c->arrays[number].values;
}

int64_t op_count(const struct op_case *c, const char *field)
{
    for (int i = 0; i < c->weight_count; i++) {
        if (strcmp(c->weights[i].field, field) == 0) {
            return (int64_t)c->weights[i].shape.rows * c->weights[i].shape.columns;
        }
    }
    int number = array_number(c, field);
    assert_true(number >= 0);
    return c->arrays[number].rows * c->arrays[number].columns;
}

static void copy_weights(struct op_case *out, const struct op_case *c)
{
    for (int i = 0; i < c->weight_count; i++) {
        size_t size = (size_t)c->weights[i].shape.rows * (size_t)c->weights[i].shape.columns;
        out->weights[i].values = take(size, sizeof(float));
        memcpy(out->weights[i].values, c->weights[i].values, size * sizeof(float));
    }
}

void op_slice(struct op_case *out, const struct op_case *c, int64_t first, int64_t count)
{
    assert_true(c->rows_size > 0 && first + count <= c->rows);
    *out = *c;
    out->rows = count;
    op_row_count(out, (char *)&out->arguments + c->rows_place, c->rows_size, count);
    out->array_count = 0;
    for (int i = 0; i < c->array_count; i++) {
        struct op_array *array = &out->arrays[out->array_count];
        *array = c->arrays[i];
        if (!array->by_row && array->role != OP_INPUT) {
            continue;
        }
        out->array_count++;
        if (array->by_row) {
            array->rows = count;
        }
        if (array->same_as < 0) {
            size_t offset = array->by_row ? (size_t)(first * array->columns) * op_element_size(array->element) : 0;
            array->values = take(array_size(array), 1);
            memcpy(array->values, (const char *)c->arrays[i].values + offset, array_size(array));
        }
    }
    copy_weights(out, c);
}

void op_widen(struct op_case *out, const struct op_case *c)
{
    *out = *c;
    out->dtype_count = 0;
    for (int i = 0; i < c->dtype_count; i++) {
        const enum dtype f32 = DTYPE_F32;
        memcpy((char *)&out->arguments + c->dtype_places[i], &f32, sizeof f32);
    }
    for (int i = 0; i < c->array_count; i++) {
        struct op_array *array = &out->arrays[i];
        const struct op_array *from = &c->arrays[i];
        if (from->element == OP_BF16) {
            array->element = OP_F32;
        }
        if (from->same_as >= 0) {
            continue;
        }
        array->values = take(array_size(array), 1);
        if (from->element != OP_BF16) {
            memcpy(array->values, from->values, array_size(array));
            continue;
        }
        for (int64_t j = 0; j < array->rows * array->columns; j++) {
            ((float *)array->values)[j] = float_from_bf16(((const uint16_t *)from->values)[j]);
        }
    }
    copy_weights(out, c);
}

/* ---- running it ---- */

bool op_fits(const struct op_case *c, const struct backend *backend)
{
    return c->dtype_count == 0 || backend->compute == DTYPE_BF16;
}

static void check(int result, const struct err *err)
{
    if (result != 0) {
        fail_msg("%s", err->text);
    }
}

/* The values in the weight's own dtype. */
static void *weight_source(const struct op_weight *weight)
{
    size_t count = (size_t)weight->shape.rows * (size_t)weight->shape.columns;
    void *source = take(count, dtype_size(weight->shape.dtype));
    for (size_t i = 0; i < count; i++) {
        if (weight->shape.dtype == DTYPE_F32) {
            ((float *)source)[i] = weight->values[i];
        } else if (weight->shape.dtype == DTYPE_BF16) {
            ((uint16_t *)source)[i] = bf16_from_float(weight->values[i]);
        } else {
            ((uint16_t *)source)[i] = f16_from_float(weight->values[i]);
        }
    }
    return source;
}

static void prepare_weight(struct op_device *device, int number)
{
    struct backend *backend = device->backend;
    const struct op_weight *weight = &device->c->weights[number];
    struct err err;
    void *memory;
    check(backend->alloc(backend, &memory, backend->weight_size(backend, &weight->shape), &err), &err);
    void *source = device->c->weights_by_update ? NULL : weight_source(weight);
    check(backend->weight_create(backend, &device->weights[number], &weight->shape, memory, source, &err), &err);
    mem_free(source);
    device->weight_memory[number] = memory;
    if (device->c->weights_by_update) {
        size_t size = (size_t)weight->shape.rows * (size_t)weight->shape.columns * sizeof(float);
        void *master;
        check(backend->alloc(backend, &master, size, &err), &err);
        backend->upload(backend, master, weight->values, size);
        struct weight_update_args update = {device->weights[number], master};
        backend->weight_update(backend, &update);
        check(backend->synchronize(backend, &err), &err);
        backend->release(backend, master);
    }
}

void op_prepare(struct op_device *device, struct backend *backend, const struct op_case *c, int shift)
{
    struct err err;
    *device = (struct op_device){.backend = backend, .c = c, .arguments = c->arguments};
    check(backend->reserve(backend, &c->limits, &err), &err);
    for (int i = 0; i < c->weight_count; i++) {
        prepare_weight(device, i);
        memcpy((char *)&device->arguments + c->weights[i].place, &device->weights[i], sizeof(void *));
    }
    for (int i = 0; i < c->array_count; i++) {
        const struct op_array *array = &c->arrays[i];
        if (array->same_as < 0) {
            bool shifts = array->element == OP_F32 || array->element == OP_BF16;
            size_t skip = shifts ? (size_t)shift * op_element_size(array->element) : 0;
            check(backend->alloc(backend, &device->memory[i], array_size(array) + skip, &err), &err);
            device->arrays[i] = (char *)device->memory[i] + skip;
            backend->upload(backend, device->arrays[i], array->values, array_size(array));
        } else {
            device->arrays[i] = device->arrays[array->same_as];
        }
        memcpy((char *)&device->arguments + array->place, &device->arrays[i], sizeof(void *));
    }
}

void op_call(const struct op_device *device)
{
    struct backend *backend = device->backend;
    switch (device->c->operation) {
#define X(name, args)                                                                                                  \
    case BACKEND_##name:                                                                                               \
        backend->name(backend, &device->arguments.name);                                                               \
        break;
        BACKEND_OPERATIONS(X)
#undef X
    case BACKEND_OPERATION_COUNT:
        break;
    }
}

void op_collect(const struct op_device *device, struct op_result *result)
{
    struct err err;
    *result = (struct op_result){{NULL}};
    for (int i = 0; i < device->c->array_count; i++) {
        size_t size = array_size(&device->c->arrays[i]);
        result->values[i] = take(size, 1);
        check(backend_download(device->backend, result->values[i], device->arrays[i], size, &err), &err);
    }
}

void op_drop(struct op_device *device)
{
    for (int i = 0; i < device->c->weight_count; i++) {
        device->backend->weight_free(device->backend, device->weights[i]);
        device->backend->release(device->backend, device->weight_memory[i]);
    }
    for (int i = 0; i < device->c->array_count; i++) {
        device->backend->release(device->backend, device->memory[i]);
    }
}

static bool has_tenant(const struct op_case *c, int number)
{
    for (int i = 0; i < c->array_count; i++) {
        if (c->arrays[i].same_as == number) {
            return true;
        }
    }
    return false;
}

void op_run(struct op_result *result, struct backend *backend, const struct op_case *c, int shift)
{
    struct op_device device;
    op_prepare(&device, backend, c, shift);
    op_call(&device);
    op_collect(&device, result);
    op_drop(&device);
    for (int i = 0; i < c->array_count; i++) {
        const struct op_array *array = &c->arrays[i];
        if (array->role == OP_INPUT && !has_tenant(c, i) &&
            memcmp(result->values[i], array->values, array_size(array)) != 0) {
            fail_msg("%s on %s: the input %s was changed", c->name, backend->name, array->field);
        }
    }
}

void op_result_free(struct op_result *result)
{
    for (int i = 0; i < OP_ARRAYS_MAX; i++) {
        mem_free(result->values[i]);
    }
}

float *op_output(const struct op_result *result, const struct op_case *c, const char *field)
{
    int number = array_number(c, field);
    assert_true(number >= 0);
    return result->values[number];
}

/* ---- comparing ---- */

double op_error(const float *expected, const float *actual, int64_t count, double small)
{
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(expected[i]) && isfinite(actual[i])) {
            difference += pow((double)expected[i] - actual[i], 2);
            size += pow(expected[i], 2);
        } else if (isnan(expected[i]) ? !isnan(actual[i]) : expected[i] != actual[i]) {
            return INFINITY;
        }
    }
    return difference / fmax(size, (double)count * small * small);
}

static void compare_array(const struct op_case *c, const struct op_array *array, const void *expected,
                          const void *actual, struct op_tolerance tolerance, const char *who)
{
    size_t size = op_element_size(array->element);
    if (tolerance.error > 0 && array->element == OP_F32) {
        double error = op_error(expected, actual, array->rows * array->columns, tolerance.small);
        if (!(error <= tolerance.error)) {
            fail_msg("%s on %s: %s has a normalised mean squared error of %g, allowed are %g", c->name, who,
                     array->field, error, tolerance.error);
        }
        return;
    }
    for (int64_t i = 0; i < array->rows * array->columns; i++) {
        const char *left = (const char *)expected + (size_t)i * size, *right = (const char *)actual + (size_t)i * size;
        bool close = false;
        if (tolerance.error > 0 && array->element == OP_F64) {
            double a = *(const double *)(const void *)left, b = *(const double *)(const void *)right;
            close = fabs(a - b) <= sqrt(tolerance.error) * fabs(a);
        } else if (tolerance.error > 0 && array->element == OP_BF16) {
            double a = float_from_dtype(expected, DTYPE_BF16, i), b = float_from_dtype(actual, DTYPE_BF16, i);
            double step = fmax(fabs(a), fabs(b)) / 128, rounding = tolerance.small * sqrt(tolerance.error);
            close = fabs(a - b) <= step + rounding;
        }
        if (!close && memcmp(left, right, size) != 0) {
            fail_msg("%s on %s: %s differs at row %lld, column %lld", c->name, who, array->field,
                     (long long)(i / array->columns), (long long)(i % array->columns));
        }
    }
}

void op_compare(const struct op_case *c, const struct op_result *expected, const struct op_result *actual,
                struct op_tolerance tolerance, const char *who)
{
    for (int i = 0; i < c->array_count; i++) {
        if (c->arrays[i].role != OP_INPUT) {
            compare_array(c, &c->arrays[i], expected->values[i], actual->values[i], tolerance, who);
        }
    }
}
