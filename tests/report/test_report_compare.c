/* Several runs on one page: curves over each other, recipes and results side by side. */
#include "base/file.h"
#include "base/mem.h"
#include "helper_report.h"
#include "report/report.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include <stdio.h>
#include <string.h>

#define RUNS_MAX 40

static char folders[RUNS_MAX][300], out[300];
static const char *pointers[RUNS_MAX];

static void begin(size_t index, const char *name)
{
    begin_run(name);
    strcpy(folders[index], run_folder());
    pointers[index] = folders[index];
}

static const char *compare(size_t count)
{
    struct err err;
    snprintf(out, sizeof out, "%s", temporary("comparison.html"));
    if (report_compare(pointers, count, out, &all_stages, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return read_page(out);
}

static void two_runs(void **state)
{
    (void)state;
    begin(0, "rank-8");
    put_recipe(&sft_stage, LEAST "lora_r: 8\nseed: 5\n");
    put_file("metrics.jsonl",
             "{\"step\": 1, \"loss\": 2, \"time/a\": 90}\n{\"step\": 2, \"loss\": 1.5, \"time/a\": 90}\n"
             "{\"step\": 2, \"eval_accuracy_low\": 0.5, \"mine\": 4}\n");
    put_file("state.json", "{}");
    begin(1, "rank-64");
    put_recipe(&sft_stage, LEAST "lora_r: 64\nseed: 5\n");
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"step\": 3, \"loss\": 1.25, \"grad_norm\": 7}\n");
    const char *page = compare(2);
    assert_order(page, "<h1>Runs compared</h1>", "rank-8", "rank-64", ">How their recipes differ</h2>", "lora_r</code>",
                 "8</code>", "64</code>", ">What they ended with</h2>", ">2</td>", ">3, not finished</td>", "loss</td>",
                 ">1.5</td>", ">1.25</td>", "grad_norm</td>", ">–</td>", ">7</td>", "time/a</td>", ">3 min 00 s</td>",
                 ">Curves</h2>", ">loss <", "rank-8</td>", "rank-64</td>", "data-name=\"rank-8\"",
                 "data-name=\"rank-64\"", ">grad_norm <", ">mine <", NULL);
    assert_lacks(page, "seed", "max_length", "eval_accuracy_low <", NULL);
    char *first = mem_copy_string(page, strlen(page), NULL);
    assert_string_equal(compare(2), first);
    mem_free(first);
}

/* Equal last parts of the folders: the whole paths tell them apart. A run without recipe differs in no key. */
static void equal_names(void **state)
{
    (void)state;
    begin(0, "a/run");
    put_recipe(&sft_stage, LEAST);
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n");
    begin(1, "b/run");
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n");
    begin(2, "c/third");
    put_recipe(&sft_stage, LEAST);
    const char *page = compare(3);
    assert_order(page, folders[0], folders[1], ">third<", "In no key.", NULL);
    put_recipe(&sft_stage, LEAST "seed: 77\n");
    assert_order(compare(3), "<code>seed</code>", "<code>42</code>", "<code>–</code>", "<code>77</code>", NULL);
}

static void many_runs(void **state)
{
    (void)state;
    struct err err;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "many-%zu", i);
        begin(i, name);
        put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": 1}\n");
    }
    const char *page = compare(REPORT_RUNS_MAX);
    path_of(page, "many-31");
    assert_order(page, "c7 dashed", NULL);
    assert_int_equal(report_compare(pointers, REPORT_RUNS_MAX + 1, out, &all_stages, &err), -1);
    assert_says(err.text, "33", NULL);
    assert_int_equal(report_compare(pointers, 1, out, &all_stages, &err), -1);
}

static void mistakes(void **state)
{
    (void)state;
    struct err err;
    begin(0, "good");
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n");
    begin(1, "bad");
    put_file("metrics.jsonl", "{\"step\": 1}\nx\n");
    snprintf(out, sizeof out, "%s", temporary("none.html"));
    assert_int_equal(report_compare(pointers, 2, out, &all_stages, &err), -1);
    assert_says(err.text, "bad/metrics.jsonl:2", NULL);
    assert_false(file_exists(out));
    pointers[1] = pointers[0];
    snprintf(out, sizeof out, "%s", temporary("no/such/none.html"));
    assert_int_equal(report_compare(pointers, 2, out, &all_stages, &err), -1);
    assert_says(err.text, "no/such/none.html", NULL);
}

static void without_memory(void **state)
{
    (void)state;
    struct err err;
    mem_hook_libraries();
    begin(0, "m1");
    put_recipe(&sft_stage, LEAST);
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n");
    begin(1, "m2");
    put_recipe(&sft_stage, LEAST "seed: 7\n");
    put_file("metrics.jsonl", "{\"step\": 1, \"loss\": 2, \"own\": 1}\n");
    snprintf(out, sizeof out, "%s", temporary("m.html"));
    long n = 1;
    for (bool done = false; !done; n += 3) {
        mem_fail_at(n);
        int status = report_compare(pointers, 2, out, &all_stages, &err);
        done = mem_count() < n;
        mem_fail_at(0);
        assert_int_equal(status, done ? 0 : -1);
        assert_true(file_exists(out) == done);
    }
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_runs), cmocka_unit_test(equal_names),    cmocka_unit_test(many_runs),
        cmocka_unit_test(mistakes), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
