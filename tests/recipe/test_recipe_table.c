/* The table of keys itself: complete, and at one with what it says. */
#include "base/mem.h"
#include "base/strbuf.h"
#include "ppo/recipe.h"
#include "recipe/internal.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "text/data/preference.h"
#include "text/data/record.h"
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct extent {
    const char *name;
    size_t offset, size, align;
};

static struct extent extent_of(const struct key *key)
{
    static const struct extent by_type[] = {
        [KEY_SWITCH] = {0, 0, sizeof(bool), alignof(bool)},
        [KEY_WHOLE] = {0, 0, sizeof(int64_t), alignof(int64_t)},
        [KEY_REAL] = {0, 0, sizeof(double), alignof(double)},
        [KEY_CHOICE] = {0, 0, sizeof(int), alignof(int)},
        [KEY_TEXT] = {0, 0, sizeof(char *), alignof(char *)},
        [KEY_TEXTS] = {0, 0, sizeof(struct recipe_strings), alignof(struct recipe_strings)},
        [KEY_DATASETS] = {0, 0, sizeof(struct recipe_datasets), alignof(struct recipe_datasets)},
    };
    struct extent extent = by_type[key->type];
    extent.name = key->name;
    extent.offset = key->offset;
    return extent;
}

static int by_offset(const void *a, const void *b)
{
    size_t one = ((const struct extent *)a)->offset, other = ((const struct extent *)b)->offset;
    return (one > other) - (one < other);
}

/* No field without a row: sorted by offset, the rows leave no gap but padding. */
static void assert_covers(const struct key *rows, size_t count, size_t from, size_t to)
{
    struct extent extents[KEY_COUNT_MAX];
    assert_in_range(count, 0, KEY_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        extents[i] = extent_of(&rows[i]);
    }
    qsort(extents, count, sizeof extents[0], by_offset);
    size_t end = from;
    for (size_t i = 0; i < count; i++) {
        size_t wanted = (end + extents[i].align - 1) / extents[i].align * extents[i].align;
        if (extents[i].offset != wanted) {
            fail_msg("a field in front of %s has no row", extents[i].name);
        }
        end = extents[i].offset + extents[i].size;
    }
    assert_true((end + alignof(void *) - 1) / alignof(void *) * alignof(void *) == to);
}

static void every_field_has_a_row(void **state)
{
    (void)state;
    assert_covers(common_keys, common_key_count, offsetof(struct recipe, model_name_or_path),
                  offsetof(struct recipe, given));
    for (size_t i = 0; i < all_stages.count; i++) {
        const struct recipe_stage *stage = all_stages.items[i];
        assert_covers(stage->keys, stage->key_count, sizeof(struct recipe), stage->size);
    }
    assert_covers(dataset_keys, dataset_key_count, 0, sizeof(struct recipe_dataset));
}

static bool is_number(const struct key *key)
{
    return key->type == KEY_WHOLE || key->type == KEY_REAL;
}

static void assert_row(const struct key *key)
{
    size_t stages = 0;
    for (size_t i = 0; i < all_stages.count; i++) {
        stages += stage_has_key(all_stages.items[i], key);
    }
    assert_true(stages > 0);
    assert_int_equal(key->range != NULL, is_number(key));
    assert_true(key->type != KEY_CHOICE || key->choices);
    assert_true(key->help && key->help[0]);
    assert_true(key->help[strlen(key->help) - 1] != '.');
    assert_true(!key->required || !key->initial);
    assert_true(key->type == KEY_TEXT || key->type == KEY_DATASETS || key->initial || key->verbatim || key->required ||
                strcmp(key->name, "warmup_steps") == 0);
}

static void rows_are_whole(void **state)
{
    (void)state;
    struct key_table keys;
    keys_of_stages(&keys, &all_stages);
    for (size_t i = 0; i < keys.count; i++) {
        assert_row(keys.rows[i]);
        assert_ptr_equal(key_find(&keys, keys.rows[i]->name), keys.rows[i]);
        /* Groups stand together. */
        for (size_t j = i + 1; j < keys.count; j++) {
            if (strcmp(keys.rows[j]->group, keys.rows[i]->group) == 0) {
                assert_string_equal(keys.rows[j - 1]->group, keys.rows[i]->group);
            }
        }
    }
    for (size_t i = 0; i < dataset_key_count; i++) {
        assert_row(&dataset_keys[i]);
    }
}

/* What a stage says of keys is said of keys there are, and every row of its own is in its table. */
static void stages_are_whole(void **state)
{
    (void)state;
    for (size_t s = 0; s < all_stages.count; s++) {
        const struct recipe_stage *stage = all_stages.items[s];
        struct key_table own, members, all, all_members;
        keys_of_stage(&own, stage);
        members_of_stage(&members, stage);
        keys_of_stages(&all, &all_stages);
        members_of_stages(&all_members, &all_stages);
        for (size_t i = 0; i < stage->key_count; i++) {
            assert_ptr_equal(key_find(&own, stage->keys[i].name), &stage->keys[i]);
        }
        for (size_t i = 0; i < stage->default_count; i++) {
            assert_non_null(key_find(&own, stage->defaults[i].key));
        }
        char lacks[512];
        assert_in_range(snprintf(lacks, sizeof lacks, "%s", stage->lacks), 0, sizeof lacks - 1);
        for (char *rest, *word = strtok_r(lacks, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
            assert_true(key_find(&all, word) || key_find(&all_members, word));
            assert_true(!key_find(&own, word) && !key_find(&members, word));
        }
        assert_ptr_equal(stage_named(&all_stages, stage->name), stage);
    }
}

/* Every default, of every stage, is a value its own key takes. */
static void defaults_are_values(void **state)
{
    (void)state;
    for (size_t s = 0; s < all_stages.count; s++) {
        const struct recipe_stage *stage = all_stages.items[s];
        struct key_table keys;
        keys_of_stage(&keys, stage);
        for (size_t i = 0; i < keys.count; i++) {
            const struct key *key = keys.rows[i];
            const struct key_default *instead = NULL;
            for (size_t k = 0; k == 0 || instead; k++) {
                const char *text = k == 0 ? key->initial : instead->text;
                struct err err = {{0}};
                struct recipe *recipe = mem_alloc(1, stage->size, &err);
                assert_non_null(recipe);
                recipe->stage = stage;
                if (text && key_set(recipe, key, text, &err) != 0) {
                    fail_msg("default of %s: %s", key->name, err.text);
                }
                key_clear(recipe, key);
                mem_free(recipe);
                instead = key_instead(key, stage, k);
            }
        }
    }
}

/* A name elsewhere that is also a key of ours would never be answered. */
static void other_names_are_none_of_ours(void **state)
{
    (void)state;
    static const char *const tools[] = {"axolotl", "LLaMA-Factory", "torchtune", "OpenRLHF",
                                        "TRL",     "transformers",  "PEFT"};
    struct key_table keys;
    keys_of_stages(&keys, &all_stages);
    for (size_t i = 0; i < keys.count; i++) {
        char list[512] = "";
        assert_true(!keys.rows[i]->elsewhere || strlen(keys.rows[i]->elsewhere) < sizeof list);
        strcpy(list, keys.rows[i]->elsewhere ? keys.rows[i]->elsewhere : "");
        for (char *rest, *word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
            char *name = strchr(word, ':');
            assert_non_null(name);
            *name++ = '\0';
            bool known = false;
            for (size_t t = 0; t < sizeof tools / sizeof tools[0]; t++) {
                known = known || strcmp(tools[t], word) == 0;
            }
            assert_true(known);
            struct key_meaning meaning;
            if (key_find(&keys, name)) {
                fail_msg("%s, said to be %s's name for %s, is a key here", name, word, keys.rows[i]->name);
            }
            assert_true(key_meaning_of(&keys, name, &meaning));
            if (meaning.key != keys.rows[i]) {
                fail_msg("%s is said to be %s and %s", name, keys.rows[i]->name,
                         meaning.key ? meaning.key->name : meaning.advice);
            }
        }
    }
}

static bool is_format(const char *name)
{
    struct key_table members;
    members_of_stages(&members, &all_stages);
    const struct key *format = key_find(&members, "format");
    for (const struct key_choice *choice = format->choices; choice->name; choice++) {
        if (strcmp(choice->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The formats of a dataset entry are those that text/ reads, and prefs, which is read by the reward stage. */
static void formats_are_those_of_text(void **state)
{
    (void)state;
    for (int i = PREFERENCE_AUTO + 1; i < PREFERENCE_FORMATS; i++) {
        assert_true(is_format(preference_format_name((enum preference_format)i)));
    }
    struct key_table members;
    members_of_stages(&members, &all_stages);
    const struct key *format = key_find(&members, "format");
    for (const struct key_choice *choice = format->choices; choice->name; choice++) {
        enum preference_format preference;
        struct err err;
        bool known =
            strstr(record_formats_known, choice->name) || preference_format_find(&preference, choice->name, &err) == 0;
        if (!known && strcmp(choice->name, "auto") != 0 && strcmp(choice->name, "prefs") != 0) {
            fail_msg("text/ does not know the format %s", choice->name);
        }
    }
}

static void values_as_text(void **state)
{
    (void)state;
    static const struct {
        const char *name, *description;
    } cases[] = {
        {"packing", "true or false"},
        {"lora_r", "a whole number in [1, 65536]"},
        {"save_steps", "a whole number, at least 0"},
        {"kl_horizon", "a number above 0"},
        {"eval_split", "a number in [0, 1)"},
        {"finetuning_type", "one of lora, full"},
        {"report_to", "any of tensorboard"},
        {"output_dir", "a text"},
        {"dtype", "one of auto, f32, bf16"},
        {"train_roles", "a list of texts"},
    };
    struct key_table keys;
    keys_of_stages(&keys, &all_stages);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct strbuf text = {0};
        key_describe(&text, key_find(&keys, cases[i].name));
        assert_string_equal(strbuf_text(&text), cases[i].description);
        strbuf_free(&text);
    }
}

static void prints_help(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    keys_print_help(out, &ppo_stage);
    assert_int_equal(fclose(out), 0);
    assert_says(text, "--learning_rate  a number in [0, 10]; default 3e-5\n",
                "--model_name_or_path  a text; required\n", "\nPPO: the update\n", "--reward_model  a text; not set\n",
                NULL);
    assert_null(strstr(text, "--packing"));
    for (char *rest, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_true(strlen(line) <= 100);
    }
    free(text);
    out = open_memstream(&text, &length);
    struct key_table keys;
    keys_of_stages(&keys, &all_stages);
    key_print(out, key_find(&keys, "max_length"), &all_stages);
    assert_int_equal(fclose(out), 0);
    assert_says(text, "max_length\n", "(tokens)\n", "default    1024\n",
                "axolotl sequence_len; LLaMA-Factory cutoff_len", "must stay as it was", NULL);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_a_row),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(stages_are_whole),
        cmocka_unit_test(defaults_are_values),
        cmocka_unit_test(other_names_are_none_of_ours),
        cmocka_unit_test(formats_are_those_of_text),
        cmocka_unit_test(values_as_text),
        cmocka_unit_test(prints_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
