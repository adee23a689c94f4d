/*
 * tests/roles/test_scorer.c - reward models that are used: scores against PEFT and transformers
 * (tests/fixtures/tiny-score, tests/reference/tiny_score.py), bases opened once for several roles, and what is no
 * reward model.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/init.h"
#include "recipe/recipe.h"
#include "roles/scorer.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

#define RECORDS_MAX 8
#define ANSWERS_MAX 16 /* of a record */

/* tests/fixtures/<from> with tiny-text's tokenizer, as the folder `to`. */
static void copy_model(const char *from, const char *to)
{
    struct err err;
    static const char *const names[] = {"config.json", "model.safetensors"}, *const texts[] = {"tokenizer.json",
                                                                                               "tokenizer_config.json"};
    must(file_make_dirs(to, &err));
    for (size_t i = 0; i < 2; i++) {
        must(file_copy(fixture_path(from, names[i]), temporary("%s/%s", strrchr(to, '/') + 1, names[i]), &err));
        must(file_copy(fixture_path("tiny-text", texts[i]), temporary("%s/%s", strrchr(to, '/') + 1, texts[i]), &err));
    }
}

static int setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    copy_model("tiny-score/base", temporary("base"));
    copy_model("tiny-score/merged", temporary("merged"));
    return 0;
}

/* The fixture's records as families of the scorer's tokens. */
struct records {
    json_t *json;
    struct family families[RECORDS_MAX];
    size_t count;
    int32_t answers, longest;
};

static void check_ids(const struct family *family, int32_t answer, const json_t *expected)
{
    int32_t shared = family->starts[0], own = family->starts[answer];
    assert_int_equal(json_array_size(expected), family_length(family, answer));
    for (int32_t i = 0; i < family_length(family, answer); i++) {
        assert_int_equal(json_integer_value(json_array_get(expected, (size_t)i)),
                         family->ids[i < shared ? i : own + i - shared]);
    }
}

static void encode_record(struct records *records, const struct family_encoder *encoder, const json_t *record)
{
    struct err err;
    struct family_answer answers[ANSWERS_MAX];
    bool fits[ANSWERS_MAX];
    const json_t *texts = json_object_get(record, "answers"), *ids = json_object_get(record, "ids");
    int32_t count = (int32_t)json_array_size(texts);
    for (int32_t a = 0; a < count; a++) {
        const json_t *text = json_array_get(texts, (size_t)a);
        answers[a] = (struct family_answer){json_string_value(text), json_string_length(text)};
    }
    struct family *family = &records->families[records->count++];
    must(family_encode(encoder, json_object_get(record, "messages"), answers, count, family, fits, &err));
    assert_int_equal(family->count, count);
    for (int32_t a = 0; a < count; a++) {
        check_ids(family, a, json_array_get(ids, (size_t)a));
    }
    records->answers += count;
    if (family_longest(family) > records->longest) {
        records->longest = family_longest(family);
    }
}

static void open_records(struct records *records, const struct scorer *scorer)
{
    struct err err;
    struct family_encoder *encoder;
    struct family_options options = scorer_family_options(scorer, 0);
    *records = (struct records){.json = json_read_file(fixture_path("tiny-score", "expected.json"), 1 << 20, &err)};
    assert_non_null(records->json);
    must(family_encoder_open(&encoder, &options, &err));
    const json_t *list = json_object_get(records->json, "records"), *record;
    size_t i;
    json_array_foreach(list, i, record) encode_record(records, encoder, record);
    family_encoder_close(encoder);
}

static void close_records(struct records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        family_free(&records->families[i]);
    }
    json_decref(records->json);
}

static void expected_scores(const struct records *records, float *scores)
{
    const json_t *record;
    size_t i, a;
    json_array_foreach(json_object_get(records->json, "records"), i, record)
    {
        const json_t *list = json_object_get(record, "scores"), *score;
        json_array_foreach(list, a, score) *scores++ = (float)json_real_value(score);
    }
}

/* A scorer on its own list of models, loaded. */
struct setting {
    struct backend *backend;
    struct models models;
    struct scorer scorer;
    struct records records;
};

static void open_setting(struct setting *setting, const struct scorer_options *options)
{
    struct err err;
    *setting = (struct setting){.backend = fixture_backend()};
    must(scorer_open(&setting->scorer, options, &setting->models, &err));
    must(models_load(&setting->models, setting->backend, &err));
    must(scorer_load(&setting->scorer, setting->backend, &err));
    open_records(&setting->records, &setting->scorer);
}

static void close_setting(struct setting *setting)
{
    close_records(&setting->records);
    scorer_close(&setting->scorer);
    models_close(&setting->models);
    setting->backend->free(setting->backend);
}

/* Scores of `count` families in passes of at most so many tokens. */
static void score(const struct setting *setting, const struct family *families, size_t count, int32_t tokens,
                  struct pass *given, float *scores)
{
    struct err err;
    struct pass_limits limits = scorer_limits(&setting->scorer, tokens, tokens);
    limits.tokens = tokens;
    struct pass *pass = given;
    struct batch batch;
    if (!given) {
        must(pass_create(&pass, setting->scorer.model, &limits, &err));
    }
    must(batch_create(&batch, limits.tokens, limits.segments, limits.predictions, &err));
    must(scorer_score(&setting->scorer, pass, &batch, families, count, scores, &err));
    batch_free(&batch);
    if (!given) {
        pass_free(pass);
    }
}

static void scores_are_those_of_transformers(void **state)
{
    (void)state;
    const struct scorer_options folders[] = {
        {.folder = fixture_path("tiny-score", "adapter"), .base = temporary("base")},
        {.folder = temporary("merged")},
    };
    for (size_t f = 0; f < 2; f++) {
        struct setting setting;
        open_setting(&setting, &folders[f]);
        float got[64], want[64];
        int32_t count = setting.records.answers;
        assert_int_equal(setting.scorer.adapter != NULL, f == 0);
        expected_scores(&setting.records, want);
        score(&setting, setting.records.families, setting.records.count, 512, NULL, got);
        double difference = largest_difference(got, want, count);
        if (!(difference < 2e-6)) {
            fail_msg("scores of %s differ by %g", folders[f].folder, difference);
        }
        close_setting(&setting);
    }
}

/* Whatever else is scored with it, in passes of whatever size, with the prompt shared or alone: the same bits. */
static void a_score_is_its_own(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    float together[64], apart[64];
    open_setting(&setting,
                 &(struct scorer_options){.folder = fixture_path("tiny-score", "adapter"), .base = temporary("base")});
    const struct records *records = &setting.records;
    size_t size = (size_t)records->answers * sizeof *together;
    score(&setting, records->families, records->count, 512, NULL, together);
    score(&setting, records->families, records->count, records->longest, NULL, apart);
    assert_memory_equal(together, apart, size);
    float *next = apart;
    for (size_t i = 0; i < records->count; i++) {
        for (int32_t a = 0; a < records->families[i].count; a++) {
            const struct family *family = &records->families[i];
            struct family alone = {0};
            struct family_ids prompt = {family->ids, family->shared},
                              answer = {family->ids + family->starts[a], family->starts[a + 1] - family->starts[a]};
            if (prompt.length > 0) {
                must(family_from_ids(&alone, &prompt, &answer, 1, &err));
            }
            score(&setting, prompt.length > 0 ? &alone : family, 1, 512, NULL, next++);
            family_free(&alone);
        }
    }
    assert_memory_equal(together, apart, size);
    struct family none = {0};
    score(&setting, &none, 1, 512, NULL, apart); /* all of its answers were too long */
    close_setting(&setting);
}

/* A policy, the scorer over its base and a scorer with weights of its own, in one pass. */
static void roles_share(void **state)
{
    (void)state;
    struct err err;
    struct models models = {0};
    struct model *policy, *again, *merged;
    struct scorer scorer;
    must(symlink(temporary("base"), temporary("link")));
    must(models_open(&models, temporary("base"), MODELS_VOCABULARY, false, &policy, &err));
    must(models_open(&models, temporary("link"), MODELS_NO_HEAD, true, &again, &err));
    assert_ptr_equal(policy, again);
    must(models_open(&models, temporary("merged/."), MODELS_NO_HEAD, false, &merged, &err));
    must(models_open(&models, temporary("merged"), MODELS_SCORE, false, &again, &err));
    assert_ptr_equal(merged, again);
    must(scorer_open(
        &scorer, &(struct scorer_options){.folder = fixture_path("tiny-score", "adapter"), .base = temporary("link")},
        &models, &err));
    assert_ptr_equal(scorer.model, policy);
    assert_int_equal(models.count, 2);
    assert_true(models.items[0].backward && models.items[0].head == MODELS_VOCABULARY);

    struct setting setting = {.backend = fixture_backend(), .models = models, .scorer = scorer};
    struct memory_plan plan = {0};
    must(models_plan(&models, setting.backend, &plan, &err));
    must(scorer_plan(&scorer, setting.backend, &plan, &err));
    must(models_load(&setting.models, setting.backend, &err));
    must(scorer_load(&setting.scorer, setting.backend, &err));
    size_t taken = 0;
    for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
        taken += policy->regions.plan.bytes[kind] + merged->regions.plan.bytes[kind] +
                 setting.scorer.adapter->regions.plan.bytes[kind];
    }
    assert_int_equal(taken, memory_plan_total(&plan));
    assert_non_null(policy->head.weight);
    assert_null(merged->head.weight);

    open_records(&setting.records, &setting.scorer);
    struct pass_limits limits = {.tokens = 512, .segments = 64, .predictions = 64, .max_rank = 8};
    struct pass *pass;
    float got[64], want[64];
    must(pass_create(&pass, merged, &limits, &err));
    score(&setting, setting.records.families, setting.records.count, 512, pass, got);
    assert_ptr_equal(pass_model(pass), merged);
    score(&setting, setting.records.families, setting.records.count, 512, NULL, want);
    assert_memory_equal(got, want, (size_t)setting.records.answers * sizeof *got);
    pass_free(pass);
    close_setting(&setting);
}

/* A pass that was made for a model of a larger vocabulary serves a reward model, which has no use for its logits. */
static void a_pass_of_a_larger_vocabulary(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    struct model *wide;
    struct pass *pass;
    float got[64], want[64];
    copy_model("tiny-score/base", temporary("wide"));
    struct strbuf config = read_bytes(temporary("wide/config.json"));
    char *vocabulary = strstr(config.data, "\"vocab_size\": 320");
    assert_non_null(vocabulary);
    memcpy(vocabulary, "\"vocab_size\": 352", strlen("\"vocab_size\": 352"));
    write_bytes(temporary("wide/config.json"), config.data, config.length);
    strbuf_free(&config);
    remove_tree(temporary("wide/model.safetensors"));
    must(model_write_random(temporary("wide"), 0.2, 12, &err));

    open_setting(&setting, &(struct scorer_options){.folder = temporary("merged")});
    must(model_open(&wide, temporary("wide"), &err));
    must(model_load(wide, setting.backend, &(struct model_options){0}, &err));
    const struct pass_limits limits = {.tokens = 512, .segments = 64, .predictions = 64};
    must(pass_create(&pass, wide, &limits, &err));
    assert_true(pass_fits(pass, setting.scorer.model));
    score(&setting, setting.records.families, setting.records.count, 512, pass, got);
    assert_ptr_equal(pass_model(pass), wide);
    score(&setting, setting.records.families, setting.records.count, 512, NULL, want);
    assert_memory_equal(got, want, (size_t)setting.records.answers * sizeof *got);
    pass_free(pass);
    model_free(wide);
    close_setting(&setting);
}

/* A run's own adapter: the base and the chat template that it was trained with, and its offset. */
static void runs(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    float plain[64], moved[64];
    const char *run = temporary("run");
    open_setting(&setting,
                 &(struct scorer_options){.folder = fixture_path("tiny-score", "adapter"), .base = temporary("base")});
    score(&setting, setting.records.families, setting.records.count, 512, NULL, plain);
    must(file_make_dirs(run, &err));
    setting.scorer.adapter->score.offset = -0.75;
    must(adapter_save(setting.scorer.adapter, run, temporary("base"), &err));
    int32_t count = setting.records.answers;
    struct hash own = setting.scorer.text.fingerprint;
    close_setting(&setting);

    open_setting(&setting, &(struct scorer_options){.folder = run});
    score(&setting, setting.records.families, setting.records.count, 512, NULL, moved);
    for (int32_t i = 0; i < count; i++) {
        assert_true(fabs((double)plain[i] - 0.75 - (double)moved[i]) < 1e-6);
    }
    assert_memory_equal(&own, &setting.scorer.text.fingerprint, sizeof own);
    close_setting(&setting);

    static const char recipe[] =
        "model_name_or_path: base\noutput_dir: run\ndataset:\n  - path: pairs.jsonl\nchat_template: phi3\n";
    write_bytes(temporary("run/recipe.resolved.yaml"), recipe, strlen(recipe));
    struct model_text phi3;
    must(model_text_open(&phi3, temporary("base"), "phi3", &err));
    const char *const templates[] = {NULL, "chatml"};
    for (int i = 0; i < 2; i++) {
        struct models models = {0};
        struct scorer scorer;
        must(scorer_open(&scorer, &(struct scorer_options){.folder = run, .chat_template = templates[i]}, &models,
                         &err));
        assert_int_equal(memcmp(&scorer.text.fingerprint, &phi3.fingerprint, sizeof own) == 0, i == 0);
        scorer_close(&scorer);
        models_close(&models);
    }
    model_text_close(&phi3);
    remove_tree(run);
}

/* "merged" with a classifier's head of several labels. */
static void make_classifier(const char *folder)
{
    struct err err;
    struct safetensors *files;
    struct safetensor_spec specs[64];
    copy_model("tiny-score/merged", folder);
    must(safetensors_open_folder(&files, temporary("merged"), &err));
    int32_t count = safetensors_count(files);
    assert_in_range(count, 1, 64);
    for (int32_t i = 0; i < count; i++) {
        const struct safetensor *tensor = safetensors_at(files, i);
        specs[i] = copied_tensor(tensor);
        if (strcmp(tensor->name, "score.weight") == 0) {
            specs[i].shape[0] = 4;
            specs[i].shape[1] /= 4;
        }
    }
    must(safetensors_write(temporary("labels/model.safetensors"), specs, count, NULL, &err));
    safetensors_close(files);
}

static void expect_refusal(const char *folder, const char *base, const char *words)
{
    struct err err = {{0}};
    struct models models = {0};
    struct scorer scorer;
    assert_int_equal(scorer_open(&scorer, &(struct scorer_options){.folder = folder, .base = base}, &models, &err), -1);
    if (!strstr(err.text, words)) {
        fail_msg("'%s' does not speak of '%s'", err.text, words);
    }
    models_close(&models);
}

static void refusals(void **state)
{
    (void)state;
    struct err err;
    must(file_make_dirs(temporary("elsewhere"), &err));
    assert_int_equal(chdir(temporary("elsewhere")), 0); /* where the adapter's "base" is not */
    expect_refusal(temporary("base"), NULL, "is a model without a score head");
    expect_refusal(fixture_path("tiny-lora", NULL), fixture_path("tiny-llama", NULL),
                   "is an adapter without a score head");
    expect_refusal(fixture_path("tiny-score", "adapter"), NULL, "--base");
    expect_refusal(fixture_path("tiny-score", "adapter"), temporary("nowhere"), "is no folder");
    expect_refusal(fixture_path("tiny-score", "adapter"), fixture_path("tiny-llama", NULL),
                   "made for another base model");
    expect_refusal(temporary("nowhere"), NULL, "neither a run nor an adapter nor a model");
    make_classifier(temporary("labels"));
    expect_refusal(temporary("labels"), NULL, "has 4 labels");
    must(file_make_dirs(temporary("begun"), &err));
    write_bytes(temporary("begun/recipe.resolved.yaml"), "", 0);
    expect_refusal(temporary("begun"), NULL, "is not finished");

    /* A token that the model has no row for. */
    struct setting setting;
    open_setting(&setting, &(struct scorer_options){.folder = temporary("merged")});
    struct family *family = &setting.records.families[0];
    must(scorer_check(&setting.scorer, family, &err));
    family->ids[2] = setting.scorer.model->config.vocabulary;
    assert_int_equal(scorer_check(&setting.scorer, family, &err), -1);
    assert_non_null(strstr(err.text, "the id 320"));
    close_setting(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_transformers),
        cmocka_unit_test(a_score_is_its_own),
        cmocka_unit_test(roles_share),
        cmocka_unit_test(a_pass_of_a_larger_vocabulary),
        cmocka_unit_test(runs),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
