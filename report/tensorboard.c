/* report/tensorboard.c - see tensorboard.h. */
#include "report/tensorboard.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_PREFIX  "events.out.tfevents."
#define FILE_SUFFIX  ".attune"
#define FILE_VERSION "brain.Event:2"

#define FRAME_HEAD ((size_t)12) /* length and its checksum */
#define FRAME_TAIL ((size_t)4)

/* Tags of protocol buffers: (number of the field << 3) | how it is written. */
enum wire { WIRE_VARINT = 0, WIRE_8_BYTES = 1, WIRE_BYTES = 2, WIRE_4_BYTES = 5 };
enum {
    EVENT_WALL_TIME = 1 << 3 | WIRE_8_BYTES,
    EVENT_STEP = 2 << 3 | WIRE_VARINT,
    EVENT_FILE_VERSION = 3 << 3 | WIRE_BYTES,
    EVENT_SUMMARY = 5 << 3 | WIRE_BYTES,
    EVENT_SESSION_LOG = 7 << 3 | WIRE_BYTES,
    SUMMARY_VALUE = 1 << 3 | WIRE_BYTES,
    VALUE_TAG = 1 << 3 | WIRE_BYTES,
    VALUE_SIMPLE = 2 << 3 | WIRE_4_BYTES,
    SESSION_STATUS = 1 << 3 | WIRE_VARINT,
};
#define SESSION_START 1

struct tensorboard {
    int file;
    char *path;
    struct strbuf value, summary, event, frame;
};

uint32_t tensorboard_crc32c(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
    }
    return ~crc;
}

static uint32_t masked_checksum(const void *bytes, size_t size)
{
    uint32_t crc = tensorboard_crc32c(bytes, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* ---- writing ---- */

static void put_little_endian(struct strbuf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        strbuf_putc(out, (char)(value >> 8 * i & 0xff));
    }
}

static void put_varint(struct strbuf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        strbuf_putc(out, (char)((value & 0x7f) | 0x80));
    }
    strbuf_putc(out, (char)value);
}

static void put_bytes(struct strbuf *out, int tag, const char *bytes, size_t length)
{
    put_varint(out, (uint64_t)tag);
    put_varint(out, length);
    strbuf_append(out, bytes, length);
}

static void begin_event(struct tensorboard *tensorboard, int64_t step)
{
    struct strbuf *event = &tensorboard->event;
    struct timespec now;
    uint64_t bits;
    clock_gettime(CLOCK_REALTIME, &now);
    double seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    memcpy(&bits, &seconds, sizeof bits);
    strbuf_clear(event);
    put_varint(event, EVENT_WALL_TIME);
    put_little_endian(event, bits, 8);
    put_varint(event, EVENT_STEP);
    put_varint(event, (uint64_t)step);
}

/* Frames the event and hands it to the system whole. */
static int end_event(struct tensorboard *tensorboard, struct err *err)
{
    struct strbuf *frame = &tensorboard->frame, *event = &tensorboard->event;
    if (strbuf_check(&tensorboard->value, err) != 0 || strbuf_check(&tensorboard->summary, err) != 0 ||
        strbuf_check(event, err) != 0) {
        return -1;
    }
    strbuf_clear(frame);
    put_little_endian(frame, event->length, 8);
    put_little_endian(frame, masked_checksum(strbuf_text(frame), frame->length), 4);
    strbuf_append(frame, event->data, event->length);
    put_little_endian(frame, masked_checksum(event->data, event->length), 4);
    if (strbuf_check(frame, err) != 0) {
        return -1;
    }
    return file_append(tensorboard->file, tensorboard->path, frame->data, frame->length, err);
}

static void put_value(struct tensorboard *tensorboard, const char *name, double number)
{
    float simple = (float)number;
    uint32_t bits;
    memcpy(&bits, &simple, sizeof bits);
    strbuf_clear(&tensorboard->value);
    put_bytes(&tensorboard->value, VALUE_TAG, name, strlen(name));
    put_varint(&tensorboard->value, VALUE_SIMPLE);
    put_little_endian(&tensorboard->value, bits, 4);
    put_bytes(&tensorboard->summary, SUMMARY_VALUE, strbuf_text(&tensorboard->value), tensorboard->value.length);
}

static int add_object(struct tensorboard *tensorboard, json_t *record, struct err *err)
{
    int64_t step;
    const char *name;
    json_t *value;
    if (json_need_int(record, "step", &step, 0, INT64_MAX, tensorboard->path, err) != 0) {
        return -1;
    }
    begin_event(tensorboard, step);
    strbuf_clear(&tensorboard->summary);
    json_object_foreach(record, name, value)
    {
        if (strcmp(name, "step") != 0 && (json_is_number(value) || json_is_null(value))) {
            put_value(tensorboard, name, json_is_null(value) ? NAN : json_number_value(value));
        }
    }
    put_bytes(&tensorboard->event, EVENT_SUMMARY, strbuf_text(&tensorboard->summary), tensorboard->summary.length);
    return end_event(tensorboard, err);
}

int tensorboard_add(void *context, const char *record, size_t length, struct err *err)
{
    struct tensorboard *tensorboard = context;
    json_t *object = json_read_text(record, length, "a record of metrics.jsonl", err);
    int result = object ? add_object(tensorboard, object, err) : -1;
    json_decref(object);
    return result;
}

int tensorboard_sync(struct tensorboard *tensorboard, struct err *err)
{
    return file_sync(tensorboard->file, tensorboard->path, err);
}

/* ---- the files of a folder ---- */

/* The number in the name of an event file that attune wrote, -1 for other names. */
static int64_t file_number(const char *name)
{
    const size_t prefix = strlen(FILE_PREFIX);
    if (strncmp(name, FILE_PREFIX, prefix) != 0 || name[prefix] < '0' || name[prefix] > '9') {
        return -1;
    }
    char *end;
    errno = 0;
    long long number = strtoll(name + prefix, &end, 10);
    return errno == 0 && strcmp(end, FILE_SUFFIX) == 0 ? number : -1;
}

/* TensorBoard reads the files of a folder in the order of their names, so the number is the time of the start, and
 * larger than any that is there. */
static int choose_path(struct tensorboard *tensorboard, const char *folder, struct err *err)
{
    char **names;
    size_t count;
    int64_t number = (int64_t)time(NULL);
    if (file_list(&names, &count, folder, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (file_number(names[i]) >= number && file_number(names[i]) < INT64_MAX) {
            number = file_number(names[i]) + 1;
        }
    }
    file_names_free(names, count);
    char name[64];
    snprintf(name, sizeof name, FILE_PREFIX "%010lld" FILE_SUFFIX, (long long)number);
    tensorboard->path = file_join(folder, name, err);
    return tensorboard->path ? 0 : -1;
}

static int write_first_events(struct tensorboard *tensorboard, int64_t step, struct err *err)
{
    static const char start[] = {SESSION_STATUS, SESSION_START};
    begin_event(tensorboard, 0);
    put_bytes(&tensorboard->event, EVENT_FILE_VERSION, FILE_VERSION, strlen(FILE_VERSION));
    int result = end_event(tensorboard, err);
    if (result != 0 || step < 0) {
        return result;
    }
    begin_event(tensorboard, step + 1);
    put_bytes(&tensorboard->event, EVENT_SESSION_LOG, start, sizeof start);
    return end_event(tensorboard, err);
}

int tensorboard_open(struct tensorboard **out, const char *folder, int64_t step, struct err *err)
{
    struct tensorboard *tensorboard = mem_alloc(1, sizeof *tensorboard, err);
    if (!tensorboard) {
        return -1;
    }
    tensorboard->file = -1;
    int result = choose_path(tensorboard, folder, err);
    if (result == 0) {
        tensorboard->file = open(tensorboard->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        result = tensorboard->file >= 0 ? write_first_events(tensorboard, step, err)
                                        : err_set_errno(err, "cannot make the event file '%s'", tensorboard->path);
    }
    if (result != 0) {
        if (tensorboard->file >= 0) {
            unlink(tensorboard->path);
        }
        tensorboard_close(tensorboard);
        return -1;
    }
    *out = tensorboard;
    return 0;
}

void tensorboard_close(struct tensorboard *tensorboard)
{
    if (!tensorboard) {
        return;
    }
    if (tensorboard->file >= 0) {
        close(tensorboard->file);
    }
    strbuf_free(&tensorboard->value);
    strbuf_free(&tensorboard->summary);
    strbuf_free(&tensorboard->event);
    strbuf_free(&tensorboard->frame);
    mem_free(tensorboard->path);
    mem_free(tensorboard);
}

/* ---- cutting ---- */

static uint64_t little_endian(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = count - 1; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* Reads a varint at *at; false where the data ends first. */
static bool read_varint(const unsigned char *data, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; *at < size && shift < 64; shift += 7) {
        unsigned char byte = data[(*at)++];
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

struct event_head {
    uint64_t step;
    bool has_summary;
};

/* False for bytes that are no Event. */
static bool read_event(const unsigned char *data, size_t size, struct event_head *head)
{
    *head = (struct event_head){0};
    for (size_t at = 0; at < size;) {
        uint64_t tag, skipped = 0;
        if (!read_varint(data, size, &at, &tag)) {
            return false;
        }
        switch ((int)(tag & 7)) {
        case WIRE_VARINT:
            if (!read_varint(data, size, &at, tag == EVENT_STEP ? &head->step : &skipped)) {
                return false;
            }
            skipped = 0;
            break;
        case WIRE_8_BYTES:
            skipped = 8;
            break;
        case WIRE_4_BYTES:
            skipped = 4;
            break;
        case WIRE_BYTES:
            if (!read_varint(data, size, &at, &skipped)) {
                return false;
            }
            break;
        default:
            return false;
        }
        if (skipped > size - at) {
            return false;
        }
        head->has_summary |= tag == EVENT_SUMMARY;
        at += (size_t)skipped;
    }
    return true;
}

/* Bytes of the whole and sound frame at the start of `data`; 0: there is none. */
static size_t read_frame(const unsigned char *data, size_t size, struct event_head *head)
{
    if (size < FRAME_HEAD + FRAME_TAIL || masked_checksum(data, 8) != little_endian(data + 8, 4)) {
        return 0;
    }
    uint64_t length = little_endian(data, 8);
    if (length > size - FRAME_HEAD - FRAME_TAIL) {
        return 0;
    }
    const unsigned char *event = data + FRAME_HEAD;
    if (masked_checksum(event, (size_t)length) != little_endian(event + length, 4) ||
        !read_event(event, (size_t)length, head)) {
        return 0;
    }
    return FRAME_HEAD + (size_t)length + FRAME_TAIL;
}

/* How many bytes of a file are to stay: steps never fall within a file, so what goes is its end. 0: no number stays. */
static size_t kept_size(const struct file_map *map, int64_t step)
{
    size_t kept = 0, frame;
    struct event_head head;
    bool numbers = false;
    for (; kept < map->size; kept += frame) {
        frame = read_frame(map->data + kept, map->size - kept, &head);
        if (frame == 0 || step < 0 || head.step > (uint64_t)step) {
            break;
        }
        numbers |= head.has_summary;
    }
    return numbers ? kept : 0;
}

static int cut_file(const char *path, int64_t step, struct err *err)
{
    struct file_map map;
    if (file_map_open(&map, path, err) != 0) {
        return -1;
    }
    size_t size = map.size, kept = kept_size(&map, step);
    file_map_close(&map);
    if (kept == size && kept > 0) {
        return 0;
    }
    if (kept == 0) {
        return file_remove_tree(path, err);
    }
    FILE *stream = fopen(path, "r+be");
    int result = stream && ftruncate(fileno(stream), (off_t)kept) == 0 && fsync(fileno(stream)) == 0
                     ? 0
                     : err_set_errno(err, "cannot cut the event file '%s' back to step %lld", path, (long long)step);
    if (stream) {
        fclose(stream);
    }
    return result;
}

int tensorboard_cut(const char *folder, int64_t step, struct err *err)
{
    char **names;
    size_t count;
    if (file_list(&names, &count, folder, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (file_number(names[i]) < 0) {
            continue;
        }
        char *path = file_join(folder, names[i], err);
        result = path ? cut_file(path, step, err) : -1;
        mem_free(path);
    }
    file_names_free(names, count);
    return result;
}
