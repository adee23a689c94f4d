/* Keys from the command line: --key value, --key=value, --switch, --dataset.0.path value. */
#include "base/number.h"
#include "recipe/internal.h"

#include <string.h>

#define OPTION_NAME_MAX 128

/* The name of an option, with '-' written as '_' as keys are; false where it is too long to be one. */
static bool option_name(char out[OPTION_NAME_MAX], const char *option)
{
    size_t length = strcspn(option, "=");
    if (length >= OPTION_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        out[i] = option[i] == '-' ? '_' : option[i];
    }
    out[length] = '\0';
    return true;
}

/* "dataset.0.path": a member of an entry; an index one past the last adds an entry. */
static int set_member(struct recipe_loader *loader, const struct key *key, const char *rest, const char *value,
                      struct key_place place, struct err *err)
{
    char digits[16];
    size_t length = strcspn(rest, ".");
    int64_t index = -1;
    if (rest[length] == '.' && length < sizeof digits) {
        memcpy(digits, rest, length);
        digits[length] = '\0';
        if (!number_parse_whole(digits, &index)) {
            index = -1;
        }
    }
    struct recipe_datasets *list = key_datasets(key, loader->recipe);
    if (index < 0 || (size_t)index > list->count) {
        loader_mistake(loader, place, "write --%s.N.path with N from 0 to %zu, which adds an entry", key->name,
                       list->count);
        return 0;
    }
    const struct key *member = loader_key(loader, &loader->members, rest + length + 1, place);
    struct recipe_dataset *entry = (size_t)index < list->count ? &list->items[index] : NULL;
    if (!member || (!entry && loader_add_dataset(loader, &entry, key, place, err) != 0)) {
        return member ? -1 : 0;
    }
    if (entry) {
        loader_given(loader, key, place, true);
        return loader_set(loader, entry, member, value, place, err);
    }
    return 0;
}

static int set_option(struct recipe_loader *loader, const struct key *key, const char *value, struct key_place place,
                      struct err *err)
{
    if (strcmp(value, "null") == 0 || strcmp(value, "~") == 0) { /* takes back what the file says */
        key_clear(loader->recipe, key);
        loader_given(loader, key, (struct key_place){.origin = ORIGIN_DEFAULT}, false);
        return 0;
    }
    bool list = key->type == KEY_TEXTS || key->type == KEY_DATASETS;
    int mistakes = loader->mistake_count, status;
    struct recipe_dataset *entry;
    if (list && (value[0] == '[' || value[0] == '{')) {
        status = loader_read_value(loader, key, value, place, err);
    } else if (key->type == KEY_DATASETS) {
        key_clear(loader->recipe, key);
        status = loader_add_dataset(loader, &entry, key, place, err);
        if (status == 0 && entry) {
            status = loader_set(loader, entry, &dataset_keys[0], value, place, err);
        }
    } else {
        status = loader_set(loader, loader->recipe, key, value, place, err);
    }
    loader_given(loader, key, place, loader->mistake_count == mistakes);
    return status;
}

/* One option; *used tells how many of the arguments it took. */
static int read_option(struct recipe_loader *loader, int argc, char **argv, int *used, struct err *err)
{
    struct key_place place = {.origin = ORIGIN_OPTION, .option = argv[0] + 2};
    char name[OPTION_NAME_MAX];
    *used = 1;
    if (strncmp(argv[0], "--", 2) != 0 || !argv[0][2] || !option_name(name, place.option)) {
        loader_mistake(loader, (struct key_place){.origin = ORIGIN_DEFAULT}, "'%.60s' is no option; write --key value",
                       argv[0]);
        return 0;
    }
    const char *value = strchr(place.option, '=');
    if (value) {
        value++;
    } else if (argc > 1 && strncmp(argv[1], "--", 2) != 0) {
        value = argv[1];
        *used = 2;
    }
    char *dot = strchr(name, '.');
    if (dot) {
        *dot = '\0';
        const struct key *list = key_find(&loader->keys.own, name);
        if (list && list->type == KEY_DATASETS && value) {
            return set_member(loader, list, dot + 1, value, place, err);
        }
        *dot = '.';
    }
    const struct key *key = loader_key(loader, &loader->keys, name, place);
    if (key && !value && key->type == KEY_SWITCH) {
        value = "true";
    }
    if (key && !value) {
        loader_mistake(loader, place, "needs a value: --%s VALUE", key->name);
    }
    return key && value ? set_option(loader, key, value, place, err) : 0;
}

int loader_read_options(struct recipe_loader *loader, int argc, char **argv, struct err *err)
{
    for (int used, i = 0; i < argc; i += used) {
        if (read_option(loader, argc - i, argv + i, &used, err) != 0) {
            return -1;
        }
    }
    return 0;
}
