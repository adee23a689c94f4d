/* report/metrics.c - see metrics.h. */
#include "report/metrics.h"
#include <assert.h>
#include <string.h>

/* What every stage measures. */
static const struct metric_panel common_panels[] = {
    {.title = "Loss",
     .section = METRICS_LEARNING,
     .unit = "nats",
     .scale = METRIC_LOG,
     .names = {{.name = "loss",
                .headline = METRIC_BESIDE_FIRST,
                .sentence = "Mean loss of the training examples since the last record; for language modelling, nats "
                            "per trained token."},
               {.name = "eval_loss",
                .headline = METRIC_BESIDE_FIRST,
                .sentence = "Mean loss of the held-out examples. Where it rises while the training loss falls, the "
                            "model is learning its examples by heart."}}},
    {.title = "Skipped steps",
     .section = METRICS_CHECKS,
     .unit = "steps",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "skipped_steps",
                .sentence = "Steps so far that were left out because a loss or gradient was not finite."}}},
    {.title = "Gradient norm",
     .section = METRICS_PACE,
     .unit = "",
     .scale = METRIC_LOG,
     .names = {{.name = "grad_norm",
                .sentence = "Norm of the gradient before it is clipped to max_grad_norm. Spikes come before a loss "
                            "that diverges."}}},
    {.title = "Learning rate",
     .section = METRICS_PACE,
     .unit = "",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "learning_rate", .sentence = "Learning rate of the record's last step."}}},
    {.title = "Tokens seen",
     .section = METRICS_PACE,
     .unit = "tokens",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "num_tokens",
                .sentence = "Tokens that went through the model in training so far, prompts included."}}},
    {.title = "Speed",
     .section = METRICS_PACE,
     .unit = "tokens per second",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "tokens_per_second",
                .headline = METRIC_BESIDE_UNIT,
                .sentence = "Tokens of the steps since the last record over the seconds they took."}}},
    {.title = "Memory",
     .section = METRICS_PACE,
     .unit = "MiB",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "peak_memory_mib",
                .headline = METRIC_BESIDE_UNIT,
                .sentence = "The most memory the process has held so far."}}},
    {.title = "Time",
     .section = METRICS_PACE,
     .unit = "seconds",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "eval_seconds", .sentence = "Seconds that an evaluation took."},
               {.name = "seconds", .sentence = "Seconds since the last record."}}},
    {0},
};

/* ---- the table of some stages ---- */

static bool is_common(const char *section)
{
    for (const struct metric_panel *panel = common_panels; panel->title; panel++) {
        if (strcmp(panel->section, section) == 0) {
            return true;
        }
    }
    return false;
}

static size_t find_panel(const struct metric_table *table, const char *title)
{
    size_t i = 0;
    while (i < table->panel_count && strcmp(table->panels[i]->title, title) != 0) {
        i++;
    }
    return i;
}

/* Where a panel goes: in front of the one it names, or at the end of its section, or at the end. */
static size_t place_of(const struct metric_table *table, const struct metric_panel *panel)
{
    if (panel->before) {
        size_t at = find_panel(table, panel->before);
        assert(at < table->panel_count);
        return at;
    }
    size_t at = table->panel_count;
    while (at > 0 && strcmp(table->panels[at - 1]->section, panel->section) != 0) {
        at--;
    }
    return at > 0 ? at : table->panel_count;
}

/* Puts the panel where it goes; one with the title of another adds its names to that one. */
static void add_panel(struct metric_table *table, const struct metric_panel *panel)
{
    if (find_panel(table, panel->title) < table->panel_count) {
        return;
    }
    assert(table->panel_count < METRIC_PANELS_MAX);
    size_t at = place_of(table, panel);
    memmove(&table->panels[at + 1], &table->panels[at], (table->panel_count - at) * sizeof *table->panels);
    table->panels[at] = panel;
    table->panel_count++;
}

/* The names of `panels` that belong to the panel of number `number`; the first of two equal names stays. */
static void add_names(struct metric_table *table, size_t number, const struct metric_panel *panels)
{
    for (const struct metric_panel *panel = panels; panel->title; panel++) {
        if (strcmp(panel->title, table->panels[number]->title) != 0) {
            continue;
        }
        for (size_t i = 0; i < METRIC_NAMES_MAX && panel->names[i].name; i++) {
            if (metric_find(table, panel->names[i].name)) {
                continue;
            }
            assert(table->count < METRICS_MAX);
            table->metrics[table->count++] = (struct metric){&panel->names[i], table->panels[number], number};
        }
    }
}

void metric_table_make(struct metric_table *table, const struct recipe_stages *stages)
{
    *table = (struct metric_table){0};
    for (size_t i = 0; i < stages->count; i++) {
        for (const struct metric_panel *panel = stages->items[i]->panels; panel->title; panel++) {
            if (panel->section && !is_common(panel->section)) {
                add_panel(table, panel);
            }
        }
    }
    for (const struct metric_panel *panel = common_panels; panel->title; panel++) {
        add_panel(table, panel);
    }
    for (size_t i = 0; i < stages->count; i++) {
        for (const struct metric_panel *panel = stages->items[i]->panels; panel->title; panel++) {
            add_panel(table, panel);
        }
    }
    for (size_t number = 0; number < table->panel_count; number++) {
        add_names(table, number, common_panels);
        for (size_t i = 0; i < stages->count; i++) {
            add_names(table, number, stages->items[i]->panels);
        }
    }
}

const struct metric *metric_find(const struct metric_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->metrics[i].name->name, name) == 0) {
            return &table->metrics[i];
        }
    }
    return NULL;
}

const char *metric_phase(const char *name)
{
    static const char prefix[] = "time/";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : NULL;
}
