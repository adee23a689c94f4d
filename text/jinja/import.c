/* What a JSON value is to a template. */
#include "text/jinja/string.h"

struct jinja_value jinja_import(struct jinja_arena *arena, const json_t *json, struct jinja_origin origin)
{
    struct jinja_value value = jinja_none();
    jinja_enter(arena);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        value = jinja_import_object(arena, json, origin, NULL);
        break;
    case JSON_ARRAY:
        value = jinja_list_value(JINJA_LIST, jinja_list_new(arena, json_array_size(json)));
        for (size_t i = 0; i < json_array_size(json); i++) {
            jinja_list_add(arena, value.list, jinja_import(arena, json_array_get(json, i), origin));
        }
        break;
    case JSON_STRING:
        value = jinja_string_of(arena, json_string_value(json), json_string_length(json), origin);
        break;
    case JSON_INTEGER:
        value = jinja_int(json_integer_value(json));
        break;
    case JSON_REAL:
        value = jinja_real(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value = jinja_bool(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    value.origin = origin;
    jinja_leave(arena);
    return value;
}

struct jinja_value jinja_import_object(struct jinja_arena *arena, const json_t *json, struct jinja_origin origin,
                                       struct jinja_origin (*member)(struct jinja_origin, const char *key))
{
    /* jansson's iteration takes no const object although it only reads. */
    json_t *object = (json_t *)(uintptr_t)json;
    struct jinja_dict *dict = jinja_dict_new(arena, json_object_size(json));
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        struct jinja_origin inner = member ? member(origin, key) : origin;
        jinja_dict_append(arena, dict, jinja_string_of(arena, key, json_object_iter_key_len(at), origin),
                          jinja_import(arena, json_object_iter_value(at), inner));
    }
    struct jinja_value value = jinja_dict_value(dict);
    value.origin = origin;
    return value;
}
