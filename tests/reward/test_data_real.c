/* Real preferences of $ATTUNE_TEST_DATA, by a real tokenizer: what is in them, counted by hand once, and every answer's
 * words in its tokens. */
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "rankings/set.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "support/real.h"
#include <string.h>

static struct model_text text;
static struct pool *pool;

static struct ranking_set *load(const char *name, enum family_too_long too_long, int32_t max_length)
{
    struct err err;
    struct ranking_set *set;
    struct recipe_dataset entry = {.path = (char *)real_data(name), .weight = 1};
    struct ranking_set_options options = {
        .text = {.tokenizer = text.tokenizer, .chat = text.chat, .max_length = max_length, .too_long = too_long},
        .skip_bad_records = true,
        .pool = pool,
    };
    assert_non_null(entry.path);
    must(ranking_set_load(&set, &(struct recipe_datasets){&entry, 1}, &options, &err));
    return set;
}

/* The tokens of an answer's conversation are its text, up to the end-of-turn token behind the answer. */
static void assert_words(const struct ranking_set *set)
{
    static const char end[] = "<|im_end|>";
    for (size_t i = 0; i < set->count; i++) {
        const struct ranking *ranking = &set->rankings[i];
        const struct family *family = &ranking->family;
        for (int32_t k = 0; k < family->count; k++) {
            struct err err;
            struct strbuf whole = {0};
            size_t own = (size_t)(family->starts[k + 1] - family->starts[k]), length = strlen(ranking->texts[k]);
            int32_t *ids = mem_alloc((size_t)family_length(family, k), sizeof *ids, &err);
            assert_non_null(ids);
            memcpy(ids, family->ids, (size_t)family->shared * sizeof *ids);
            memcpy(ids + family->shared, family->ids + family->starts[k], own * sizeof *ids);
            must(tokenizer_decode(text.tokenizer, ids, (size_t)family_length(family, k), 0, &whole, &err));
            assert_true(whole.length > length + sizeof end - 1);
            assert_string_equal(whole.data + whole.length - (sizeof end - 1), end);
            if (length < RANKING_SHOWN_MAX) {
                assert_memory_equal(whole.data + whole.length - (sizeof end - 1) - length, ranking->texts[k], length);
            }
            strbuf_free(&whole);
            mem_free(ids);
        }
    }
}

static void test_hh(void **state)
{
    (void)state;
    struct ranking_set *set = load("hh-harmless-1156.jsonl.gz", FAMILY_DROP, 0);
    assert_int_equal(set->counts.read, 1156);
    assert_int_equal(set->counts.bad, 7); /* five with two prompts, two with an empty answer */
    assert_int_equal(set->count, 1149);
    assert_int_equal(set->prompts, 1148);
    assert_int_equal(set->pairs, 1149);
    assert_int_equal(set->counts.duplicates, 0);
    assert_int_equal(set->contradicted, 0);
    assert_non_null(strstr(set->sources[0].sentence, "hh records"));
    assert_words(set);

    struct ranking_set *eval;
    struct err err;
    must(ranking_set_split(set, &eval, 0.1, 42, &err));
    assert_int_equal(set->count + eval->count, 1149);
    assert_in_range(eval->count, 105, 125);
    for (size_t i = 0; i < eval->count; i++) {
        for (size_t j = 0; j < set->count; j++) {
            assert_true(eval->rankings[i].opening_hash != set->rankings[j].opening_hash);
        }
    }
    ranking_set_free(eval);
    ranking_set_free(set);
}

static void test_oasst(void **state)
{
    (void)state;
    struct ranking_set *set = load("oasst-ranked-trees-100.jsonl", FAMILY_DROP, 0);
    assert_int_equal(set->count, 212);
    assert_int_equal(set->prompts, 212);
    assert_int_equal(set->answers, 641);
    assert_int_equal(set->pairs, 754);
    assert_int_equal(set->ties, 0);
    assert_int_equal(set->counts.unranked_answers, 1);
    assert_true(set->tokens < set->unshared_tokens);
    assert_words(set);
    ranking_set_free(set);
}

/* With a length of 256 many do not fit; what loses its beginning keeps its end, and no conversation is longer. */
static void test_oasst_cut(void **state)
{
    (void)state;
    struct ranking_set *dropped = load("oasst-ranked-trees-100.jsonl", FAMILY_DROP, 256);
    struct ranking_set *kept = load("oasst-ranked-trees-100.jsonl", FAMILY_KEEP_END, 256);
    assert_true(dropped->count < kept->count && kept->count < 212);
    assert_true(kept->counts.truncated > 0 && dropped->counts.truncated == 0);
    assert_int_equal(dropped->count + (size_t)dropped->counts.too_long, 212);
    assert_true(kept->longest <= 256 && dropped->longest <= 256);
    assert_words(dropped);
    for (size_t i = 0; i < kept->count; i++) {
        const struct family *family = &kept->rankings[i].family;
        for (int32_t k = 0; k < family->count; k++) {
            assert_string_equal(tokenizer_token(text.tokenizer, family->ids[family->starts[k + 1] - 1]), "<|im_end|>");
        }
    }
    ranking_set_free(dropped);
    ranking_set_free(kept);
}

static void test_sharegpt(void **state)
{
    (void)state;
    struct ranking_set *set = load("sharegpt-preference-300.json", FAMILY_DROP, 0);
    assert_int_equal(set->counts.read, 300);
    assert_int_equal(set->count + (size_t)set->counts.bad + (size_t)set->counts.duplicates, 300);
    assert_true(set->count > 290);
    assert_words(set);
    ranking_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hh),
        cmocka_unit_test(test_oasst),
        cmocka_unit_test(test_oasst_cut),
        cmocka_unit_test(test_sharegpt),
    };
    struct err err;
    const char *tokenizer = real_data("tokenizers/smollm2.json");
    if (!tokenizer) {
        return SKIPPED;
    }
    log_set_quiet(true);
    if (model_text_open(&text, tokenizer, "chatml", &err) != 0 || pool_create(&pool, 2, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    model_text_close(&text);
    return failed;
}
