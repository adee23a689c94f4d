/* tests/support/run_files.c - see run_files.h. */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "support/fixture.h"
#include "support/run_files.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>

double run_metric(const char *name, int step, const char *key)
{
    struct err err;
    struct file_lines *lines;
    const char *line;
    size_t length;
    double value = 0;
    bool found = false;
    must(file_lines_open(&lines, temporary("%s/metrics.jsonl", name), &err));
    while (!found && file_lines_next(lines, &line, &length, &err) == 1) {
        json_t *record = json_read_text(line, length, "metrics.jsonl", &err);
        assert_non_null(record);
        const json_t *member = json_object_get(record, key);
        found = member && json_integer_value(json_object_get(record, "step")) == step;
        value = !found ? 0 : json_is_null(member) ? (double)NAN : json_number_value(member);
        json_decref(record);
    }
    file_lines_close(lines);
    if (!found) {
        fail_msg("%s/metrics.jsonl has no '%s' at step %d", name, key, step);
    }
    return value;
}

struct strbuf run_metrics(const char *name)
{
    /* The first of the timings, whichever a record has; they stand last (train/metrics.h). */
    static const char *const timings[] = {", \"tokens_per_second\"", ", \"time/", ", \"seconds\""};
    struct err err;
    struct strbuf kept = {0};
    struct file_lines *lines;
    const char *line;
    size_t length;
    must(file_lines_open(&lines, temporary("%s/metrics.jsonl", name), &err));
    while (file_lines_next(lines, &line, &length, &err) == 1) {
        for (size_t i = 0; i < sizeof timings / sizeof *timings; i++) {
            const char *place = memmem(line, length, timings[i], strlen(timings[i]));
            length = place ? (size_t)(place - line) : length;
        }
        strbuf_append(&kept, line, length);
        strbuf_putc(&kept, '\n');
    }
    file_lines_close(lines);
    must(strbuf_check(&kept, &err));
    return kept;
}
