/* Strings and their runs. A slice shares the bytes and cuts the runs; text that is put together appends both. */
#include "text/jinja/string.h"
#include "base/minmax.h"
#include "base/utf8.h"
#include <assert.h>
#include <string.h>

static bool same_origin(struct jinja_origin a, struct jinja_origin b)
{
    return a.source == b.source && a.message == b.message && a.turn == b.turn && a.place == b.place;
}

static struct jinja_value string_value(struct jinja_string *string)
{
    return (struct jinja_value){.kind = JINJA_STRING, .origin = JINJA_NO_ORIGIN, .string = string};
}

struct jinja_value jinja_string_of(struct jinja_arena *arena, const char *bytes, size_t length,
                                   struct jinja_origin origin)
{
    struct jinja_string *string = jinja_new(arena, 1, sizeof *string);
    *string = (struct jinja_string){.bytes = bytes,
                                    .length = length,
                                    .characters = JINJA_UNCOUNTED,
                                    .run_count = length > 0,
                                    .only = {length, origin}};
    string->runs = &string->only;
    return string_value(string);
}

struct jinja_value jinja_string_made(struct jinja_arena *arena, const char *text)
{
    return jinja_string_of(arena, text, strlen(text), JINJA_NO_ORIGIN);
}

/* Index of the run that holds byte `offset`, which lies inside the string. */
static size_t run_at(const struct jinja_string *string, size_t offset)
{
    size_t low = 0, high = string->run_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (string->runs[middle].end <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct jinja_value jinja_string_part(struct jinja_arena *arena, const struct jinja_string *string, size_t from,
                                     size_t to)
{
    assert(from <= to && to <= string->length);
    if (from == to) {
        return jinja_string_of(arena, "", 0, JINJA_NO_ORIGIN);
    }
    size_t first = run_at(string, from), last = run_at(string, to - 1);
    struct jinja_value value = jinja_string_of(arena, string->bytes + from, to - from, string->runs[first].origin);
    if (first == last) {
        return value;
    }
    size_t count = last - first + 1;
    jinja_charge(arena, count);
    struct jinja_run *runs = jinja_new(arena, count, sizeof *runs);
    for (size_t i = 0; i < count; i++) {
        runs[i] = string->runs[first + i];
        runs[i].end -= from;
    }
    runs[count - 1].end = to - from;
    value.string->runs = runs;
    value.string->run_count = count;
    return value;
}

size_t jinja_characters(struct jinja_arena *arena, struct jinja_string *string)
{
    if (string->characters == JINJA_UNCOUNTED) {
        string->characters = jinja_character_at(arena, string, string->length);
    }
    return string->characters;
}

size_t jinja_character_at(struct jinja_arena *arena, struct jinja_string *string, size_t bytes)
{
    if (string->characters == string->length) {
        return bytes;
    }
    jinja_charge_bytes(arena, bytes);
    return utf8_characters(string->bytes, bytes);
}

size_t jinja_byte_offset(struct jinja_arena *arena, struct jinja_string *string, size_t character)
{
    size_t characters = jinja_characters(arena, string);
    if (character >= characters) {
        return string->length;
    }
    if (characters == string->length) {
        return character;
    }
    jinja_charge_bytes(arena, string->length);
    size_t offset = 0;
    for (size_t left = character; left > 0; left--) {
        do {
            offset++;
        } while (offset < string->length && utf8_continues(string->bytes[offset]));
    }
    return offset;
}

size_t jinja_find(struct jinja_arena *arena, const struct jinja_string *string, const struct jinja_string *needle,
                  size_t from, size_t to)
{
    if (from > to) {
        return SIZE_MAX;
    }
    if (needle->length == 0) {
        return from;
    }
    jinja_charge_bytes(arena, to - from);
    const char *found = memmem(string->bytes + from, to - from, needle->bytes, needle->length);
    return found ? (size_t)(found - string->bytes) : SIZE_MAX;
}

size_t jinja_find_last(struct jinja_arena *arena, const struct jinja_string *string, const struct jinja_string *needle,
                       size_t from, size_t to)
{
    if (from > to || needle->length > to - from) {
        return SIZE_MAX;
    }
    for (size_t at = to - needle->length + 1; at-- > from;) {
        jinja_charge_bytes(arena, needle->length);
        if (memcmp(string->bytes + at, needle->bytes, needle->length) == 0) {
            return at;
        }
    }
    return SIZE_MAX;
}

bool jinja_string_is(const struct jinja_string *string, const char *text)
{
    size_t length = strlen(text);
    return string->length == length && memcmp(string->bytes, text, length) == 0;
}

bool jinja_string_equal(const struct jinja_string *a, const struct jinja_string *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

uint32_t jinja_next_character(const struct jinja_string *string, size_t *offset)
{
    int code_point = (unsigned char)string->bytes[*offset];
    if (code_point < 0x80) {
        ++*offset;
    } else {
        *offset += utf8_read(string->bytes + *offset, string->length - *offset, &code_point);
    }
    return code_point < 0 ? UTF8_REPLACEMENT : (uint32_t)code_point;
}

/* ---- text that grows */

struct jinja_text jinja_text_new(struct jinja_arena *arena)
{
    return (struct jinja_text){.arena = arena};
}

static void reserve(struct jinja_text *text, size_t more)
{
    if (more > JINJA_OUTPUT_MAX - text->length) {
        jinja_fail(text->arena, "the template makes a text of more than %zu MiB", JINJA_OUTPUT_MAX >> 20);
    }
    if (text->length + more <= text->capacity) {
        return;
    }
    size_t larger = text->capacity ? text->capacity * 2 : 64;
    if (larger < text->length + more) {
        larger = text->length + more;
    }
    text->bytes = jinja_enlarge(text->arena, text->bytes, text->capacity, larger, 1);
    text->capacity = larger;
}

void jinja_text_put(struct jinja_text *text, const char *bytes, size_t length, struct jinja_origin origin)
{
    if (length == 0) {
        return;
    }
    if (origin.turn < 0) {
        origin.turn = text->arena->turn;
    }
    jinja_charge_bytes(text->arena, length);
    reserve(text, length);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    if (text->run_count && same_origin(text->runs[text->run_count - 1].origin, origin)) {
        text->runs[text->run_count - 1].end = text->length;
        return;
    }
    JINJA_PUSH(text->arena, text->runs, text->run_count, text->run_capacity);
    text->runs[text->run_count++] = (struct jinja_run){text->length, origin};
}

void jinja_text_puts(struct jinja_text *text, const char *bytes, struct jinja_origin origin)
{
    jinja_text_put(text, bytes, strlen(bytes), origin);
}

void jinja_text_put_character(struct jinja_text *text, uint32_t character, struct jinja_origin origin)
{
    char bytes[4];
    size_t length = utf8_write(bytes, character);
    jinja_text_put(text, bytes, length, origin);
}

void jinja_text_add(struct jinja_text *text, const struct jinja_string *string)
{
    jinja_text_add_part(text, string, 0, string->length);
}

void jinja_text_add_part(struct jinja_text *text, const struct jinja_string *string, size_t from, size_t to)
{
    struct jinja_piece piece = jinja_pieces(string, from, to);
    while (jinja_next_piece(&piece)) {
        jinja_text_put(text, string->bytes + piece.from, piece.to - piece.from, piece.origin);
    }
}

struct jinja_value jinja_text_finish(struct jinja_text *text)
{
    struct jinja_value value =
        jinja_string_of(text->arena, text->bytes ? text->bytes : "", text->length, JINJA_NO_ORIGIN);
    if (text->run_count > 0) {
        value.string->runs = text->runs;
        value.string->run_count = text->run_count;
    }
    *text = jinja_text_new(text->arena);
    return value;
}

struct jinja_piece jinja_pieces(const struct jinja_string *string, size_t from, size_t to)
{
    return (struct jinja_piece){
        .string = string, .from = from, .to = from, .end = to, .run = from < to ? run_at(string, from) : 0};
}

bool jinja_next_piece(struct jinja_piece *piece)
{
    if (piece->to == piece->end) {
        return false;
    }
    const struct jinja_run *run = &piece->string->runs[piece->run++];
    piece->from = piece->to;
    piece->to = min(run->end, piece->end);
    piece->origin = run->origin;
    return true;
}
