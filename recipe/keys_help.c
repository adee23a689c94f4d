/* The table of keys for people: --help of a stage, attune-help, and docs/recipes.md. */
#include "recipe/internal.h"

#include <assert.h>
#include <string.h>

/* Whether the stage has this default of the key, and as which of them: among the first `count`. */
static bool has_default(const struct recipe_stage *stage, const struct key *key, const struct key_default *value,
                        size_t count)
{
    const struct key_default *own;
    for (size_t i = 0; i < count && (own = key_instead(key, stage, i)); i++) {
        if (key_default_equal(own, value)) {
            return true;
        }
    }
    return false;
}

/* " in reward and ppo", unless all stages that have the key do. */
static void put_stages_of_default(struct strbuf *out, const struct key *key, const struct key_default *value,
                                  const struct recipe_stages *stages)
{
    bool all = true;
    for (size_t i = 0; i < stages->count; i++) {
        const struct recipe_stage *stage = stages->items[i];
        all = all && (!stage_has_key(stage, key) || has_default(stage, key, value, SIZE_MAX));
    }
    const struct recipe_stage *some[STAGES_MAX];
    struct recipe_stages with = {.items = some};
    for (size_t i = 0; i < stages->count && !all; i++) {
        if (stage_has_key(stages->items[i], key) && has_default(stages->items[i], key, value, SIZE_MAX)) {
            some[with.count++] = stages->items[i];
        }
    }
    strbuf_puts(out, with.count > 0 ? " in " : "");
    stages_put_names(out, &with, "", ", ", " and ");
}

/* "2e-4", with "; 1e-6 in ppo with advantage_estimator: grpo" for each default that differs. */
static void put_default(struct strbuf *out, const struct key *key, const struct recipe_stages *stages)
{
    strbuf_puts(out, key->required ? "required" : key->initial ? key->initial : "not set");
    for (size_t s = 0; s < stages->count; s++) {
        const struct key_default *value;
        if (!stage_has_key(stages->items[s], key)) {
            continue;
        }
        for (size_t i = 0; (value = key_instead(key, stages->items[s], i)); i++) {
            bool said = has_default(stages->items[s], key, value, i);
            for (size_t other = 0; other < s && !said; other++) {
                said =
                    stage_has_key(stages->items[other], key) && has_default(stages->items[other], key, value, SIZE_MAX);
            }
            if (said) {
                continue;
            }
            strbuf_printf(out, "; %s", value->text);
            put_stages_of_default(out, key, value, stages);
            for (size_t c = 0; c < KEY_CONDITIONS_MAX && value->when[c].key; c++) {
                strbuf_printf(out, "%s%s: %s", c == 0 ? " with " : " and ", value->when[c].key, value->when[c].value);
            }
        }
    }
}

static void put_stages(struct strbuf *out, const struct key *key, const struct recipe_stages *stages)
{
    const struct recipe_stage *some[STAGES_MAX];
    struct recipe_stages with = {.items = some};
    for (size_t i = 0; i < stages->count; i++) {
        if (stage_has_key(stages->items[i], key)) {
            some[with.count++] = stages->items[i];
        }
    }
    stages_put_names(out, &with, "", ", ", ", ");
}

/* "a whole number in [1, 65536] (tokens)" */
static void put_value(struct strbuf *out, const struct key *key, const struct recipe_stages *stages)
{
    (void)stages;
    key_describe(out, key);
    if (key->unit) {
        strbuf_printf(out, " (%s)", key->unit);
    }
}

/* The names other tools use: "axolotl base_model; torchtune lr". */
static void put_elsewhere(struct strbuf *out, const struct key *key, const struct recipe_stages *stages)
{
    (void)stages;
    const char *list = key->elsewhere ? key->elsewhere : "", *before = "";
    for (size_t length; list += strspn(list, " "), (length = strcspn(list, " ")) > 0; list += length) {
        const char *colon = memchr(list, ':', length);
        assert(colon);
        strbuf_printf(out, "%s%.*s %.*s", before, (int)(colon - list), list, (int)(list + length - colon - 1),
                      colon + 1);
        before = "; ";
    }
}

static void print_and_free(FILE *out, struct strbuf *text)
{
    fputs(text->failed ? "(out of memory)\n" : strbuf_text(text), out);
    strbuf_free(text);
}

#define LINE_WIDTH 100

/* Appends words to a line that has come to `column`, broken to lines that begin with `indent` blanks. */
static void put_wrapped(struct strbuf *out, const char *text, int column, int indent)
{
    const char *blank = "";
    for (size_t length; text += strspn(text, " "), (length = strcspn(text, " ")) > 0; text += length) {
        if (*blank && column + 1 + (int)length > LINE_WIDTH) {
            strbuf_printf(out, "\n%*s", indent, "");
            column = indent;
            blank = "";
        }
        strbuf_printf(out, "%s%.*s", blank, (int)length, text);
        column += (int)(strlen(blank) + length);
        blank = " ";
    }
}

/* An option of a stage's --help, with the default that holds there. */
static void put_option(struct strbuf *out, const struct key *key, const char *initial)
{
    struct strbuf line = {0};
    put_value(&line, key, NULL);
    strbuf_printf(&line, "; %s%s",
                  key->required ? "required"
                  : initial     ? "default "
                                : "not set",
                  initial ? initial : "");
    strbuf_printf(out, "  --%s  ", key->name);
    put_wrapped(out, strbuf_text(&line), 6 + (int)strlen(key->name), 6);
    strbuf_puts(out, "\n      ");
    put_wrapped(out, key->help, 6, 6);
    strbuf_putc(out, '\n');
    out->failed = out->failed || line.failed;
    strbuf_free(&line);
}

void keys_print_help(FILE *out, const struct recipe_stage *stage)
{
    struct key_table keys;
    struct strbuf text = {0};
    keys_of_stage(&keys, stage);
    for (size_t i = 0; i < keys.count; i++) {
        const struct key *key = keys.rows[i];
        if (i == 0 || strcmp(keys.rows[i - 1]->group, key->group) != 0) {
            strbuf_printf(&text, "\n%s\n", key->group);
        }
        put_option(&text, key, key_default_text(key, stage, NULL));
    }
    print_and_free(out, &text);
}

/* Part of a key's description. */
typedef void key_part(struct strbuf *out, const struct key *key, const struct recipe_stages *stages);

void key_print(FILE *out, const struct key *key, const struct recipe_stages *stages)
{
    static const struct {
        const char *label;
        key_part *put;
    } lines[] = {{"value", put_value}, {"default", put_default}, {"stages", put_stages}, {"elsewhere", put_elsewhere}};
    struct strbuf text = {0};
    strbuf_printf(&text, "%s\n    ", key->name);
    put_wrapped(&text, key->help, 4, 4);
    strbuf_putc(&text, '\n');
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct strbuf line = {0};
        lines[i].put(&line, key, stages);
        if (line.length > 0) {
            strbuf_printf(&text, "\n    %-11s", lines[i].label);
            put_wrapped(&text, strbuf_text(&line), 15, 15);
        }
        text.failed = text.failed || line.failed;
        strbuf_free(&line);
    }
    if (key->synonyms) {
        strbuf_printf(&text, "\n    %-11s%s", "also", key->synonyms);
    }
    if (strcmp(key->group, GROUP_DATASET_ENTRY) != 0) {
        strbuf_printf(&text, "\n    %-11s%s", "resuming", key->may_change ? "may be changed" : "must stay as it was");
    }
    strbuf_putc(&text, '\n');
    print_and_free(out, &text);
}

/* A cell of a Markdown table: '|' would end it. */
static void put_cell(struct strbuf *out, const struct key *key, const struct recipe_stages *stages, key_part *put)
{
    struct strbuf cell = {0};
    put(&cell, key, stages);
    for (const char *at = strbuf_text(&cell); *at; at++) {
        strbuf_puts(out, *at == '|' ? "\\" : "");
        strbuf_putc(out, *at);
    }
    out->failed = out->failed || cell.failed;
    strbuf_free(&cell);
}

static void put_row(struct strbuf *out, const struct key *key, const struct recipe_stages *stages)
{
    strbuf_printf(out, "| `%s` | ", key->name);
    put_cell(out, key, stages, put_value);
    strbuf_puts(out, " | ");
    put_cell(out, key, stages, put_default);
    strbuf_puts(out, " | ");
    put_cell(out, key, stages, put_stages);
    strbuf_printf(out, " | %c%s.", key->help[0] >= 'a' && key->help[0] <= 'z' ? key->help[0] - 'a' + 'A' : key->help[0],
                  key->help + 1);
    if (key->synonyms) {
        strbuf_printf(out, " Also understood: `%s`.", key->synonyms);
    }
    strbuf_printf(out, "%s | ", key->may_change ? " *May change on resume.*" : "");
    put_cell(out, key, stages, put_elsewhere);
    strbuf_puts(out, " |\n");
}

static void put_table(struct strbuf *out, const struct key_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *group = table->rows[i]->group;
        if (i == 0 || strcmp(table->rows[i - 1]->group, group) != 0) {
            strbuf_printf(out, "\n## %s\n\n", group);
            strbuf_puts(out, "| key | value | default | stages | meaning | elsewhere |\n|---|---|---|---|---|---|\n");
        }
        put_row(out, table->rows[i], table->stages);
    }
}

void keys_print_markdown(FILE *out, const struct recipe_stages *stages)
{
    struct key_table keys, members;
    struct strbuf text = {0};
    keys_of_stages(&keys, stages);
    members_of_stages(&members, stages);
    strbuf_puts(
        &text,
        "<!-- Made by `attune-help --markdown` from recipe/keys.c and <stage>/recipe.c; change it there. -->\n"
        "# Recipes\n"
        "\n"
        "A recipe is a YAML file of `key: value` lines. Every key can also be set on the command line, where it wins:\n"
        "\n"
        "    attune sft recipes/sft-lora.yaml --learning_rate 1e-4 --packing --dataset.0.path data/mine.jsonl\n"
        "\n"
        "- Paths are relative to the directory the command is run in.\n"
        "- A key with nothing behind it, or `null`, is as good as left out.\n"
        "- Lists may be written `[a, b]`, one item a line, or `a, b`; a single value is a list of one. `none` is the "
        "empty list.\n"
        "- Numbers may be written `0.0002`, `2e-4` or `1_000`; switches `true`, `yes`, `on` and their opposites.\n"
        "- All mistakes are reported at once, each with its line and column. A key of another tool is answered with "
        "its name here.\n"
        "- The run's folder gets `recipe.resolved.yaml`, the same recipe with every default written out.\n"
        "- A run goes on after a stop with the recipe it began with. Only keys marked *may change on resume* may "
        "differ.\n"
        "\n"
        "`attune help KEY` prints one of these rows, also for another tool's name.\n");
    put_table(&text, &keys);
    put_table(&text, &members);
    print_and_free(out, &text);
}
