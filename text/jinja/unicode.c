/* Looking up characters: binary search in sorted ranges. */
#include "text/jinja/unicode.h"

bool jinja_unicode_is(const struct jinja_unicode_class_table *table, uint32_t character)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->ranges[middle].last < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < table->count && table->ranges[low].first <= character;
}

static const struct jinja_unicode_case_special *find_special(const struct jinja_unicode_case_table *table,
                                                             uint32_t character)
{
    size_t low = 0, high = table->special_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->specials[middle].from < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < table->special_count && table->specials[low].from == character ? &table->specials[low] : NULL;
}

static const struct jinja_unicode_case_range *find_range(const struct jinja_unicode_case_table *table,
                                                         uint32_t character)
{
    size_t low = 0, high = table->range_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table->ranges[middle].last < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == table->range_count || table->ranges[low].first > character) {
        return NULL;
    }
    const struct jinja_unicode_case_range *range = &table->ranges[low];
    return (character - range->first) % (uint32_t)range->stride == 0 ? range : NULL;
}

size_t jinja_unicode_map(const struct jinja_unicode_case_table *table, uint32_t character, uint32_t out[3])
{
    const struct jinja_unicode_case_special *special = find_special(table, character);
    if (special) {
        size_t count = 0;
        while (count < 3 && special->to[count] != 0) {
            out[count] = special->to[count];
            count++;
        }
        return count;
    }
    const struct jinja_unicode_case_range *range = find_range(table, character);
    out[0] = range ? (uint32_t)((int32_t)character + range->delta) : character;
    return 1;
}
