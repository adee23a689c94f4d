/*
 * tests/reward/test_runs.c - whole runs: a planted preference is learned, scores are normalised, runs stop early, and
 * labels of every awkward kind are defined and reported.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "reward/data.h"
#include "reward/helper_reward.h"
#include "roles/scorer.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include <math.h>
#include <string.h>

static void expect_near(const char *what, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound)) {
        fail_msg("%s is %.9g instead of %.9g", what, got, want);
    }
}

static void write_text(const char *name, const char *text)
{
    write_bytes(temporary("%s", name), text, strlen(text));
}

/* ---- learning ---- */

static void a_planted_preference_is_learned(void **state)
{
    (void)state;
    reward_write_pairs(temporary("many.jsonl"), 100, 400);
    reward_write_pairs(temporary("others.jsonl"), 600, 120);
    static const char *const methods[] = {"finetuning_type: full\nlearning_rate: 3e-3\n",
                                          "lora_r: 8\nlearning_rate: 1e-2\n"};
    for (int m = 0; m < 2; m++) {
        char lines[512];
        snprintf(lines, sizeof lines,
                 "dataset: @/many.jsonl\neval_dataset: @/others.jsonl\nmax_length: 200\nnum_train_epochs: 3\n"
                 "per_device_train_batch_size: 8\nsave_steps: 0\n%s",
                 methods[m]);
        reward_finish("planted", lines, NULL);
        double before = run_metric("planted", 0, "eval_accuracy"), after = run_metric("planted", 150, "eval_accuracy");
        print_message("%s: accuracy on held-out prompts %.3f before, %.3f after (%.3f .. %.3f)\n", m ? "lora" : "full",
                      before, after, run_metric("planted", 150, "eval_accuracy_low"),
                      run_metric("planted", 150, "eval_accuracy_high"));
        assert_true(before < 0.75 && after > 0.95);
        assert_true(run_metric("planted", 150, "eval_loss") < run_metric("planted", 0, "eval_loss"));
        remove_tree(temporary("planted"));
    }
}

/* ---- the result's scores ---- */

/* Scores of the eval set's answers by the result in a run's folder. */
static float *scores_of_result(const char *name, const struct ranking_set *set)
{
    struct err err;
    struct models models = {0};
    struct scorer scorer;
    struct backend *backend = cpu_backend(DTYPE_F32, 1);
    struct pass *pass;
    struct batch batch;
    const struct scorer_options options = {.folder = temporary("%s", name)};
    must(scorer_open(&scorer, &options, &models, &err));
    must(models_load(&models, backend, &err));
    must(scorer_load(&scorer, backend, &err));
    struct pass_limits limits = scorer_limits(&scorer, set->longest, backend->traits.pass_tokens);
    must(pass_create(&pass, scorer.model, &limits, &err));
    must(batch_create(&batch, limits.tokens, limits.segments, limits.predictions, &err));
    float *scores = mem_alloc((size_t)set->answers, sizeof *scores, &err);
    assert_non_null(scores);
    int64_t at = 0;
    for (size_t r = 0; r < set->count; r++) {
        must(scorer_score(&scorer, pass, &batch, &set->rankings[r].family, 1, scores + at, &err));
        at += set->rankings[r].family.count;
    }
    batch_free(&batch);
    pass_free(pass);
    scorer_close(&scorer);
    models_close(&models);
    backend->free(backend);
    return scores;
}

/* gain and offset by which the scores of two results of one training differ; both over the same answers. */
static void check_normalised(const float *scores, const float *raw, int64_t count, bool same_answers)
{
    double mean = 0, square = 0, raw_mean = 0, raw_square = 0;
    for (int64_t i = 0; i < count; i++) {
        mean += (double)scores[i] / (double)count;
        raw_mean += (double)raw[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        square += pow((double)scores[i] - mean, 2) / (double)count;
        raw_square += pow((double)raw[i] - raw_mean, 2) / (double)count;
    }
    if (same_answers) {
        expect_near("the mean", mean, 0, 1e-4);
        expect_near("the deviation", sqrt(square), 1, 1e-4);
        assert_true(fabs(raw_mean) > 1e-2 || fabs(sqrt(raw_square) - 1) > 1e-2);
    }
    double gain = sqrt(square / raw_square);
    for (int64_t i = 0; i < count; i++) {
        expect_near("a score", (double)scores[i], mean + gain * ((double)raw[i] - raw_mean), 1e-4);
    }
}

static void scores_are_normalised(void **state)
{
    (void)state;
    static const char *const methods[] = {"lora_r: 4\n", "finetuning_type: full\n"};
    static const char *const data[] = {"eval_dataset: @/eval.jsonl\n", ""}; /* without: a sample of the training */
    for (int m = 0; m < 2; m++) {
        for (int d = 0; d < 2; d++) {
            struct err err;
            struct reward_data held;
            char lines[2][512];
            for (int raw = 0; raw < 2; raw++) {
                snprintf(lines[raw], sizeof lines[raw],
                         "dataset: @/train.jsonl\nmax_length: 200\nmax_steps: 6\nlearning_rate: 3e-3\n"
                         "normalize_scores: %s\n%s%s",
                         raw ? "false" : "true", methods[m], data[d]);
                reward_finish(raw ? "raw" : "normal", lines[raw], NULL);
            }
            struct recipe *recipe = reward_recipe("none", lines[0]);
            must(reward_data_open(&held, recipe, &err));
            const struct ranking_set *set = held.eval ? held.eval : held.train;
            float *normal = scores_of_result("normal", set), *raw = scores_of_result("raw", set);
            check_normalised(normal, raw, set->answers, true);
            if (held.eval) { /* what the run said of the scores as they were trained */
                double mean = 0;
                for (int64_t i = 0; i < set->answers; i++) {
                    mean += (double)raw[i] / (double)set->answers;
                }
                expect_near("eval_mean_reward", run_metric("normal", 6, "eval_mean_reward"), mean, 1e-5);
            }
            mem_free(normal);
            mem_free(raw);
            reward_data_close(&held);
            recipe_free(recipe);
            remove_tree(temporary("raw"));
            remove_tree(temporary("normal"));
        }
    }
}

/* ---- the best, and the end ---- */

static json_t *state_of(const char *name)
{
    struct err err;
    json_t *root = json_read_file(temporary("%s/state.json", name), 1 << 20, &err);
    if (!root) {
        fail_msg("%s", err.text);
    }
    return root;
}

/* Nothing is learned at a rate of 0, so the accuracy never becomes better than it was before the first step. */
static void early_stopping(void **state)
{
    (void)state;
    reward_finish("early",
                  "dataset: @/train.jsonl\neval_dataset: @/eval.jsonl\nmax_length: 200\nmax_steps: 40\n"
                  "learning_rate: 0\neval_steps: 3\nearly_stopping_patience: 2\nsave_steps: 0\nlora_r: 2\n",
                  NULL);
    json_t *root = state_of("early");
    assert_int_equal(json_integer_value(json_object_get(root, "step")), 6);
    assert_true(json_is_true(json_object_get(root, "stopped_early")));
    expect_near("best_eval", json_number_value(json_object_get(root, "best_eval")),
                1 - run_metric("early", 0, "eval_accuracy"), 1e-12);
    json_decref(root);
    remove_tree(temporary("early"));
}

/* With load_best_model_at_end the result is that of the step with the highest accuracy. */
static void the_best_is_the_result(void **state)
{
    (void)state;
    struct err err;
    static const char lines[] = "dataset: @/train.jsonl\neval_dataset: @/eval.jsonl\nmax_length: 200\nmax_steps: 12\n"
                                "learning_rate: 3e-2\nlr_scheduler_type: constant\neval_steps: 1\nlora_r: 2\n"
                                "lora_dropout: 0.1\nload_best_model_at_end: true\n";
    reward_finish("best", lines, NULL);
    json_t *root = state_of("best");
    int best = (int)json_integer_value(json_object_get(root, "best_step"));
    double most = run_metric("best", best, "eval_accuracy");
    for (int step = 0; step <= 12; step++) {
        assert_true(run_metric("best", step, "eval_accuracy") <= most);
    }
    json_decref(root);
    struct reward_data data;
    struct recipe *recipe = reward_recipe("none", lines);
    must(reward_data_open(&data, recipe, &err));
    float *scores = scores_of_result("best", data.eval);
    int64_t right = 0;
    for (size_t r = 0; r < data.eval->count; r++) {
        right += scores[2 * r] > scores[2 * r + 1];
    }
    expect_near("the result's accuracy", (double)right / (double)data.eval->count, most, 1e-9);
    mem_free(scores);
    reward_data_close(&data);
    recipe_free(recipe);
    remove_tree(temporary("best"));
}

static void a_dry_run_and_too_little_memory(void **state)
{
    (void)state;
    struct err err;
    struct recipe *recipe = reward_recipe("dry", "dataset: @/train.jsonl\n");
    struct backend *backend = cpu_backend(DTYPE_F32, 1);
    must(reward_run(recipe, backend, &(struct stage_options){.dry_run = true}, &err));
    assert_false(file_exists(temporary("dry")));
    backend->free(backend);
    recipe_free(recipe);
    reward_refuse("dry", "dataset: @/train.jsonl\nmax_memory_mib: 1\n", &err);
    assert_non_null(strstr(err.text, "gradient_checkpointing"));
    assert_false(file_exists(temporary("dry")));
}

/* A model whose scores are no numbers: every step is skipped, and the run can still be resumed and finished. */
static void scores_that_are_no_numbers(void **state)
{
    (void)state;
    struct err err;
    static const char lines[] = "model_name_or_path: @/broken\ndataset: @/train.jsonl\neval_dataset: @/eval.jsonl\n"
                                "max_length: 200\nmax_steps: 4\nlogging_steps: 3\nsave_steps: 1\nlora_r: 2\n";
    tiny_text_make(temporary("broken"));
    struct strbuf weights = read_bytes(temporary("broken/model.safetensors"));
    memset(weights.data + weights.length - sizeof(float), 0xff, sizeof(float)); /* one NaN, in the last tensor */
    write_bytes(temporary("broken/model.safetensors"), weights.data, weights.length);
    strbuf_free(&weights);
    reward_finish("broken-run", lines, NULL);
    assert_true(isnan(run_metric("broken-run", 3, "loss")) && isnan(run_metric("broken-run", 3, "mean_reward")));
    assert_true(run_metric("broken-run", 3, "skipped_steps") == 3);
    assert_true(isnan(run_metric("broken-run", 4, "eval_loss")));
    json_t *figures = json_read_file(temporary("broken-run/figures.json"), 1 << 24, &err);
    if (!figures) {
        fail_msg("%s", err.text);
    }
    json_decref(figures);
    remove_tree(temporary("broken-run/state.json"));
    reward_finish("broken-run", lines, NULL);
    remove_tree(temporary("broken-run"));
}

/* ---- labels of every kind ---- */

#define PAIR(prompt, chosen, rejected, more)                                                                           \
    "{\"prompt\": [{\"role\": \"user\", \"content\": \"" prompt "\"}], \"chosen\": \"" chosen                          \
    "\", \"rejected\": \"" rejected "\"" more "}\n"
#define SHORT "max_length: 200\nmax_steps: 2\nlogging_steps: 1\nsave_steps: 0\nlora_r: 2\n"

static void ties(void **state)
{
    (void)state;
    struct err err;
    write_text("ties.jsonl", PAIR("one", "the sea", "the moon", ", \"tie\": true, \"strength\": 0")
                                 PAIR("two", "the sun", "a whale", ", \"tie\": true, \"strength\": 0"));
    reward_refuse("ties", "dataset: @/ties.jsonl\n" SHORT, &err); /* nothing to learn */
    assert_non_null(strstr(err.text, "ties"));
    reward_finish("ties", "dataset: @/ties.jsonl\nties: half\neval_dataset: @/eval.jsonl\n" SHORT, NULL);
    assert_true(run_metric("ties", 1, "loss") >= log(2)); /* pulled together: never below */
    assert_true(isnan(run_metric("ties", 1, "accuracy")) && isnan(run_metric("ties", 1, "margin")));
    assert_true(isfinite(run_metric("ties", 1, "mean_reward")));
    remove_tree(temporary("ties"));
    /* An eval set of ties measures no accuracy, and that is no failure. */
    reward_finish("ties", "dataset: @/train.jsonl\nties: half\neval_dataset: @/ties.jsonl\n" SHORT, NULL);
    assert_true(isnan(run_metric("ties", 2, "eval_accuracy")) && isfinite(run_metric("ties", 2, "eval_loss")));
    remove_tree(temporary("ties"));
}

static void contradictions(void **state)
{
    (void)state;
    struct err err;
    write_text("contradictions.jsonl", PAIR("one", "the sea", "the moon", ", \"annotator\": \"ann\"")
                                           PAIR("one", "the moon", "the sea", ", \"annotator\": \"bob\"")
                                               PAIR("two", "a whale", "the sun", ", \"annotator\": \"ann\"")
                                                   PAIR("two", "the sun", "a whale", ", \"annotator\": \"bob\""));
    reward_finish("contradictions", "dataset: @/train.jsonl\neval_dataset: @/contradictions.jsonl\n" SHORT, NULL);
    expect_near("the accuracy", run_metric("contradictions", 2, "eval_accuracy"), 0.5, 1e-12);
    assert_true(run_metric("contradictions", 2, "eval_loss") >= log(2));
    json_t *root = json_read_file(temporary("contradictions/figures.json"), 1 << 24, &err);
    const json_t *accuracy = json_array_get(json_object_get(root, "figures"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(accuracy, "text")), "more than 50.0 %"));
    json_decref(root);
    remove_tree(temporary("contradictions"));
}

static void one_answer_items(void **state)
{
    (void)state;
    struct err err;
    static const char lone[] = "{\"prompt\": \"one\", \"completion\": \"the sea\", \"label\": true}\n"
                               "{\"prompt\": \"two\", \"completion\": \"the moon\", \"label\": false}\n";
    static const char more[] = "{\"prompt\": \"one\", \"completion\": \"a whale\", \"label\": false}\n";
    char both[sizeof lone + sizeof more];
    snprintf(both, sizeof both, "%s%s", lone, more);
    write_text("lone.jsonl", lone);
    write_text("thumbs.jsonl", both);
    reward_refuse("lone", "dataset: @/lone.jsonl\n" SHORT, &err); /* no answer has a counterpart */
    reward_finish("thumbs", "dataset: @/thumbs.jsonl\n" SHORT, NULL);
    assert_true(isfinite(run_metric("thumbs", 2, "loss")));
    remove_tree(temporary("thumbs"));
}

static void too_long_answers(void **state)
{
    (void)state;
    struct err err;
    write_text("long.jsonl", PAIR("what is the sea and the moon and the sun and four and seven", "it is seven", "four",
                                  "") PAIR("the sea", "seven", "four", ""));
    /* The first conversation has over 60 tokens. */
    reward_refuse("long", "dataset: @/long.jsonl\nmax_length: 8\nmax_steps: 1\n", &err);
    assert_non_null(strstr(err.text, "max_length"));
    reward_finish("long", "dataset: @/long.jsonl\nmax_length: 30\nmax_steps: 2\nlogging_steps: 1\nlora_r: 2\n", NULL);
    double dropped = run_metric("long", 1, "num_tokens");
    remove_tree(temporary("long"));
    reward_finish("long",
                  "dataset: @/long.jsonl\nmax_length: 30\non_too_long: keep_end\nmax_steps: 2\nlogging_steps: 1\n"
                  "lora_r: 2\n",
                  NULL);
    assert_true(run_metric("long", 1, "num_tokens") > dropped + 20); /* the first one is there, without its beginning */
    remove_tree(temporary("long"));
}

static void margins_and_weights(void **state)
{
    (void)state;
    write_text("strong.jsonl", PAIR("one", "the sea", "the moon", ", \"tie\": false, \"strength\": 4")
                                   PAIR("two", "a whale", "the sun", ", \"tie\": false, \"strength\": 1"));
    static const char lines[] = "dataset: @/strong.jsonl\nshuffle: false\n" SHORT;
    static const char more[] = "margin: strength\nmargin_scale: 0.5\n";
    char with[512];
    snprintf(with, sizeof with, "%s%s", lines, more);
    reward_finish("without", lines, NULL);
    reward_finish("with", with, NULL);
    assert_true(run_metric("with", 1, "margin") == run_metric("without", 1, "margin")); /* of the scores */
    assert_true(run_metric("with", 1, "loss") > run_metric("without", 1, "loss"));
    remove_tree(temporary("without"));
    remove_tree(temporary("with"));
}

static void nothing_to_read(void **state)
{
    (void)state;
    struct err err;
    write_text("empty.jsonl", "");
    reward_refuse("empty", "dataset: @/empty.jsonl\n" SHORT, &err);
    assert_non_null(strstr(err.text, "empty.jsonl"));
    reward_refuse("empty", "dataset: @/absent.jsonl\n" SHORT, &err);
    assert_non_null(strstr(err.text, "absent.jsonl"));
    assert_false(file_exists(temporary("empty")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_preference_is_learned),
        cmocka_unit_test(scores_are_normalised),
        cmocka_unit_test(early_stopping),
        cmocka_unit_test(the_best_is_the_result),
        cmocka_unit_test(a_dry_run_and_too_little_memory),
        cmocka_unit_test(scores_that_are_no_numbers),
        cmocka_unit_test(ties),
        cmocka_unit_test(contradictions),
        cmocka_unit_test(one_answer_items),
        cmocka_unit_test(too_long_answers),
        cmocka_unit_test(margins_and_weights),
        cmocka_unit_test(nothing_to_read),
    };
    return cmocka_run_group_tests(tests, reward_setup, temporary_teardown);
}
