#include "text/tokenizer/sequence.h"

#include "base/json.h"
#include <string.h>

#define STEPS_MAX 64
#define DEPTH_MAX 8

static int read_steps(const struct sequence *sequence, void *context, const json_t *json, int depth, int *steps,
                      const char *where, struct err *err)
{
    const char *type = NULL;
    if (json_need_string(json, "type", &type, where, err) != 0) {
        return err_prefix(err, "in \"%s\"", sequence->section);
    }
    if (strcmp(type, "Sequence") != 0) {
        if (++*steps > STEPS_MAX) {
            return err_set(err, "%s: the %s has more than %d steps", where, sequence->section, STEPS_MAX);
        }
        return sequence->add(context, json, type, where, err);
    }
    const json_t *list = json_object_get(json, sequence->list);
    if (!json_is_array(list) || depth == DEPTH_MAX) {
        return err_set(err, "%s: a %s of type Sequence needs a list \"%s\", nested at most %d deep", where,
                       sequence->section, sequence->list, DEPTH_MAX);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (read_steps(sequence, context, json_array_get(list, i), depth + 1, steps, where, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int sequence_read(const struct sequence *sequence, void *context, const json_t *json, const char *where,
                  struct err *err)
{
    int steps = 0;
    return !json || json_is_null(json) ? 0 : read_steps(sequence, context, json, 0, &steps, where, err);
}

int sequence_unknown(const struct sequence *sequence, const char *type, const char *where, struct err *err)
{
    return err_set(err, "%s: the %s '%s' is not supported", where, sequence->section, type);
}
