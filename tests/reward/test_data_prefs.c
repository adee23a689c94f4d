/* The rankings of a prefs.db: what counts, who said it, and what is said where there is nothing to learn from. */
#include "base/mem.h"
#include "base/strbuf.h"
#include "prefs-db/labelling.h"
#include "prefs-db/store.h"
#include "reward/helper_data.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- A database made by hand ---- */

static struct prefs *new_store(const char *name)
{
    struct err err;
    struct prefs *store;
    must(prefs_create(temporary("%s", name), &err));
    must(prefs_open(&store, temporary("%s", name), PREFS_WRITE, &err));
    return store;
}

static int64_t add_project(struct prefs *store, const char *name)
{
    struct err err;
    int64_t project;
    must(prefs_add_project(store, name, &project, &err));
    return project;
}

static int64_t add_person(struct prefs *store, const char *handle)
{
    struct err err;
    int64_t id;
    must(prefs_add_annotator(store, handle, PREFS_ROLE_ANNOTATOR, &id, &err));
    return id;
}

/* An item whose answers are the words of `answers`; slots[s] is where word s stands. */
static int64_t add_item(struct prefs *store, int64_t project, const char *prompt, const char *answers,
                        int slots[PREFS_ANSWERS_MAX])
{
    struct err err;
    struct prefs_new_item item = {.project = project};
    char messages[256];
    int64_t id;
    snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"%s\"}]", prompt);
    must(prefs_add_prompt(store, messages, NULL, 0, &item.prompt, &err));
    for (const char *word = answers; *word;) {
        size_t length = strcspn(word, " ");
        must(prefs_add_answer(store, item.prompt, word, length, &item.answers[item.count++], &err));
        word += length + (word[length] == ' ');
    }
    must(prefs_add_item(store, &item, &id, slots, NULL, &err));
    return id;
}

/* Ranks by word, one digit each ("12-": the third is not ranked); a thumb instead where it is not 0. */
static void judge(struct prefs *store, int64_t annotator, int64_t item, const int *slots, const char *ranks,
                  int strength, int thumb)
{
    struct err err;
    int by_slot[PREFS_ANSWERS_MAX] = {0};
    bool added;
    for (int i = 0; ranks[i]; i++) {
        by_slot[slots[i]] = ranks[i] == '-' ? 0 : ranks[i] - '0';
    }
    must(prefs_add_label(store, item, annotator, by_slot, strength, thumb, &added, &err));
    assert_true(added);
}

static void label(struct prefs *store, int64_t project, int64_t annotator, const char *prompt, const char *answers,
                  const char *ranks, int strength)
{
    int slots[PREFS_ANSWERS_MAX];
    int64_t item = add_item(store, project, prompt, answers, slots);
    judge(store, annotator, item, slots, ranks, strength, 0);
}

/* ---- What counts ---- */

static void test_judgments(void **state)
{
    (void)state;
    struct prefs *store = new_store("judged.db");
    int64_t project = add_project(store, "default"), ann = add_person(store, "ann"), ben = add_person(store, "ben");
    int slots[PREFS_ANSWERS_MAX];
    int64_t item = add_item(store, project, "Hi", "one two three four", slots);
    judge(store, ann, item, slots, "2131", -1, 0);
    judge(store, ben, item, slots, "123-", -1, 0);
    label(store, project, ann, "Ho", "good bad", "12", 3);
    prefs_close(store);

    struct opened_data opened = data_open("dataset: @/judged.db\n");
    const struct ranking_set *set = opened.data.train;
    assert_int_equal(set->count, 3);
    const struct ranking *rankings = set->rankings;
    assert_string_equal(rankings[0].annotator, "ann");
    assert_int_equal(rankings[0].family.count, 4);
    assert_int_equal(rankings[0].pairs, 5);
    assert_int_equal(rankings[0].ties, 1);
    assert_string_equal(data_shown(&rankings[1]), "Hi: 1 one, 2 two, 3 three");
    assert_string_equal(data_shown(&rankings[2]), "Ho: 1 good, 2 bad");
    assert_int_equal(rankings[2].strength, 3);
    assert_int_equal(set->counts.unranked_answers, 1);
    assert_int_equal(set->counts.read, 3);
    assert_non_null(strstr(set->sources[0].sentence, "judged.db: project 'default', judgments of 2 annotators"));
    data_close(&opened);

    opened = data_open("dataset:\n  - {path: @/judged.db, annotators: [ben], format: prefs}\n");
    assert_string_equal(data_shown_all(opened.data.train), "Hi: 1 one, 2 two, 3 three");
    data_close(&opened);
    data_refuse("dataset:\n  - {path: @/judged.db, annotators: [eve]}\n", "no annotator 'eve'", "it has 'ann', 'ben'",
                NULL);
    data_refuse("dataset:\n  - {path: @/judged.db, project: other}\n", "no project 'other'; it has 'default'", NULL);
    data_refuse("dataset:\n  - {path: @/judged.db, split: eval}\n", "no split 'eval'", "train, valid and test", NULL);
    data_refuse("dataset:\n  - {path: @/judged.db, format: hh}\n", "is a prefs.db, and no file of format 'hh'", NULL);
}

static void test_agreement(void **state)
{
    (void)state;
    struct prefs *store = new_store("agreed.db");
    int64_t project = add_project(store, "default"), people[3];
    const char *const handles[] = {"a", "b", "c"}, *const ranks[] = {"123", "123", "132"};
    int slots[PREFS_ANSWERS_MAX];
    int64_t item = add_item(store, project, "Hi", "x y z", slots), other = add_item(store, project, "Ho", "x y", slots);
    for (int i = 0; i < 3; i++) {
        people[i] = add_person(store, handles[i]);
        add_item(store, project, "Hi", "x y z", slots);
        judge(store, people[i], item, slots, ranks[i], -1, 0);
    }
    add_item(store, project, "Ho", "x y", slots);
    judge(store, people[0], other, slots, "12", -1, 0);
    judge(store, people[1], other, slots, "21", -1, 0);
    prefs_close(store);

    struct opened_data opened = data_open("dataset: @/agreed.db\n");
    const struct ranking_set *set = opened.data.train;
    assert_int_equal(set->count, 5);
    for (size_t i = 0; i < 5; i++) { /* two of three pairs of answers alike by all, the third by one pair of three */
        assert_true(fabs(set->rankings[i].agreement - (i < 3 ? 7.0 / 9.0 : 0)) < 1e-12);
    }
    assert_int_equal(set->contradicted_pairs, 2);
    assert_int_equal(set->contradicted, 5);
    assert_true(fabs(set->best_accuracy - 9.0 / 11.0) < 1e-12);
    data_close(&opened);

    opened = data_open("dataset:\n  - {path: @/agreed.db, min_agreement: 0.5}\n");
    assert_int_equal(opened.data.train->count, 3);
    data_close(&opened);
    data_refuse("dataset:\n  - {path: @/agreed.db, min_agreement: 0.9}\n",
                "no judgment that counts in project 'default'", "with the entry's split, annotators and min_agreement",
                NULL);
}

/* The order in which answers were shown travels with them, and what was undone does not count. */
static void test_labelled_in_order(void **state)
{
    (void)state;
    struct prefs *store = new_store("shown.db");
    struct err err;
    int64_t project = add_project(store, "default"), ann = add_person(store, "ann"), id;
    int slots[PREFS_ANSWERS_MAX];
    add_item(store, project, "Hi", "one two three", slots);
    struct prefs_task task = {0};
    assert_int_equal(prefs_next_task(store, project, ann, &task, &err), 1);
    struct prefs_judgment judgment = {.assignment = task.assignment,
                                      .nonce = {1},
                                      .ranks = {3, 1, 2},
                                      .strength = -1,
                                      .active_ms = -1,
                                      .wall_ms = -1};
    must(prefs_submit(store, ann, &judgment, &id, &err));
    char expected[128];
    snprintf(expected, sizeof expected, "Hi: 1 %s, 2 %s, 3 %s", prefs_task_answer(&task, 1),
             prefs_task_answer(&task, 2), prefs_task_answer(&task, 0));

    struct opened_data opened = data_open("dataset: @/shown.db\n");
    const struct ranking *ranking = &opened.data.train->rankings[0];
    assert_string_equal(data_shown(ranking), expected);
    assert_int_equal(ranking->positions[0], 1);
    assert_int_equal(ranking->positions[1], 2);
    assert_int_equal(ranking->positions[2], 0);
    assert_int_equal(ranking->place, id);
    data_close(&opened);

    const unsigned char nonce[PREFS_NONCE_SIZE] = {2};
    assert_int_equal(prefs_undo(store, project, ann, nonce, PREFS_CLIENT_WEB, &err), 1);
    prefs_task_free(&task);
    prefs_close(store);
    data_refuse("dataset: @/shown.db\n", "holds no judgment that counts", "attune prefs serve", NULL);
}

static void test_all_projects_or_one(void **state)
{
    (void)state;
    struct prefs *store = new_store("two.db");
    int64_t one = add_project(store, "one"), empty = add_project(store, "empty"), two = add_project(store, "two");
    int64_t ann = add_person(store, "ann");
    assert_true(empty > one);
    label(store, one, ann, "Hi", "good bad", "12", -1);
    label(store, two, ann, "Ho", "yes no", "21", -1);
    prefs_close(store);

    struct opened_data opened = data_open("dataset: @/two.db\n");
    assert_string_equal(data_shown_all(opened.data.train), "Hi: 1 good, 2 bad / Ho: 1 no, 2 yes");
    assert_non_null(strstr(opened.data.train->sources[0].sentence, "project 'one', 'empty', 'two'"));
    data_close(&opened);
    opened = data_open("dataset:\n  - {path: @/two.db, project: two}\n");
    assert_string_equal(data_shown_all(opened.data.train), "Ho: 1 no, 2 yes");
    data_close(&opened);
    data_refuse("dataset:\n  - {path: @/two.db, project: empty}\n", "no judgment that counts in project 'empty'", NULL);
}

static void test_thumbs(void **state)
{
    (void)state;
    struct prefs *store = new_store("thumbs.db");
    int64_t project = add_project(store, "default"), ann = add_person(store, "ann");
    const char *const answers[] = {"good", "bad", "poor"};
    int slots[PREFS_ANSWERS_MAX];
    for (int i = 0; i < 3; i++) {
        int64_t item = add_item(store, project, "Hi", answers[i], slots);
        judge(store, ann, item, slots, "1", -1, i == 0 ? 1 : -1);
    }
    prefs_close(store);
    struct opened_data opened = data_open("dataset: @/thumbs.db\n");
    const struct ranking *ranking = &opened.data.train->rankings[0];
    assert_int_equal(opened.data.train->count, 1);
    assert_string_equal(ranking->texts[0], "good");
    assert_int_equal(ranking->pairs, 2);
    assert_int_equal(opened.data.train->counts.thumbs, 3);
    data_close(&opened);
}

/* The database has its own splits, by prompt; an entry without one takes them all, but for the prompts of eval. */
static void test_splits(void **state)
{
    (void)state;
    struct prefs *store = new_store("split.db");
    int64_t project = add_project(store, "default"), ann = add_person(store, "ann");
    for (int i = 0; i < 60; i++) {
        char prompt[32];
        snprintf(prompt, sizeof prompt, "prompt %d", i);
        label(store, project, ann, prompt, "good bad", "12", -1);
    }
    prefs_close(store);
    struct opened_data opened = data_open("dataset:\n  - {path: @/split.db, split: train}\n"
                                          "eval_dataset:\n  - {path: @/split.db, split: valid}\n");
    size_t train = opened.data.train->count, valid = opened.data.eval->count;
    assert_true(train > valid && valid > 0 && train + valid < 60);
    assert_non_null(strstr(opened.data.train->sources[0].sentence, "split train"));
    data_close(&opened);
    opened = data_open("dataset: @/split.db\neval_dataset:\n  - {path: @/split.db, split: valid}\n");
    assert_int_equal(opened.data.train->count, 60 - valid);
    assert_int_equal(opened.data.eval->count, valid);
    data_close(&opened);
}

/* ---- Nothing to learn from ---- */

static void test_empty(void **state)
{
    (void)state;
    struct prefs *store = new_store("empty.db");
    prefs_close(store);
    data_refuse("dataset: @/empty.db\n", "dataset: ", "empty.db is empty: it has no project yet", NULL);

    store = new_store("unlabelled.db");
    int slots[PREFS_ANSWERS_MAX];
    int64_t project = add_project(store, "default"), item = add_item(store, project, "Hi", "good bad", slots);
    prefs_close(store);
    data_refuse("dataset: @/unlabelled.db\n", "no judgment that counts in project 'default'; have answers labelled",
                NULL);

    struct err err;
    must(prefs_open(&store, temporary("unlabelled.db"), PREFS_WRITE, &err));
    judge(store, add_person(store, "ann"), item, slots, "11", 0, 0);
    prefs_close(store);
    data_refuse("dataset: @/unlabelled.db\n", "all of its 1 judgments are ties; ties: half", NULL);
    struct opened_data opened = data_open("dataset: @/unlabelled.db\nties: half\n");
    assert_int_equal(opened.data.train->ties, 1);
    data_close(&opened);

    write_bytes(temporary("broken.db"), "SQLite format 3\0 and nothing else", 34);
    data_refuse("dataset: @/broken.db\n", "dataset: ", "broken.db", "not", NULL);
}

static void test_allocations_may_fail(void **state)
{
    (void)state;
    struct prefs *store = new_store("memory.db");
    int64_t project = add_project(store, "default");
    label(store, project, add_person(store, "ann"), "Hi", "good bad", "12", -1);
    prefs_close(store);
    struct err err;
    struct model_text text;
    must(model_text_open(&text, temporary("model"), NULL, &err));
    bool done = false;
    for (long n = 1; !done; n++) {
        char *annotators[] = {"ann"};
        struct recipe_dataset entry = {
            .path = (char *)temporary("memory.db"), .weight = 1, .annotators = {annotators, 1}};
        struct ranking_set_options options = {.text = {.tokenizer = text.tokenizer, .chat = text.chat},
                                              .skip_bad_records = true};
        struct ranking_set *set = NULL;
        mem_fail_at(n);
        int result = ranking_set_load(&set, &(struct recipe_datasets){&entry, 1}, &options, &err);
        done = mem_count() < n;
        mem_fail_at(0);
        if (result != (done ? 0 : -1)) {
            fail_msg("allocation %ld failed unnoticed", n);
        }
        ranking_set_free(set);
    }
    model_text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judgments),
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_labelled_in_order),
        cmocka_unit_test(test_all_projects_or_one),
        cmocka_unit_test(test_thumbs),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, data_setup, temporary_teardown);
}
