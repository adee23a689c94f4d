#include "base/json.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/minmax.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

/* ---- reading ---- */

/*
 * jansson 2.14 ignores that the buffer of a string or number could not grow: it reads on without a byte, and then stops
 * at an assertion or reads after the buffer (load.c, lex_save()). So that one allocation, of at most twice the bytes
 * read and a few more, is served from memory set aside; the text ends there, and what came out is thrown away.
 */
struct source {
    const char *text;
    size_t length, at;
    long failures; /* failed allocations before */
    struct mem_reserve reserve;
};

#define RESERVE_FIRST ((size_t)4096)

/* Enough for the bytes read so far and as many again. */
static int set_aside(struct source *source, struct err *err)
{
    struct mem_reserve *reserve = &source->reserve;
    size_t bytes = source->at < RESERVE_FIRST ? RESERVE_FIRST : 2 * source->at;
    mem_free(reserve->memory);
    reserve->size = 2 * min(bytes, source->length) + 64;
    reserve->memory = mem_alloc(reserve->size, 1, err);
    return reserve->memory ? 0 : -1;
}

/* One byte at a time, until memory ends. */
static size_t next_byte(void *buffer, size_t size, void *context)
{
    struct source *source = context;
    struct err cause;
    assert(size > 0);
    if (source->at == source->length || mem_library_failures() != source->failures) {
        return 0;
    }
    if (2 * source->at + 64 > source->reserve.size && set_aside(source, &cause) != 0) {
        return 0;
    }
    *(char *)buffer = source->text[source->at++];
    return 1;
}

/* Returns 1 with *value, 0 where the text is not JSON (*error says why), -1 with *err when memory runs out. */
static int load(json_t **value, const char *text, size_t length, size_t flags, json_error_t *error, struct err *err)
{
    assert(text || length == 0);
    struct source source = {.text = text, .length = length, .failures = mem_library_failures()};
    if (set_aside(&source, err) != 0) {
        return -1;
    }
    mem_reserve_begin(&source.reserve);
    *value = json_load_callback(next_byte, &source, JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, error);
    bool starved = mem_library_failures() != source.failures || !source.reserve.memory;
    if (starved) {
        json_decref(*value);
        *value = NULL;
    }
    mem_reserve_end();
    mem_free(source.reserve.memory);
    if (starved) {
        return err_set(err, "out of memory while reading %zu bytes of JSON", length);
    }
    return *value ? 1 : 0;
}

static json_t *read_text(const char *text, size_t length, size_t flags, const char *where, struct err *err)
{
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    size_t skipped = length >= 3 && memcmp(text, byte_order_mark, 3) == 0 ? 3 : 0;
    json_error_t error;
    json_t *value = NULL;
    int got = load(&value, skipped > 0 ? text + skipped : text, length - skipped, flags, &error, err);
    if (got == 0) {
        err_set(err, "%s: not valid JSON at line %d, column %d: %s", where, error.line, error.column, error.text);
    } else if (got < 0) {
        err_prefix(err, "%s", where);
    }
    return value;
}

static json_t *read_first(const char *text, size_t length, size_t flags, size_t *used, struct err *err)
{
    json_error_t error;
    json_t *value = NULL;
    int got = load(&value, text, length, JSON_DISABLE_EOF_CHECK | flags, &error, err);
    if (got == 0) {
        err_set(err, "%s", error.text);
    }
    *used = got > 0 ? (size_t)error.position : 0;
    return value;
}

json_t *json_read_first(const char *text, size_t length, size_t *used, struct err *err)
{
    return read_first(text, length, 0, used, err);
}

json_t *json_read_first_reals(const char *text, size_t length, size_t *used, struct err *err)
{
    return read_first(text, length, JSON_DECODE_INT_AS_REAL, used, err);
}

json_t *json_read_text(const char *text, size_t length, const char *where, struct err *err)
{
    return read_text(text, length, 0, where, err);
}

json_t *json_read_text_strict(const char *text, size_t length, const char *where, struct err *err)
{
    return read_text(text, length, JSON_REJECT_DUPLICATES, where, err);
}

json_t *json_read_text_reals(const char *text, size_t length, const char *where, struct err *err)
{
    return read_text(text, length, JSON_DECODE_INT_AS_REAL, where, err);
}

json_t *json_read_file(const char *path, size_t max, struct err *err)
{
    struct strbuf text = {0};
    json_t *value = NULL;
    if (file_read_gz(&text, path, max, err) == 0) {
        value = json_read_text(text.data, text.length, path, err);
    }
    strbuf_free(&text);
    return value;
}

/* 1 with *member set, 0 where the member is absent or null, -1 where `object` is no object. */
static int find_member(const json_t *object, const char *key, const json_t **member, const char *where, struct err *err)
{
    *member = NULL;
    if (!json_is_object(object)) {
        return err_set(err, "%s: expected an object with the member \"%s\", found %s", where, key,
                       object ? type_name(object) : "nothing");
    }
    *member = json_object_get(object, key);
    return *member && !json_is_null(*member);
}

static int wrong_type(const json_t *member, const char *key, const char *wanted, const char *where, struct err *err)
{
    return err_set(err, "%s: \"%s\" must be %s, but it is %s", where, key, wanted, type_name(member));
}

int json_get_string(const json_t *object, const char *key, const char **out, const char *where, struct err *err)
{
    const json_t *member;
    int found = find_member(object, key, &member, where, err);
    if (found <= 0) {
        return found;
    }
    if (!json_is_string(member)) {
        return wrong_type(member, key, "a string", where, err);
    }
    *out = json_string_value(member);
    return 0;
}

/* Whole numbers written with a point or an exponent (4096.0) are integers too, as long as int64_t holds them. */
static bool integer_value(const json_t *member, int64_t *out)
{
    if (json_is_integer(member)) {
        *out = json_integer_value(member);
        return true;
    }
    double real = json_real_value(member);
    if (!json_is_real(member) || real != trunc(real) || fabs(real) >= 0x1p63) {
        return false;
    }
    *out = (int64_t)real;
    return true;
}

int json_get_int(const json_t *object, const char *key, int64_t *out, int64_t least, int64_t most, const char *where,
                 struct err *err)
{
    const json_t *member;
    int found = find_member(object, key, &member, where, err);
    if (found <= 0) {
        return found;
    }
    int64_t value;
    if (!integer_value(member, &value)) {
        return wrong_type(member, key, "an integer", where, err);
    }
    if (value < least || value > most) {
        return err_set(err, "%s: \"%s\" must be from %lld to %lld, but it is %lld", where, key, (long long)least,
                       (long long)most, (long long)value);
    }
    *out = value;
    return 0;
}

int json_get_double(const json_t *object, const char *key, double *out, const char *where, struct err *err)
{
    const json_t *member;
    int found = find_member(object, key, &member, where, err);
    if (found <= 0) {
        return found;
    }
    if (!json_is_number(member)) {
        return wrong_type(member, key, "a number", where, err);
    }
    *out = json_number_value(member);
    return 0;
}

int json_get_bool(const json_t *object, const char *key, bool *out, const char *where, struct err *err)
{
    const json_t *member;
    int found = find_member(object, key, &member, where, err);
    if (found <= 0) {
        return found;
    }
    if (!json_is_boolean(member)) {
        return wrong_type(member, key, "true or false", where, err);
    }
    *out = json_is_true(member);
    return 0;
}

static int need_member(const json_t *object, const char *key, const char *where, struct err *err)
{
    const json_t *member;
    int found = find_member(object, key, &member, where, err);
    if (found == 0) {
        return err_set(err, "%s: \"%s\" is missing", where, key);
    }
    return found < 0 ? -1 : 0;
}

int json_need_string(const json_t *object, const char *key, const char **out, const char *where, struct err *err)
{
    if (need_member(object, key, where, err) != 0) {
        return -1;
    }
    return json_get_string(object, key, out, where, err);
}

int json_need_int(const json_t *object, const char *key, int64_t *out, int64_t least, int64_t most, const char *where,
                  struct err *err)
{
    if (need_member(object, key, where, err) != 0) {
        return -1;
    }
    return json_get_int(object, key, out, least, most, where, err);
}
