#include "commands/data_lengths.h"

#include "base/mem.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAR_COLUMNS 50

/* Bins as wide as 1, 2 or 5 times a power of ten. */
struct data_lengths data_lengths_for(int32_t longest)
{
    struct data_lengths lengths = {.width = 1};
    static const int32_t steps[] = {2, 5, 10};
    for (int32_t power = 1, i = 0; longest > (int64_t)lengths.width * DATA_BINS_MAX; i = (i + 1) % 3) {
        lengths.width = power * steps[i];
        power *= i == 2 ? 10 : 1;
    }
    return lengths;
}

void data_lengths_add(struct data_lengths *lengths, int32_t tokens)
{
    size_t bin = (size_t)((tokens - 1) / lengths->width);
    lengths->counts[bin]++;
    lengths->bins = bin + 1 > lengths->bins ? bin + 1 : lengths->bins;
}

static bool takes_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
    }
    return false;
}

/* A bar in eighths of a column, or in whole ones where only ASCII can be printed. */
static void print_bar(double columns, bool utf8)
{
    int whole = (int)columns, eighths = (int)((columns - whole) * 8);
    for (int i = 0; i < whole; i++) {
        fputs(utf8 ? "█" : "#", stdout);
    }
    if (utf8 && eighths > 0) {
        static const char *const parts[] = {"▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        fputs(parts[eighths - 1], stdout);
    } else if (whole == 0 && columns > 0) {
        fputs(utf8 ? "▏" : "#", stdout);
    }
}

void data_lengths_print(const struct data_lengths *lengths, const char *what)
{
    bool utf8 = takes_utf8();
    int64_t most = 1;
    for (size_t i = 0; i < lengths->bins; i++) {
        most = lengths->counts[i] > most ? lengths->counts[i] : most;
    }
    printf("\n  tokens        %13s\n", what);
    for (size_t i = 0; i < lengths->bins; i++) {
        printf("  %7lld .. %-7lld %7lld  ", (long long)i * lengths->width + 1, (long long)(i + 1) * lengths->width,
               (long long)lengths->counts[i]);
        print_bar(BAR_COLUMNS * (double)lengths->counts[i] / (double)most, utf8);
        putchar('\n');
    }
}

json_t *data_lengths_json(const struct data_lengths *lengths, const char *what)
{
    json_t *list = json_array();
    for (size_t i = 0; i < lengths->bins; i++) {
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:I}", "from", (json_int_t)i * lengths->width + 1, "to",
                                        (json_int_t)(i + 1) * lengths->width, what, (json_int_t)lengths->counts[i]));
    }
    return list;
}

void data_print_count(int64_t count, const char *what)
{
    if (count > 0) {
        printf("  %lld %s\n", (long long)count, what);
    }
}

int data_print_json(json_t *summary, struct err *err)
{
    char *text = summary ? json_dumps(summary, JSON_INDENT(2)) : NULL;
    json_decref(summary);
    if (!text) {
        return err_set(err, "out of memory while writing the summary");
    }
    puts(text);
    mem_free(text);
    return 0;
}
