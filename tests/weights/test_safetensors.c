/*
 * tests/weights/test_safetensors.c - the file format: what is written is read again, every valid oddity is taken, and
 * every broken or hostile file is refused with a sentence that names it.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/random.h"
#include "support/fixture.h"
#include "support/numbers.h"
#include "support/temporary.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ENTRY(name, dtype, shape, begin, end)                                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

/* A file with this header and `size` bytes of data; claimed: the header's length as the file states it, -1: the true
 * one. */
static const char *file_of(const char *header, size_t size, int64_t claimed)
{
    const char *path = temporary("x.safetensors");
    struct strbuf bytes = {0};
    uint64_t length = claimed < 0 ? strlen(header) : (uint64_t)claimed;
    for (int i = 0; i < 8; i++) {
        strbuf_putc(&bytes, (char)(length >> (8 * i) & 255));
    }
    strbuf_puts(&bytes, header);
    for (size_t i = 0; i < size; i++) {
        strbuf_putc(&bytes, (char)(i + 1));
    }
    write_bytes(path, bytes.data, bytes.length);
    strbuf_free(&bytes);
    return path;
}

static void refuse(const char *path, const char *words)
{
    struct safetensors *files;
    struct err err = {{0}};
    if (safetensors_open(&files, path, &err) == 0) {
        fail_msg("a file that should be refused (%s) was read", words);
    }
    if (!strstr(err.text, words) || !strstr(err.text, "x.safetensors")) {
        fail_msg("'%s' does not speak of '%s' in x.safetensors", err.text, words);
    }
}

static void broken_files(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        int64_t claimed;
        const char *words;
    } cases[] = {
        {"", 0, 100000001, "more than the format allows"},
        {"{}", 0, INT64_MAX, "more than the format allows"},
        {"{}", 0, 3, "longer than the file"},
        {"{", 0, -1, "header"},
        {"{}{}", 0, -1, "header"},
        {"[]", 0, -1, "not a JSON object"},
        {"", 0, 0, "header"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "}", 7, -1, "past the end of the file"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "}", 9, -1, "9 bytes of data, its header describes 8"},
        {"{}", 1, -1, "1 bytes of data, its header describes 0"},
        {"{" ENTRY("a", "F32", "[2]", 4, 12) "}", 12, -1, "a hole or an overlap"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F32", "[2]", 12, 20) "}", 20, -1, "a hole or an overlap"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F32", "[2]", 4, 12) "}", 12, -1, "a hole or an overlap"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F32", "[2]", 0, 8) "}", 8, -1, "a hole or an overlap"},
        {"{" ENTRY("a", "F32", "[2]", 8, 0) "}", 8, -1, "data_offsets"},
        {"{" ENTRY("a", "F32", "[2]", -8, 0) "}", 8, -1, "data_offsets"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8.0) "}", 8, -1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, -1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4,8]}}", 8, -1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, -1, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, -1, "'shape'"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, -1, "'dtype'"},
        {"{\"a\":{\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, -1, "'dtype'"},
        {"{\"a\":7}", 0, -1, "tensor 'a'"},
        {"{" ENTRY("a", "F31", "[2]", 0, 8) "}", 8, -1, "unknown dtype 'F31'"},
        {"{" ENTRY("a", "F32", "[3]", 0, 8) "}", 8, -1, "shape and dtype need another number"},
        {"{" ENTRY("a", "BF16", "[2]", 0, 8) "}", 8, -1, "shape and dtype need another number"},
        {"{" ENTRY("a", "F32", "[-2]", 0, 8) "}", 8, -1, "whole numbers from 0"},
        {"{" ENTRY("a", "F32", "[2.0]", 0, 8) "}", 8, -1, "whole numbers from 0"},
        {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,2]", 0, 8) "}", 8, -1, "at most 8"},
        {"{" ENTRY("a", "F32", "[4611686018427387904,4]", 0, 0) "}", 0, -1, "overflows"},
        {"{" ENTRY("a", "F32", "[4294967296,4294967296]", 0, 0) "}", 0, -1, "overflows"},
        /* 2^62 elements fit, their bytes do not: 2^62 * 4 wraps to 0 */
        {"{" ENTRY("a", "F32", "[4611686018427387904]", 0, 0) "}", 0, -1, "shape and dtype need another number"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("a", "F32", "[2]", 8, 16) "}", 16, -1, "duplicate"},
        {"{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("a", "F32", "[2]", 0, 8) "}", 8, -1, "duplicate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuse(file_of(cases[i].header, cases[i].data, cases[i].claimed), cases[i].words);
    }
    write_bytes(temporary("x.safetensors"), "1234567", 7);
    refuse(temporary("x.safetensors"), "too few");
    write_bytes(temporary("x.safetensors"), "", 0);
    refuse(temporary("x.safetensors"), "too few");
}

/* Every cut of a good file, and a byte too many. */
static void truncated(void **state)
{
    (void)state;
    struct strbuf good =
        read_bytes(file_of("{" ENTRY("a", "F32", "[2]", 0, 8) "," ENTRY("b", "F16", "[3]", 8, 14) "}", 14, -1));
    for (size_t size = 0; size < good.length; size++) {
        write_bytes(temporary("x.safetensors"), good.data, size);
        refuse(temporary("x.safetensors"), "x.safetensors");
    }
    strbuf_putc(&good, 0);
    write_bytes(temporary("x.safetensors"), good.data, good.length);
    refuse(temporary("x.safetensors"), "15 bytes of data, its header describes 14");
    strbuf_free(&good);
}

/* No byte of a header may lead out of the file or into a crash, whatever it becomes. */
static void damaged_bytes(void **state)
{
    (void)state;
    struct strbuf good =
        read_bytes(file_of("{\"__metadata__\":{\"format\":\"pt\"}," ENTRY("a", "F32", "[2,1]", 0, 8) "," //
                           ENTRY("b", "F16", "[3]", 8, 14) "}",
                           14, -1));
    size_t header = good.length - 14, read = 0;
    for (uint64_t n = 0; n < 4 * header; n++) {
        struct safetensors *files;
        struct err err;
        char *byte = &good.data[n % header], kept = *byte;
        *byte = (char)random_u64(1, RANDOM_MIX, n, 0);
        write_bytes(temporary("x.safetensors"), good.data, good.length);
        *byte = kept;
        if (safetensors_open(&files, temporary("x.safetensors"), &err) != 0) {
            continue;
        }
        read++;
        for (int32_t i = 0; i < safetensors_count(files); i++) {
            const struct safetensor *tensor = safetensors_at(files, i);
            float sum = 0, value;
            for (int64_t e = 0; e < tensor->count; e++) {
                safetensor_widen(&value, (const char *)tensor->data + (size_t)e * dtype_size(tensor->dtype),
                                 tensor->dtype, 1);
                sum += value;
            }
            assert_true(sum == sum || sum != sum); /* every element was looked at */
        }
        safetensors_close(files);
    }
    assert_true(read > 0 && read < 3 * header);
    strbuf_free(&good);
}

static void valid_oddities(void **state)
{
    (void)state;
    struct err err;
    struct safetensors *files;
    /* White space around, data in another order than the entries, rank 0, empty tensors, unaligned data, kinds that are
     * no weights. */
    must(safetensors_open(&files,
                          file_of("  {\"__metadata__\":{\"key\":\"value\"}," ENTRY("z", "F32", "[2]", 9, 17) "," //
                                  ENTRY("mask", "BOOL", "[1]", 0, 1) "," ENTRY("scalar", "F32", "[]", 1, 5) ","  //
                                  ENTRY("empty", "F32", "[3,0]", 5, 5) "," ENTRY("h", "BF16", "[2,1]", 5, 9) "} \n ",
                                  17, -1),
                          &err));
    assert_int_equal(safetensors_count(files), 4);
    assert_string_equal(safetensors_metadata(files, "key"), "value");
    assert_null(safetensors_metadata(files, "other"));
    assert_null(safetensors_find(files, "mask"));
    assert_null(safetensors_find(files, "nothing"));
    const struct safetensor *scalar = safetensors_find(files, "scalar"), *empty = safetensors_find(files, "empty"),
                            *z = safetensors_find(files, "z"), *h = safetensors_find(files, "h");
    assert_int_equal(scalar->rank, 0);
    assert_int_equal(scalar->count, 1);
    assert_int_equal(empty->count, 0);
    assert_int_equal(empty->rank, 2);
    static const unsigned char expected[] = {10, 11, 12, 13, 14, 15, 16, 17};
    assert_memory_equal(z->data, expected, sizeof expected);
    float values[2], want[2];
    safetensor_widen(values, z->data, z->dtype, 2);
    assert_memory_equal(values, expected, sizeof values);
    safetensor_widen(values, h->data, h->dtype, 2);
    want[0] = float_from_bf16(0x0706);
    want[1] = float_from_bf16(0x0908);
    assert_memory_equal(values, want, sizeof values);
    safetensors_close(files);
    must(safetensors_open(&files, file_of("{}", 0, -1), &err));
    assert_int_equal(safetensors_count(files), 0);
    assert_null(safetensors_find(files, "a"));
    safetensors_close(files);
}

/* ---- folders ---- */

static void refuse_index(const char *index, const char *words)
{
    struct safetensors *files;
    struct err err = {{0}};
    write_bytes(temporary("folder/model.safetensors.index.json"), index, strlen(index));
    if (safetensors_open_folder(&files, temporary("folder"), &err) == 0) {
        fail_msg("an index that should be refused (%s) was read", words);
    }
    if (!strstr(err.text, words)) {
        fail_msg("'%s' does not speak of '%s'", err.text, words);
    }
}

static void indexes(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct safetensors *files;
    must(file_make_dirs(temporary("folder"), &err));
    assert_int_equal(safetensors_open_folder(&files, temporary("folder"), &err), -1);
    assert_non_null(strstr(err.text, "neither model.safetensors nor"));
    struct strbuf bytes = read_bytes(file_of("{" ENTRY("a", "F32", "[2]", 0, 8) "}", 8, -1));
    write_bytes(temporary("folder/one.safetensors"), bytes.data, bytes.length);
    write_bytes(temporary("folder/two.safetensors"), bytes.data, bytes.length);
    write_bytes(temporary("outside.safetensors"), bytes.data, bytes.length);
    strbuf_free(&bytes);
    refuse_index("[]", "weight_map");
    refuse_index("{\"weight_map\": {}}", "weight_map");
    refuse_index("{\"weight_map\": {\"a\": 7}}", "plain name");
    refuse_index("{\"weight_map\": {\"a\": \"\"}}", "plain name");
    refuse_index("{\"weight_map\": {\"a\": \"../outside.safetensors\"}}", "plain name");
    refuse_index("{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "plain name");
    refuse_index("{\"weight_map\": {\"a\": \"..\"}}", "plain name");
    refuse_index("{\"weight_map\": {\"a\": \"..\\\\outside.safetensors\"}}", "plain name");
    refuse_index("{\"weight_map\": {\"a\": \"three.safetensors\"}}", "three.safetensors");
    refuse_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"one.safetensors\"}}", "tensor 'b'");
    refuse_index("{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"two.safetensors\"}}", "stands in both");
    const char *good = "{\"weight_map\": {\"a\": \"two.safetensors\"}}";
    write_bytes(temporary("folder/model.safetensors.index.json"), good, strlen(good));
    must(safetensors_open_folder(&files, temporary("folder"), &err));
    assert_int_equal(safetensors_count(files), 1);
    safetensors_close(files);
    remove_tree(temporary("folder"));
}

/* ---- writing ---- */

static int read_numbers(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)err;
    memcpy(out, (const float *)context + first, (size_t)count * sizeof *out);
    return 0;
}

static int fail_to_read(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)context;
    (void)out;
    (void)first;
    (void)count;
    return err_set(err, "no numbers today");
}

static void written_and_read(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct safetensors *files;
    float numbers[] = {0.0f, -1.5f, 1.0f / 3, 65504.0f, 1e-7f, -0.0f};
    static const char *const names[] = {"f32", "bf16", "a \"quoted\" name \xc3\xa9"};
    struct safetensor_spec specs[3];
    for (int i = 0; i < 3; i++) {
        specs[i] = (struct safetensor_spec){names[i], (enum dtype)i, 2, {2, 3}, read_numbers, numbers};
    }
    static const char *const metadata[] = {"attune.key", "a\nvalue", NULL};
    must(safetensors_write(temporary("w.safetensors"), specs, 3, metadata, &err));
    must(safetensors_open(&files, temporary("w.safetensors"), &err));
    assert_string_equal(safetensors_metadata(files, "format"), "pt");
    assert_string_equal(safetensors_metadata(files, "attune.key"), "a\nvalue");
    for (int i = 0; i < 3; i++) {
        float got[6];
        const struct safetensor *tensor = safetensors_find(files, names[i]);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, i);
        assert_int_equal((uintptr_t)tensor->data % dtype_size(tensor->dtype), 0);
        safetensor_widen(got, tensor->data, tensor->dtype, 6);
        for (int j = 0; j < 6; j++) {
            float want = dtype_round(numbers[j], (enum dtype)i);
            assert_memory_equal(&got[j], &want, sizeof want);
        }
    }
    safetensors_close(files);
    /* The old file stays whole when the new one cannot be made. */
    struct strbuf before = read_bytes(temporary("w.safetensors"));
    specs[1].read = fail_to_read;
    size_t names_before = names_in(temporary("."));
    assert_int_equal(safetensors_write(temporary("w.safetensors"), specs, 3, NULL, &err), -1);
    assert_non_null(strstr(err.text, "no numbers today"));
    assert_int_equal(names_in(temporary(".")), names_before);
    struct strbuf after = read_bytes(temporary("w.safetensors"));
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
    strbuf_free(&before);
    strbuf_free(&after);
}

/* Rounding to 16 bits and back, against the plain formulas, for many values and all halves. */
static void number_formats(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        float got, want = float_from_f16(half);
        safetensor_widen(&got, &half, DTYPE_F16, 1);
        assert_true(isnan(want) ? isnan(got) : memcmp(&got, &want, sizeof got) == 0);
        if (!isnan(want)) {
            assert_int_equal(f16_from_f32(got), half);
        }
        want = float_from_bf16(half);
        safetensor_widen(&got, &half, DTYPE_BF16, 1);
        assert_true(isnan(want) ? isnan(got) : memcmp(&got, &want, sizeof got) == 0);
        if (!isnan(want)) {
            assert_int_equal(bf16_from_f32(got), half);
        }
    }
    for (uint64_t n = 0; n < 200000; n++) {
        uint32_t bits = (uint32_t)random_u64(2, RANDOM_MIX, n, 0);
        float value;
        memcpy(&value, &bits, sizeof value);
        if (isnan(value)) {
            continue;
        }
        assert_int_equal(bf16_from_f32(value), bf16_from_float(value));
        if (fabsf(value) < 65520.0f) {
            assert_int_equal(f16_from_f32(value), f16_from_float(value));
        } else {
            assert_int_equal(f16_from_f32(value) & 0x7fff, 0x7c00);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files),   cmocka_unit_test(truncated), cmocka_unit_test(damaged_bytes),
        cmocka_unit_test(valid_oddities), cmocka_unit_test(indexes),   cmocka_unit_test(written_and_read),
        cmocka_unit_test(number_formats),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
