#include "base/json.h"

#include "base/file.h"
#include "base/mem.h"
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

static json_t *read_text(const char *text, size_t length, size_t flags, const char *where, struct err *err)
{
    assert(text || length == 0);
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    size_t skipped = 0;
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        skipped = 3;
    }
    json_error_t error;
    long failures = mem_library_failures();
    json_t *value = json_loadb(length > 0 ? text + skipped : "", length - skipped,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | flags, &error);
    /* jansson 2.14 drops a byte of a string where its buffer cannot grow, and goes on: such a value is not what stands
     * there. */
    bool starved = mem_library_failures() != failures;
    if (value && !starved) {
        return value;
    }
    json_decref(value);
    if (starved || (!value && json_error_code(&error) == json_error_out_of_memory)) {
        err_set(err, "%s: out of memory while reading %zu bytes of JSON", where, length);
    } else {
        err_set(err, "%s: not valid JSON at line %d, column %d: %s", where, error.line, error.column, error.text);
    }
    return NULL;
}

json_t *json_read_text(const char *text, size_t length, const char *where, struct err *err)
{
    return read_text(text, length, 0, where, err);
}

json_t *json_read_text_strict(const char *text, size_t length, const char *where, struct err *err)
{
    return read_text(text, length, JSON_REJECT_DUPLICATES, where, err);
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
