/* TensorBoard's event files, read back by a reader of the test's own, and cut as a resumed run cuts them. */
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "report/tensorboard.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include "train/metrics.h"
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- a reader that shares nothing with the writer: CRC by table, fields by a cursor ---- */

#define EVENTS_MAX 64
#define VALUES_MAX 8

struct value {
    char name[64];
    float number;
};

struct event {
    double wall_time;
    uint64_t step;
    char version[32];
    bool start;
    struct value values[VALUES_MAX];
    int value_count;
};

struct cursor {
    const unsigned char *at, *end;
};

static uint32_t checksum(const unsigned char *bytes, size_t size)
{
    uint32_t table[256], crc = 0xffffffff;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) {
            table[i] = table[i] % 2 ? 0x82f63b78 ^ table[i] / 2 : table[i] / 2;
        }
    }
    while (size--) {
        crc = table[(crc ^ *bytes++) % 256] ^ crc / 256;
    }
    crc ^= 0xffffffff;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

static void take(struct cursor *cursor, void *out, size_t size)
{
    assert_true((size_t)(cursor->end - cursor->at) >= size);
    memcpy(out, cursor->at, size);
    cursor->at += size;
}

static uint64_t take_varint(struct cursor *cursor)
{
    uint64_t value = 0;
    unsigned char byte = 0x80;
    for (int shift = 0; byte & 0x80; shift += 7) {
        take(cursor, &byte, 1);
        value += (uint64_t)(byte & 0x7f) << shift;
    }
    return value;
}

/* A field of bytes. */
static struct cursor take_bytes(struct cursor *cursor)
{
    uint64_t length = take_varint(cursor);
    assert_true(length <= (uint64_t)(cursor->end - cursor->at));
    struct cursor inner = {cursor->at, cursor->at + length};
    cursor->at = inner.end;
    return inner;
}

static void take_text(struct cursor *cursor, char *out, size_t room)
{
    struct cursor text = take_bytes(cursor);
    size_t length = (size_t)(text.end - text.at);
    assert_true(length < room);
    take(&text, out, length);
    out[length] = '\0';
}

static void read_value(struct cursor value, struct value *out)
{
    assert_int_equal(take_varint(&value), 0x0a);
    take_text(&value, out->name, sizeof out->name);
    assert_int_equal(take_varint(&value), 0x15);
    take(&value, &out->number, 4);
    assert_true(value.at == value.end);
}

static void read_event(struct cursor data, struct event *event)
{
    *event = (struct event){.wall_time = -1};
    while (data.at < data.end) {
        uint64_t tag = take_varint(&data);
        if (tag == 0x09) {
            take(&data, &event->wall_time, 8);
        } else if (tag == 0x10) {
            event->step = take_varint(&data);
        } else if (tag == 0x1a) {
            take_text(&data, event->version, sizeof event->version);
        } else if (tag == 0x2a) {
            struct cursor summary = take_bytes(&data);
            while (summary.at < summary.end) {
                assert_int_equal(take_varint(&summary), 0x0a);
                assert_true(event->value_count < VALUES_MAX);
                read_value(take_bytes(&summary), &event->values[event->value_count++]);
            }
        } else {
            assert_int_equal(tag, 0x3a);
            struct cursor session = take_bytes(&data);
            assert_int_equal(take_varint(&session), 0x08);
            event->start = take_varint(&session) == 1;
            assert_true(session.at == session.end);
        }
    }
}

/* Every event of a file; fails the test on anything that is not whole. */
static int read_events(const char *path, struct event *events)
{
    struct err err;
    struct strbuf whole = {0};
    assert_int_equal(file_read(&whole, path, 1 << 20, &err), 0);
    struct cursor cursor = {(unsigned char *)whole.data, (unsigned char *)whole.data + whole.length};
    int count = 0;
    while (cursor.at < cursor.end) {
        uint64_t length;
        uint32_t sum;
        const unsigned char *head = cursor.at;
        take(&cursor, &length, 8); /* the tests run on little-endian machines */
        take(&cursor, &sum, 4);
        assert_int_equal(sum, checksum(head, 8));
        struct cursor data = {cursor.at, cursor.at + length};
        assert_true(length <= (uint64_t)(cursor.end - cursor.at));
        cursor.at = data.end;
        take(&cursor, &sum, 4);
        assert_int_equal(sum, checksum(data.at, (size_t)length));
        assert_true(count < EVENTS_MAX);
        read_event(data, &events[count++]);
    }
    strbuf_free(&whole);
    return count;
}

/* ---- the scratch folder of a test ---- */

static char folder[256];

static void new_folder(const char *name)
{
    struct err err;
    strcpy(folder, temporary("%s", name));
    assert_int_equal(file_remove_tree(folder, &err), 0);
    assert_int_equal(file_make_dirs(folder, &err), 0);
}

/* The path of the n-th event file, "" where there are fewer; valid until the next call. */
static const char *nth_file(size_t n)
{
    static char path[512];
    struct err err;
    char **names;
    size_t count, seen = 0;
    path[0] = '\0';
    assert_int_equal(file_list(&names, &count, folder, &err), 0);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i], "events.out.tfevents.", 20) == 0 && seen++ == n) {
            snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        }
    }
    file_names_free(names, count);
    return path;
}

static struct tensorboard *open_at(int64_t step)
{
    struct tensorboard *tensorboard = NULL;
    struct err err;
    if (tensorboard_open(&tensorboard, folder, step, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tensorboard;
}

static void add(struct tensorboard *tensorboard, const char *record)
{
    struct err err;
    if (tensorboard_add(tensorboard, record, strlen(record), &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* A start of a run that records steps [from, to]. */
static void run_steps(int64_t resumed, int from, int to)
{
    struct err err;
    struct tensorboard *tensorboard = open_at(resumed);
    for (int step = from; step <= to; step++) {
        char record[128];
        snprintf(record, sizeof record, "{\"step\": %d, \"loss\": %d.5}\n", step, step);
        add(tensorboard, record);
    }
    assert_int_equal(tensorboard_sync(tensorboard, &err), 0);
    tensorboard_close(tensorboard);
}

static void cut(int64_t step)
{
    struct err err;
    if (tensorboard_cut(folder, step, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

/* ---- the tests ---- */

static void checksums(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(tensorboard_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(tensorboard_crc32c("", 0), 0);
    memset(bytes, 0, 32); /* this and the following: RFC 3720, B.4 */
    assert_int_equal(tensorboard_crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(tensorboard_crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(tensorboard_crc32c(bytes, 32), 0x46dd794e);
}

/* The example of tensorboard.h, byte for byte but for the clock. */
static void bytes_of_a_record(void **state)
{
    (void)state;
    static const unsigned char data[] = {0x10, 0x0a, 0x2a, 0x0d, 0x0a, 0x0b, 0x0a, 0x04, 'l',
                                         'o',  's',  's',  0x15, 0x00, 0x00, 0xc0, 0x3f};
    struct err err;
    struct strbuf whole = {0};
    new_folder("bytes");
    struct tensorboard *tensorboard = open_at(-1);
    size_t first = 12 + 9 + 2 + 15 + 4; /* the event with the version */
    add(tensorboard, "{\"step\": 10, \"loss\": 1.5}\n");
    tensorboard_close(tensorboard);
    assert_int_equal(file_read(&whole, nth_file(0), 1 << 20, &err), 0);
    assert_int_equal(whole.length, first + 12 + 26 + 4);
    assert_memory_equal(whole.data + first, "\x1a\0\0\0\0\0\0\0", 8);
    assert_int_equal(whole.data[first + 12], 0x09);
    assert_memory_equal(whole.data + first + 12 + 9, data, sizeof data);
    strbuf_free(&whole);
}

static void what_a_file_holds(void **state)
{
    (void)state;
    struct event events[EVENTS_MAX];
    struct metrics *metrics;
    struct err err;
    double before = (double)time(NULL);
    new_folder("holds");
    struct tensorboard *tensorboard = open_at(-1);
    assert_int_equal(metrics_open(&metrics, temporary("holds/metrics.jsonl"), &err), 0);
    metrics_set_sink(metrics, tensorboard_add, tensorboard);
    metrics_begin(metrics, 300, 1.5);
    metrics_real(metrics, "loss", NAN);
    metrics_real(metrics, "val/ratio", 1.25);
    metrics_whole(metrics, "num_tokens", 4096);
    metrics_text(metrics, "note", "not a number");
    metrics_timing(metrics, "tokens_per_second", 290);
    assert_int_equal(metrics_end(metrics, &err), 0);
    metrics_close(metrics);
    tensorboard_close(tensorboard);

    assert_int_equal(read_events(nth_file(0), events), 2);
    assert_string_equal(events[0].version, "brain.Event:2");
    assert_int_equal(events[0].value_count, 0);
    assert_true(events[1].wall_time >= before && events[1].wall_time <= (double)time(NULL) + 1);
    assert_int_equal(events[1].step, 300);
    assert_string_equal(events[1].version, "");
    static const char *const names[] = {"epoch", "loss", "val/ratio", "num_tokens", "tokens_per_second"};
    static const float numbers[] = {1.5f, NAN, 1.25f, 4096, 290};
    assert_int_equal(events[1].value_count, 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(events[1].values[i].name, names[i]);
        assert_true(events[1].values[i].number == numbers[i] ||
                    (isnan(numbers[i]) && isnan(events[1].values[i].number)));
    }
}

/* A run killed behind its checkpoint and resumed: each step once, and readers are told where it went on. */
static void resuming_cuts(void **state)
{
    (void)state;
    struct event events[EVENTS_MAX];
    new_folder("resume");
    run_steps(-1, 1, 10);
    cut(6);
    assert_int_equal(read_events(nth_file(0), events), 7);
    assert_int_equal(events[6].step, 6);
    run_steps(6, 7, 12);
    assert_true(strlen(nth_file(1)) > 0); /* sorts behind the first, also when both began in one second */
    assert_int_equal(read_events(nth_file(1), events), 8);
    assert_string_equal(events[0].version, "brain.Event:2");
    assert_true(events[1].start);
    assert_int_equal(events[1].step, 7);
    for (int i = 2; i < 8; i++) {
        assert_int_equal(events[i].step, 5 + i);
        assert_true(events[i].values[0].number == (float)(5 + i) + 0.5f);
    }
    cut(12);
    assert_int_equal(read_events(nth_file(0), events), 7);
    assert_int_equal(read_events(nth_file(1), events), 8);
    cut(6); /* nothing of the second file stays */
    assert_int_equal(read_events(nth_file(0), events), 7);
    assert_string_equal(nth_file(1), "");
    cut(-1);
    assert_string_equal(nth_file(0), "");
    cut(-1);
}

/* What a kill leaves at the end of a file, and damage in the middle. */
static void torn_and_damaged(void **state)
{
    (void)state;
    struct event events[EVENTS_MAX];
    struct strbuf whole = {0}, broken = {0};
    struct err err;
    new_folder("torn");
    run_steps(-1, 1, 4);
    assert_int_equal(file_read(&whole, nth_file(0), 1 << 20, &err), 0);
    size_t frame = 12 + 9 + 2 + 2 + 13 + 4;
    for (size_t missing = 1; missing < frame; missing++) {
        assert_int_equal(file_write_whole(nth_file(0), whole.data, whole.length - missing, &err), 0);
        cut(100);
        assert_int_equal(read_events(nth_file(0), events), 4);
    }
    for (size_t i = 0; i < frame; i++) { /* one byte of the last frame but one */
        strbuf_clear(&broken);
        strbuf_append(&broken, whole.data, whole.length);
        broken.data[whole.length - 2 * frame + i] ^= 0x10;
        assert_int_equal(file_write_whole(nth_file(0), broken.data, broken.length, &err), 0);
        cut(100);
        assert_int_equal(read_events(nth_file(0), events), 3);
    }
    strbuf_free(&whole);
    strbuf_free(&broken);
}

static void leaves_other_files(void **state)
{
    (void)state;
    static const char *const names[] = {"metrics.jsonl", "events.out.tfevents.1700000000.host",
                                        "events.out.tfevents.attune", "events.out.tfevents.12x.attune"};
    struct err err;
    new_folder("others");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(file_write_whole(path, "x", 1, &err), 0);
    }
    cut(-1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_true(file_exists(path));
    }
}

static void failures(void **state)
{
    (void)state;
    struct tensorboard *tensorboard = NULL;
    struct err err;
    assert_int_equal(tensorboard_open(&tensorboard, temporary("no/such"), -1, &err), -1);
    assert_says(err.text, "no/such", NULL);
    assert_int_equal(tensorboard_cut(temporary("no/such"), 1, &err), -1);
    new_folder("failures");
    tensorboard = open_at(-1);
    assert_int_equal(tensorboard_add(tensorboard, "nonsense\n", 9, &err), -1);
    assert_int_equal(tensorboard_add(tensorboard, "{\"loss\": 1}\n", 12, &err), -1);
    assert_says(err.text, "step", NULL);
    tensorboard_close(tensorboard);
    tensorboard_close(NULL);
}

static int write_and_cut(struct tensorboard **tensorboard, struct err *err)
{
    static const char record[] = "{\"step\": 1, \"loss\": 2}\n";
    if (tensorboard_open(tensorboard, folder, 0, err) != 0 ||
        tensorboard_add(*tensorboard, record, strlen(record), err) != 0) {
        return -1;
    }
    return tensorboard_cut(folder, 1, err);
}

static void without_memory(void **state)
{
    (void)state;
    struct err err;
    mem_hook_libraries();
    long n = 1;
    for (bool done = false; !done; n++) {
        struct tensorboard *tensorboard = NULL;
        new_folder("memory");
        mem_fail_at(n);
        int status = write_and_cut(&tensorboard, &err);
        done = mem_count() < n;
        mem_fail_at(0);
        tensorboard_close(tensorboard);
        assert_int_equal(status, done ? 0 : -1);
    }
    assert_true(n > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),     cmocka_unit_test(bytes_of_a_record), cmocka_unit_test(what_a_file_holds),
        cmocka_unit_test(resuming_cuts), cmocka_unit_test(torn_and_damaged),  cmocka_unit_test(leaves_other_files),
        cmocka_unit_test(failures),      cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
