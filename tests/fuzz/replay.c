/*
 * The main program of a fuzzer where libFuzzer is not to be had: runs it on every file of a folder, on each of those
 * with bytes changed, cut out or doubled, always the same ones, and reports how many inputs that were.
 *
 *     replay-<name> <corpus folder>
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include <stdio.h>
#include <string.h>

#define INPUT_MAX        ((size_t)16 << 20)
#define CHANGES_PER_FILE 400
#define EDITS_MOST       4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Draws that differ from edit to edit: `stream` is the file and the change, `next` counts up. */
struct draws {
    uint64_t stream;
    uint64_t next;
};

static size_t draw(struct draws *draws, size_t below)
{
    return below == 0 ? 0 : (size_t)(random_u64(0, RANDOM_MIX, draws->stream, draws->next++) % below);
}

/* One edit of bytes[0 .. size-1], which has room for twice as many; returns the new size. */
static size_t edit(unsigned char *bytes, size_t size, struct draws *draws)
{
    static const unsigned char telling[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '\\', '{', '}', '[', ']', '\n', ' ', '-', '9'};
    size_t at = draw(draws, size), length = draw(draws, size - at < 64 ? size - at : 64);
    switch (draw(draws, 5)) {
    case 0:
        bytes[at] ^= (unsigned char)(1u << draw(draws, 8));
        return size;
    case 1:
        bytes[at] = telling[draw(draws, sizeof telling)];
        return size;
    case 2:
        memmove(bytes + at, bytes + at + length, size - at - length);
        return size - length;
    case 3:
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    default:
        return at + 1;
    }
}

static int replay_changed(const struct strbuf *original, uint64_t file, struct err *err)
{
    unsigned char *bytes = mem_alloc(original->length + 64 * EDITS_MOST, 1, err);
    if (!bytes) {
        return -1;
    }
    for (uint64_t change = 0; change < CHANGES_PER_FILE; change++) {
        struct draws draws = {.stream = file * CHANGES_PER_FILE + change};
        size_t size = original->length;
        memcpy(bytes, original->data, size);
        for (size_t edits = 1 + draw(&draws, EDITS_MOST); edits > 0 && size > 0; edits--) {
            size = edit(bytes, size, &draws);
        }
        /* A block of exactly this size, so that a sanitizer sees a read after its end. */
        unsigned char *exact = mem_alloc(size, 1, err);
        if (!exact) {
            mem_free(bytes);
            return -1;
        }
        memcpy(exact, bytes, size);
        LLVMFuzzerTestOneInput(exact, size);
        mem_free(exact);
    }
    mem_free(bytes);
    return 0;
}

static int replay_file(const char *folder, const char *name, uint64_t number, struct err *err)
{
    struct strbuf text = {0};
    char *path = file_join(folder, name, err);
    int result = path ? file_read(&text, path, INPUT_MAX, err) : -1;
    if (result == 0) {
        LLVMFuzzerTestOneInput((const uint8_t *)strbuf_text(&text), text.length);
        result = text.length > 0 ? replay_changed(&text, number, err) : 0;
    }
    strbuf_free(&text);
    mem_free(path);
    return result;
}

static int replay_folder(const char *folder, size_t *count, struct err *err)
{
    char **names;
    if (file_list(&names, count, folder, err) != 0) {
        return -1;
    }
    int result = *count > 0 ? 0 : err_set(err, "the corpus '%s' is empty", folder);
    for (size_t i = 0; i < *count && result == 0; i++) {
        result = replay_file(folder, names[i], i, err);
    }
    file_names_free(names, *count);
    return result;
}

int main(int argc, char **argv)
{
    struct err err;
    size_t count = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s <corpus folder>\n", argv[0]);
        return 2;
    }
    mem_hook_libraries();
    if (replay_folder(argv[1], &count, &err) != 0) {
        fprintf(stderr, "%s: %s\n", argv[0], err.text);
        return 1;
    }
    printf("%zu files, each as it is and with %d changes\n", count, CHANGES_PER_FILE);
    return 0;
}
