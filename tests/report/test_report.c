/* The report of one run: what is on the page of each stage, and what hostile, torn and broken files do to it. */
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "helper_report.h"
#include "ppo/recipe.h"
#include "report/metrics.h"
#include "report/report.h"
#include "reward/recipe.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include <stdio.h>
#include <string.h>

static void sft_page(void **state)
{
    (void)state;
    begin_run("sft");
    put_recipe(&sft_stage,
               "model_name_or_path: models/SmolLM2\noutput_dir: runs/sft\ndataset: data/alpaca.json\nlora_r: 24\n");
    put_file(
        "metrics.jsonl",
        "{\"step\": 0, \"epoch\": 0.0, \"eval_loss\": 2.5, \"eval_perplexity\": 12.2, "
        "\"eval_mean_token_accuracy\": 0.25, \"eval_seconds\": 1.5}\n"
        "{\"step\": 10, \"epoch\": 0.5, \"loss\": 2.0, \"learning_rate\": 0.0002, \"grad_norm\": 1.5, "
        "\"mean_token_accuracy\": 0.4, \"num_tokens\": 123456, \"skipped_steps\": 1, \"tokens_per_second\": 290.5, "
        "\"peak_memory_mib\": 512.0}\n"
        "{\"step\": 20, \"epoch\": 1.0, \"loss\": 1.25, \"learning_rate\": 0.0001, \"grad_norm\": 1.25, "
        "\"mean_token_accuracy\": 0.5, \"num_tokens\": 246912, \"tokens_per_second\": 300.5, \"peak_memory_mib\": "
        "640.0}\n"
        "{\"step\": 20, \"epoch\": 1.0, \"eval_loss\": 1.75, \"eval_perplexity\": 5.75, "
        "\"eval_mean_token_accuracy\": 0.45}\n");
    put_file("memory.json",
             "{\"plan\": {\"weights\": 536870912, \"activations\": 134217728, \"KV cache\": 0}, \"total\": "
             "671088640}");
    const char *page = make_page();
    assert_order(page, "<h1>Supervised fine-tuning of SmolLM2</h1>", "on alpaca.json", "LoRA of rank 24", "step 20",
                 "epoch 1", "246,912 tokens", "not finished yet", "runs/sft", NULL);
    assert_order(page, "<b>1.25</b>", "2 at step 10", "<b>1.75</b>", "2.5 at step 0", "<b>0.45</b>", "0.25 at step 0",
                 "<b>300.5</b>", "tokens per second", "<b>640</b>", "MiB", NULL);
    assert_order(page, ">Learning</h2>", ">Loss", ">Token accuracy", ">Perplexity", ">Checks</h2>", ">Skipped steps",
                 ">Optimizer and pace</h2>", ">Gradient norm", ">Learning rate", ">Tokens seen", ">Speed", ">Memory",
                 ">Time", ">Memory</h2>", ">Recipe</h2>", NULL);
    assert_order(page, "planned 640 MiB", "measured 640 MiB", "weights", "512 MiB", "80.0 %", "activations", "128 MiB",
                 "20.0 %", NULL);
    assert_lacks(page, "KV cache", "Samples</h2>", "Figures</h2>", "Where the time went", "Other numbers", NULL);
    assert_order(page, "lora_r</code>", "24</code>", "learning_rate</code>", NULL);
    assert_int_equal(count_of(path_of(page, "loss"), "L"), 1); /* one line from one point to the other */
    put_file("state.json", "{}");
    assert_order(make_page(), "246,912 tokens", "· finished", NULL);
}

static void reward_page(void **state)
{
    (void)state;
    begin_run("reward");
    put_recipe(&reward_stage, LEAST);
    put_file("metrics.jsonl",
             "{\"step\": 1, \"loss\": 0.7, \"accuracy\": 0.5, \"margin\": 0.1, \"min_reward\": -1.0, \"mean_reward\": "
             "0.0, \"max_reward\": 1.0}\n"
             "{\"step\": 2, \"loss\": 0.6, \"accuracy\": 0.6, \"margin\": 0.2, \"min_reward\": -2.0, \"mean_reward\": "
             "0.1, \"max_reward\": 2.0}\n"
             "{\"step\": 2, \"eval_loss\": 0.65, \"eval_accuracy\": 0.7, \"eval_accuracy_low\": 0.66, "
             "\"eval_accuracy_high\": 0.74, \"eval_margin\": 0.3}\n");
    put_file(
        "figures.json",
        "{\"figures\": ["
        "{\"kind\": \"chart\", \"title\": \"By split\", \"text\": \"A sentence.\", \"y\": \"accuracy\", \"series\": "
        "[{\"name\": \"accuracy\", \"mark\": \"bars\", \"points\": [[\"helpful\", 0.7], [\"harmless\", 0.6], "
        "[\"helpful\", null]], \"low\": [0.6, 0.5, null], \"high\": [0.8, 0.7, null]}]},"
        "{\"kind\": \"chart\", \"title\": \"Calibration\", \"x\": \"said\", \"series\": ["
        "{\"name\": \"seen\", \"mark\": \"points\", \"points\": [[0.1, 0.15], [0.9, 0.8]], \"low\": [0.1, 0.7], "
        "\"high\": [0.2, 0.9]}, {\"name\": \"perfect\", \"mark\": \"line\", \"points\": [[0, 0], [1, 1]]}]},"
        "{\"kind\": \"table\", \"title\": \"Correlations\", \"columns\": [\"with\", \"r\"], \"rows\": [[\"length\", "
        "0.3125], [\"lists\", null]]},"
        "{\"kind\": \"texts\", \"title\": \"Worst\", \"items\": [{\"heading\": \"3.1 against 0.2\", \"body\": "
        "\"one\\ntwo\"}]}]}");
    const char *page = make_page();
    assert_order(page, "<h1>Reward model from m</h1>", "<b>0.7</b>", "0.66 to 0.74", ">Learning</h2>", ">Loss",
                 ">Accuracy", ">Margin", ">Scores in training", ">Figures</h2>", "By split", "A sentence.", "accuracy",
                 "helpful</text>", "harmless</text>", "accuracy: 0.7</title>", "Calibration", "seen", "perfect",
                 "said</text>", "Correlations", "<th class=\"number\">r", "<td class=\"number\">0.3125", "Worst",
                 "3.1 against 0.2", "one\ntwo", NULL);
    assert_lacks(page, "eval_accuracy_low", "min_reward", NULL);
    assert_int_equal(count_of(page, "<path class=\"band\" d=\"M"), 2);    /* of eval_accuracy and mean_reward */
    assert_int_equal(count_of(page, "<path class=\"whisker\" d=\"M"), 2); /* of the bars and the points */
    assert_int_equal(count_of(page, "<rect class=\"bar\""), 2);
}

/* Bounds without the metric they are the bounds of are drawn as themselves. */
static void bounds_alone(void **state)
{
    (void)state;
    begin_run("bounds");
    put_file("metrics.jsonl", "{\"step\": 1, \"min_reward\": -1.0}\n{\"step\": 2, \"min_reward\": -2.0}\n");
    assert_int_equal(count_of(path_of(make_page(), "min_reward"), "L"), 1);
}

static void ppo_page(void **state)
{
    (void)state;
    static const char *const names[] = {"objective/kl",
                                        "objective/entropy",
                                        "objective/non_score_reward",
                                        "objective/rlhf_reward",
                                        "objective/scores",
                                        "objective/kl_coef",
                                        "objective/response_length",
                                        "policy/approxkl_avg",
                                        "policy/clipfrac_avg",
                                        "policy/entropy_avg",
                                        "loss/policy_avg",
                                        "loss/value_avg",
                                        "val/clipfrac_avg",
                                        "val/ratio",
                                        "val/ratio_var",
                                        "val/num_eos_tokens",
                                        "val/explained_variance",
                                        "val/decode_drift",
                                        "val/reference_perplexity",
                                        "lr",
                                        "episode",
                                        "tokens_per_second"};
    struct strbuf metrics = {0};
    struct metric_table table;
    metric_table_make(&table, &all_stages);
    begin_run("ppo");
    put_recipe(&ppo_stage, LEAST_PPO);
    for (int step = 1; step <= 200; step++) {
        strbuf_printf(&metrics, "{\"step\": %d", step);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            strbuf_printf(&metrics, ", \"%s\": %d.5", names[i], (step * 7 + (int)i) % 50);
        }
        strbuf_printf(&metrics, ", \"time/rollout\": 6.0, \"time/update\": 3.0%s}\n",
                      step % 100 == 0 ? ", \"time/eval\": 60.0" : "");
    }
    put_file("metrics.jsonl", strbuf_text(&metrics));
    strbuf_free(&metrics);
    const char *page = make_page();
    assert_order(page, "<h1>PPO training of m</h1>", "objective/scores", "objective/kl", "objective/response_length",
                 "val/explained_variance", ">Reward and distance</h2>", ">Policy update</h2>", ">Value model</h2>",
                 ">Checks</h2>", ">Optimizer and pace</h2>", ">Where the time went</h2>", NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(count_of(path_of(page, names[i]), "L"), 199);
        assert_non_null(strstr(page, metric_find(&table, names[i])->name->sentence));
    }
    assert_order(page, ">Where the time went</h2>", "mean of about 3 records", "rollout", "20 min 00 s", "62.5 %",
                 "update", "10 min 00 s", "31.2 %", "eval", "2 min 00 s", "6.2 %", "32 min 00 s", NULL);
    assert_lacks(page, "data-name=\"time/", "Other numbers", NULL);
    assert_non_null(strstr(page, "means of 5 records"));
}

/* A stage's panels come where they ask to be, and its own sections first. */
static void panels_of_a_stage(void **state)
{
    (void)state;
    static const struct metric_panel panels[] = {
        {.title = "Chosen and rejected",
         .section = "Preferences",
         .unit = "nats",
         .names = {{.name = "logps/chosen", .sentence = "."}, {.name = "logps/rejected", .sentence = "."}}},
        {.title = "Loss", .names = {{.name = "loss/preference", .sentence = "."}, {.name = "loss", .sentence = "."}}},
        {.title = "Agreement", .section = METRICS_LEARNING, .unit = "share", .names = {{.name = "agreement"}}},
        {.title = "Pairs", .section = METRICS_PACE, .unit = "pairs", .before = "Speed", .names = {{.name = "pairs"}}},
        {0},
    };
    static const struct recipe_stage stage = {.name = "contrast", .panels = panels};
    static const struct recipe_stage *const items[] = {&stage};
    struct metric_table table;
    metric_table_make(&table, &(struct recipe_stages){.items = items, .count = 1});
    assert_string_equal(table.panels[0]->title, "Chosen and rejected");
    assert_int_equal(metric_find(&table, "logps/rejected")->number, 0);
    const struct metric *loss = metric_find(&table, "loss"), *preference = metric_find(&table, "loss/preference");
    assert_ptr_equal(loss->panel, preference->panel);
    assert_string_equal(loss->panel->unit, "nats");
    assert_true(strlen(loss->name->sentence) > 20); /* the common one's */
    assert_int_equal(metric_find(&table, "agreement")->number, loss->number + 1);
    assert_string_equal(table.panels[metric_find(&table, "pairs")->number + 1]->title, "Speed");
    assert_null(metric_find(&table, "objective/kl"));
}

/* The table itself, and that every row of it reaches the page. */
static void every_known_name(void **state)
{
    (void)state;
    struct strbuf metrics = {0};
    struct metric_table table;
    bool used[METRIC_PANELS_MAX] = {false};
    metric_table_make(&table, &all_stages);
    assert_in_range(table.panel_count, 1, METRIC_PANELS_MAX);
    strbuf_puts(&metrics, "{\"step\": 1");
    for (size_t i = 0; i < table.count; i++) {
        const struct metric *metric = &table.metrics[i];
        const struct metric_name *name = metric->name;
        assert_ptr_equal(metric_find(&table, name->name), metric); /* no name twice */
        assert_in_range(metric->number, 0, table.panel_count - 1);
        assert_ptr_equal(table.panels[metric->number], metric->panel);
        used[metric->number] = true;
        if (name->role == METRIC_CURVE) {
            assert_true(strlen(name->sentence) > 20 && name->sentence[strlen(name->sentence) - 1] == '.');
        } else {
            assert_true(metric_find(&table, name->of)->panel == metric->panel);
        }
        strbuf_printf(&metrics, ", \"%s\": 1.5", name->name);
    }
    strbuf_puts(&metrics, ", \"zebra\": 2, \"ant\": 3}\n");
    for (size_t i = 0; i < table.panel_count; i++) {
        assert_true(used[i]);
        for (size_t j = i + 2; j < table.panel_count; j++) { /* the panels of a section stand together */
            if (strcmp(table.panels[i]->section, table.panels[j]->section) == 0) {
                assert_string_equal(table.panels[i]->section, table.panels[j - 1]->section);
            }
        }
    }
    begin_run("names");
    put_file("metrics.jsonl", strbuf_text(&metrics));
    strbuf_free(&metrics);
    const char *page = make_page();
    for (size_t i = 0; i < table.count; i++) {
        const struct metric_name *name = table.metrics[i].name;
        if (name->role == METRIC_CURVE) {
            path_of(page, name->name);
            assert_non_null(strstr(page, name->sentence));
        }
    }
    assert_order(page, ">Optimizer and pace</h2>", ">Other numbers</h2>", "data-name=\"zebra\"", "data-name=\"ant\"",
                 NULL);
    assert_string_equal(metric_phase("time/rollout"), "rollout");
    assert_null(metric_phase("times"));
}

static void gaps(void **state)
{
    (void)state;
    begin_run("gaps");
    put_file("metrics.jsonl",
             "{\"step\": 1, \"loss\": 1, \"never\": null}\n{\"step\": 2, \"loss\": 2}\n{\"step\": 3, "
             "\"loss\": null}\n{\"step\": 4, \"loss\": 4}\n{\"step\": 5, \"loss\": null}\n{\"step\": 6, "
             "\"loss\": 3}\n{\"step\": 7, \"loss\": 3}\n");
    const char *page = make_page(), *path = path_of(page, "loss");
    assert_int_equal(count_of(path, "M"), 3);
    assert_int_equal(count_of(path, "L"), 2);
    assert_int_equal(count_of(path, "h0"), 1); /* the point alone is a dot */
    assert_order(page, "never", "There is no finite value to draw.", NULL);
}

static void long_runs(void **state)
{
    (void)state;
    struct strbuf metrics = {0};
    begin_run("long");
    for (int step = 1; step <= 100000; step++) {
        strbuf_printf(&metrics, "{\"step\": %d, \"loss\": %d.%03d}\n", step, step == 61234 ? 77 : 1, step * 37 % 1000);
    }
    put_file("metrics.jsonl", strbuf_text(&metrics));
    strbuf_free(&metrics);
    const char *page = make_page();
    assert_in_range(strlen(page), 20000, 60000);
    assert_in_range(count_of(path_of(page, "loss"), "L"), 900, 1000);
    assert_order(page, ">highest</th>", "title=\"at step 61234\">77.66", NULL); /* 61234 * 37 = 2265658 */
}

static void samples(void **state)
{
    (void)state;
    struct strbuf text = {0};
    begin_run("samples");
    put_file("metrics.jsonl", "{\"step\": 0, \"loss\": 1}\n");
    put_file(
        "samples.jsonl",
        "{\"step\": 0, \"epoch\": 0, \"prompt\": \"one?\", \"answer\": \"first one\", \"score\": -1.5}\n"
        "{\"step\": 0, \"epoch\": 0, \"prompt\": \"two?\", \"answer\": \"first two\"}\n"
        "{\"step\": 5, \"epoch\": 0, \"prompt\": \"one?\", \"answer\": \"between\"}\n"
        "{\"step\": 9, \"epoch\": 1, \"prompt\": \"two?\", \"answer\": \"last two\"}\n"
        "{\"step\": 9, \"epoch\": 1, \"prompt\": \"one?\", \"answer\": \"last one\", \"score\": 2.25, \"kl\": 3.5}\n"
        "{\"step\": 9, \"epoch\": 1, \"prompt\": \"new?\", \"answer\": \"\"}\n");
    assert_order(make_page(), "two?", "step 0", "first two", "step 9", "last two", "one?", "step 0", "score -1.5",
                 "first one", "step 9", "score 2.25", "kl 3.5", "last one", "new?", "(nothing)",
                 "<details><summary>Step 5", "between", NULL);
    /* The answers to one prompt, in their order; and no more of a long run than can be read. */
    for (int step = 0; step < 40; step++) {
        for (int i = 0; i < 120; i++) {
            strbuf_printf(&text, "{\"step\": %d, \"prompt\": \"p\", \"answer\": \"a%d-%d\"}\n", step, step, i);
        }
    }
    put_file("samples.jsonl", strbuf_text(&text));
    const char *page = make_page();
    assert_order(page, ">a0-0<", ">a39-0<", ">a0-1<", ">a39-1<", ">a39-99<", "20 more answers of this step", "Step 3<",
                 "The answers of 28 more steps are in samples.jsonl.", NULL);
    assert_lacks(page, "a39-100", "Step 1<", NULL);
    strbuf_clear(&text);
    strbuf_puts(&text, "{\"step\": 0, \"prompt\": \"p\", \"answer\": \"");
    for (int i = 0; i < 9000; i++) {
        strbuf_puts(&text, "é");
    }
    strbuf_puts(&text, "\"}\n");
    put_file("samples.jsonl", strbuf_text(&text));
    assert_non_null(strstr(make_page(), "éé … (12000 bytes more)"));
    strbuf_free(&text);
}

/* The same text everywhere; assert_page() finds what it would do. */
#define EVIL                                                                                                           \
    "</script></style></svg></title><img src=x onerror=alert(1)>'\\\" onload=\\\"x&lt;\\u202e\\u0000\\u0001\\u200b"

static void hostile_texts(void **state)
{
    (void)state;
    begin_run("hostile");
    put_file("recipe.resolved.yaml", "model_name_or_path: \"" EVIL "\"\noutput_dir: \"" EVIL "\"\nlora_r: \"" EVIL
                                     "\"\nfinetuning_type: lora\n\"" EVIL "\": 1\ndataset: [{path: \"" EVIL "\"}]\n");
    put_file("metrics.jsonl",
             "{\"step\": 1, \"loss\": 1, \"</script><img src=x>\\\"'&\": 2, \"time/</i>\\\"><img>\": 1}\n");
    put_file("samples.jsonl", "{\"step\": 1, \"prompt\": \"" EVIL "\", \"answer\": \"" EVIL "\", \"score\": \"" EVIL
                              "\", \"more\\\"<b>\": [\"" EVIL "\"], \"text\": \"" EVIL "\"}\n");
    put_file("memory.json", "{\"plan\": {\"<img src=x>\\\"\": 5}, \"total\": 5}");
    put_file(
        "figures.json",
        "{\"figures\": [{\"kind\": \"chart\", \"title\": \"" EVIL "\", \"text\": \"" EVIL "\", \"x\": \"" EVIL
        "\", \"y\": \"" EVIL "\", \"series\": [{\"name\": \"" EVIL "\", \"points\": [[\"" EVIL "\", 1]]}, {\"name\": "
        "\"" EVIL "\", \"mark\": \"bars\", \"points\": [[\"" EVIL "\", 1]]}]},"
        "{\"kind\": \"table\", \"title\": \"t\", \"columns\": [\"" EVIL "\"], \"rows\": [[\"" EVIL "\"]]},"
        "{\"kind\": \"texts\", \"title\": \"t\", \"items\": [{\"heading\": \"" EVIL "\", \"body\": \"" EVIL "\"}]}]}");
    const char *page = make_page();
    assert_lacks(page, "\u202e", "\u200b", "\x01", NULL);
    assert_order(page, "&lt;/script&gt;", "‹U+202E›", "‹U+0000›‹U+0001›‹U+200B›", NULL);
    assert_order(page, "default-src 'none'", "script-src 'nonce-", NULL);
}

static void same_files_same_page(void **state)
{
    (void)state;
    static const char metrics[] = "{\"step\": 1, \"loss\": 1.5, \"time/x\": 2}\n{\"step\": 2, \"loss\": 1.25}\n";
    struct strbuf torn = {0};
    begin_run("one/run");
    put_file("metrics.jsonl", metrics);
    char *first = mem_copy_string(make_page(), strlen(make_page()), NULL);
    assert_string_equal(make_page(), first);
    begin_run("another-place");
    for (size_t length = 0; length < 30; length++) { /* with a third record that a killed process left torn */
        strbuf_clear(&torn);
        strbuf_puts(&torn, metrics);
        strbuf_append(&torn, "{\"step\": 3, \"loss\": 1.125}", length < 26 ? length : 26);
        put_file("metrics.jsonl", torn.data);
        assert_string_equal(make_page(), first);
    }
    strbuf_free(&torn);
    mem_free(first);
}

static void parts_missing(void **state)
{
    (void)state;
    begin_run("recipe-only");
    put_recipe(&sft_stage, LEAST);
    assert_order(make_page(), "Supervised fine-tuning of m", ">Recipe</h2>", NULL);
    begin_run("empty-metrics");
    put_file("metrics.jsonl", "");
    assert_order(make_page(), "<h1>Run</h1>", NULL);
    put_file("metrics.jsonl", "{\"step\": 0, \"epoch\": null}\n");
    put_file("samples.jsonl", "");
    put_file("figures.json", "{\"figures\": []}");
    put_file("memory.json", "{\"plan\": {}, \"total\": 0}");
    put_file("recipe.resolved.yaml", "# nothing\n");
    assert_order(make_page(), "<h1>Run</h1>", NULL);
    begin_run("foreign");
    put_file("recipe.resolved.yaml", "some_key: [a, {b: c, d: null}]\nother: null\n");
    assert_order(make_page(), "<h1>Run</h1>", ">Recipe</h2>", "Of another version", "[a, {b: c}]", "null", NULL);
    begin_run("nothing");
    assert_says(why_no_page(), "nothing", "metrics.jsonl", "output_dir", NULL);
    struct err err;
    assert_int_equal(report_write(temporary("no/such/folder"), &all_stages, &err), -1);
    assert_says(err.text, "no/such/folder", NULL);
}

#define FIGURE(members)                                                                                                \
    "{\"figures\": [{\"kind\": \"table\", \"title\": \"t\", \"columns\": [], \"rows\": []}, " members "]}"
#define CHART(series) FIGURE("{\"kind\": \"chart\", \"title\": \"t\", \"series\": [" series "]}")

static void broken_files(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"metrics.jsonl", "{\"step\": 1}\nnonsense\n", "metrics.jsonl:2"},
        {"metrics.jsonl", "{\"step\": 1}\n{\"loss\": 1}\n", "metrics.jsonl:2"},
        {"metrics.jsonl", "{\"step\": 1}\n\n{\"step\": 2}\n", "metrics.jsonl:2"},
        {"metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n[3]\n", "metrics.jsonl:3"},
        {"metrics.jsonl", "{\"step\": -1}\n", "metrics.jsonl:1"},
        {"samples.jsonl", "{\"step\": 1, \"prompt\": \"p\"}\n", "samples.jsonl:1"},
        {"samples.jsonl", "{\"step\": 1, \"prompt\": \"p\", \"answer\": 3}\n", "\"answer\""},
        {"samples.jsonl", "{\"step\": 1, \"prompt\": [], \"answer\": \"\"}\n", "\"prompt\""},
        {"recipe.resolved.yaml", "a: 1\nb: [\n", "recipe.resolved.yaml:3"},
        {"recipe.resolved.yaml", "- a\n- b\n", "recipe.resolved.yaml:1"},
        {"recipe.resolved.yaml", "a: 1\n[b]: 2\n", "recipe.resolved.yaml:2"},
        {"memory.json", "{\"plan\": [], \"total\": 1}", "memory.json"},
        {"memory.json", "{\"plan\": {}}", "memory.json"},
        {"memory.json", "{\"plan\": {\"weights\": -1}, \"total\": 1}", "\"weights\""},
        {"memory.json", "{\"plan\": ", "memory.json"},
        {"figures.json", "[]", "figures.json"},
        {"figures.json", FIGURE("3"), "figures.json: figure 2"},
        {"figures.json", FIGURE("{\"kind\": \"chart\"}"), "\"title\""},
        {"figures.json", FIGURE("{\"kind\": \"film\", \"title\": \"t\"}"), "'film'"},
        {"figures.json", FIGURE("{\"kind\": \"chart\", \"title\": \"t\"}"), "\"series\""},
        {"figures.json", FIGURE("{\"kind\": \"texts\", \"title\": \"t\"}"), "\"items\""},
        {"figures.json", FIGURE("{\"kind\": \"texts\", \"title\": \"t\", \"items\": [{\"heading\": \"h\"}]}"),
         "\"body\""},
        {"figures.json", FIGURE("{\"kind\": \"table\", \"title\": \"t\"}"), "\"columns\""},
        {"figures.json", FIGURE("{\"kind\": \"table\", \"title\": \"t\", \"columns\": [\"a\"], \"rows\": [[1, 2]]}"),
         "row 1"},
        {"figures.json", FIGURE("{\"kind\": \"table\", \"title\": \"t\", \"columns\": [\"a\"], \"rows\": [[[]]]}"),
         "cell"},
        {"figures.json", CHART("{\"points\": 3}"), "\"points\""},
        {"figures.json", CHART("{\"points\": [[1]]}"), "[x, y]"},
        {"figures.json", CHART("{\"points\": [[1, \"a\"]]}"), "[x, y]"},
        {"figures.json", CHART("{\"points\": [[1, 2], [\"a\", 2]]}"), "x must be"},
        {"figures.json", CHART("{\"points\": [[null, 2]]}"), "x must be"},
        {"figures.json", CHART("{\"mark\": \"pie\", \"points\": []}"), "'pie'"},
        {"figures.json", CHART("{\"points\": [[1, 2]], \"low\": [1, 2]}"), "\"low\""},
        {"figures.json", CHART("{\"points\": [[1, 2]], \"high\": [\"x\"]}"), "\"high\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_run("broken");
        put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 1}\n");
        put_file(cases[i].file, cases[i].text);
        assert_says(why_no_page(), cases[i].says, cases[i].file, NULL);
    }
}

/* A folder with something for every part of the page. */
static void put_everything(void)
{
    put_recipe(&sft_stage, LEAST);
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 1, \"own\": 3, \"time/a\": 1}\n{\"step\": 2, \"loss\": 2}\n");
    put_file("samples.jsonl", "{\"step\": 1, \"prompt\": \"p\", \"answer\": \"a\", \"list\": [1]}\n{\"step\": 2, "
                              "\"prompt\": \"p\", \"answer\": \"b\"}\n");
    put_file("memory.json", "{\"plan\": {\"weights\": 5}, \"total\": 5}");
    put_file("figures.json", CHART("{\"points\": [[\"a\", 2]]}, {\"mark\": \"bars\", \"points\": [[\"b\", 2]]}"));
}

/* Whatever fails, the old page stays, whole, or the new one is there. */
static void fails_whole(void **state)
{
    (void)state;
    struct err err;
    mem_hook_libraries();
    begin_run("fails");
    put_everything();
    char *whole = mem_copy_string(make_page(), strlen(make_page()), NULL);
    char path[400];
    snprintf(path, sizeof path, "%s/%s", run_folder(), REPORT_FILE);
    long n = 1;
    for (bool done = false; !done; n += n < 100 ? 1 : 13) {
        mem_fail_at(n);
        int status = report_write(run_folder(), &all_stages, &err);
        done = mem_count() < n;
        mem_fail_at(0);
        assert_int_equal(status, done ? 0 : -1);
        assert_string_equal(read_page(path), whole);
    }
    assert_true(n > 200);
    n = 1;
    for (bool done = false; !done; n++) {
        file_fail_at(n);
        int status = report_write(run_folder(), &all_stages, &err);
        done = file_count() < n;
        file_fail_at(0);
        assert_int_equal(status, done ? 0 : -1);
        assert_string_equal(read_page(path), whole);
    }
    assert_true(n > 3);
    mem_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sft_page),      cmocka_unit_test(reward_page),       cmocka_unit_test(bounds_alone),
        cmocka_unit_test(ppo_page),      cmocka_unit_test(panels_of_a_stage), cmocka_unit_test(every_known_name),
        cmocka_unit_test(gaps),          cmocka_unit_test(long_runs),         cmocka_unit_test(samples),
        cmocka_unit_test(hostile_texts), cmocka_unit_test(parts_missing),     cmocka_unit_test(same_files_same_page),
        cmocka_unit_test(broken_files),  cmocka_unit_test(fails_whole),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
