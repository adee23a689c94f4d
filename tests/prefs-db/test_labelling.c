/* The work of annotators: tasks, leases, overlap, gold, repeats, submitting, undoing. */
#include "prefs-db/helper_prefs.h"
#include "prefs-db/rankings.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

static struct err err;

static struct prefs_task next_task(struct prefs *store, int64_t annotator)
{
    struct prefs_task task = {0};
    int got = prefs_next_task(store, 1, annotator, &task, &err);
    if (got < 0) {
        fail_msg("%s", err.text);
    }
    return task; /* count 0: nothing is left */
}

static int64_t submit(struct prefs *store, int64_t annotator, const struct prefs_judgment *judgment)
{
    int64_t id = 0;
    if (prefs_submit(store, annotator, judgment, &id, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return id;
}

/* Takes and submits one task; returns its item, 0 where nothing was left. */
static int64_t label_one(struct prefs *store, int64_t annotator)
{
    struct prefs_task task = next_task(store, annotator);
    int64_t item = task.count == 0 ? 0 : task.item;
    if (task.count > 0) {
        struct prefs_judgment judgment = ranked_as_shown(&task);
        submit(store, annotator, &judgment);
        prefs_task_free(&task);
    }
    return item;
}

static void set(struct prefs *store, int64_t overlap, int64_t gold, int64_t repeat)
{
    struct prefs_settings settings;
    assert_int_equal(prefs_get_settings(store, 1, &settings, &err), 0);
    settings.overlap = overlap;
    settings.gold_permille = gold;
    settings.repeat_permille = repeat;
    assert_int_equal(prefs_set_settings(store, 1, &settings, &err), 0);
}

static void test_one_vote_each(void **state)
{
    (void)state;
    struct prefs *store = new_store("votes.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL),
            ben = add_person(store, "ben", PREFS_ROLE_ANNOTATOR, NULL);
    int64_t cid = add_person(store, "cid", PREFS_ROLE_ANNOTATOR, NULL);
    add_items(store, 0, 5, 3);
    set(store, 2, 0, 0);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(label_one(store, ann), i);
    }
    assert_int_equal(label_one(store, ann), 0);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(label_one(store, ben), i);
    }
    /* Two votes were asked for and are there. */
    assert_int_equal(label_one(store, cid), 0);
    set(store, 3, 0, 0);
    assert_int_equal(label_one(store, cid), 1);
    set(store, 2, 0, 0);
    assert_int_equal(label_one(store, cid), 0);
    prefs_close(store);
    assert_clean(scratch_path("votes.db"));
}

static void test_a_task_stays_until_it_is_done(void **state)
{
    (void)state;
    struct prefs *store = new_store("lease.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL),
            ben = add_person(store, "ben", PREFS_ROLE_ANNOTATOR, NULL);
    add_items(store, 0, 2, 4);
    prefs_set_clock(store, 1000000);
    struct prefs_task first = next_task(store, ann), again = next_task(store, ann), other = next_task(store, ben);
    assert_int_equal(first.assignment, again.assignment);
    assert_int_equal(first.item, 1);
    assert_int_equal(other.item, 2);
    for (size_t i = 0; i < first.count; i++) {
        assert_string_equal(prefs_task_answer(&first, i), prefs_task_answer(&again, i));
    }
    /* The lease runs out: the item goes to the other one, and a late submit of the first is taken all the same. */
    prefs_set_clock(store, 1000000 + 1801 * 1000);
    struct prefs_task lapsed = next_task(store, ben);
    assert_int_equal(lapsed.item, 1);
    struct prefs_judgment late = ranked_as_shown(&first);
    submit(store, ann, &late);
    prefs_task_free(&first);
    prefs_task_free(&again);
    prefs_task_free(&other);
    prefs_task_free(&lapsed);
    prefs_close(store);
    assert_clean(scratch_path("lease.db"));
}

static void test_a_nonce_counts_once(void **state)
{
    (void)state;
    struct prefs *store = new_store("nonce.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL),
            ben = add_person(store, "ben", PREFS_ROLE_ANNOTATOR, NULL), id = 0;
    add_items(store, 0, 2, 2);
    struct prefs_task task = next_task(store, ann), other = next_task(store, ben);
    struct prefs_judgment judgment = ranked_as_shown(&task);
    int64_t stored = submit(store, ann, &judgment);
    assert_int_equal(submit(store, ann, &judgment), stored);
    assert_int_equal(number_of(scratch_path("nonce.db"), "SELECT count(*) FROM judgment"), 1);
    /* Not the other one's task, not with this nonce. */
    assert_int_equal(prefs_submit(store, ben, &judgment, &id, &err), PREFS_REFUSED);
    struct prefs_judgment stolen = ranked_as_shown(&other);
    memcpy(stolen.nonce, judgment.nonce, sizeof stolen.nonce);
    assert_int_equal(prefs_submit(store, ben, &stolen, &id, &err), PREFS_REFUSED);
    prefs_task_free(&task);
    prefs_task_free(&other);
    prefs_close(store);
}

static void test_undo_brings_the_task_back(void **state)
{
    (void)state;
    struct prefs *store = new_store("undo.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL);
    unsigned char nonce[PREFS_NONCE_SIZE] = {1}, later[PREFS_NONCE_SIZE] = {2};
    add_items(store, 0, 3, 3);
    assert_int_equal(prefs_undo(store, 1, ann, nonce, PREFS_CLIENT_WEB, &err), 0);
    struct prefs_task task = next_task(store, ann);
    struct prefs_judgment judgment = ranked_as_shown(&task);
    judgment.ranks[0] = 2;
    judgment.ranks[1] = 0;
    judgment.ranks[2] = 1;
    judgment.flags[1] = 1u << 2;
    judgment.comment = "w\xc3\xb6rt";
    submit(store, ann, &judgment);
    assert_int_equal(number_of(scratch_path("undo.db"), "SELECT count(*) FROM item WHERE state='done'"), 1);
    struct prefs_task held = next_task(store, ann);
    assert_int_equal(held.item, 2);
    assert_int_equal(prefs_undo(store, 1, ann, nonce, PREFS_CLIENT_WEB, &err), 1);
    assert_int_equal(prefs_undo(store, 1, ann, nonce, PREFS_CLIENT_WEB, &err), 1); /* sent twice, done once */
    assert_int_equal(number_of(scratch_path("undo.db"), "SELECT count(*) FROM judgment"), 2);
    assert_int_equal(number_of(scratch_path("undo.db"), "SELECT count(*) FROM item WHERE state='done'"), 0);
    struct prefs_task back = next_task(store, ann);
    assert_int_equal(back.assignment, task.assignment);
    assert_true(back.revised);
    assert_int_equal(back.previous.ranks[0], 2);
    assert_int_equal(back.previous.ranks[1], 0);
    assert_int_equal(back.previous.ranks[2], 1);
    assert_int_equal(back.previous.flags[1], 1u << 2);
    assert_string_equal(back.previous.comment, "w\xc3\xb6rt");
    struct prefs_judgment better = ranked_as_shown(&back);
    submit(store, ann, &better);
    assert_int_equal(number_of(scratch_path("undo.db"), "SELECT max(revision) FROM judgment"), 3);
    struct prefs_task go_on = next_task(store, ann);
    assert_int_equal(go_on.assignment, held.assignment);
    struct prefs_judgment skip = {
        .assignment = go_on.assignment, .verdict = PREFS_SKIP, .skip_reason = "why", .nonce = {7}};
    submit(store, ann, &skip);
    assert_int_equal(prefs_undo(store, 1, ann, later, PREFS_CLIENT_WEB, &err), 1);
    struct prefs_progress progress;
    assert_int_equal(prefs_get_progress(store, 1, ann, &progress, &err), 0);
    assert_int_equal(progress.judged, 1);
    assert_int_equal(progress.skipped, 0);
    assert_int_equal(progress.remaining, 2);
    prefs_task_free(&task);
    prefs_task_free(&held);
    prefs_task_free(&back);
    prefs_task_free(&go_on);
    prefs_close(store);
    assert_clean(scratch_path("undo.db"));
}

static void test_orders_are_shuffled_and_recorded(void **state)
{
    (void)state;
    struct prefs *store = new_store("order.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL);
    int first_shown[4] = {0};
    add_items(store, 0, 200, 4);
    for (int i = 0; i < 200; i++) {
        struct prefs_task task = next_task(store, ann);
        int slot = -1;
        assert_int_equal(sscanf(prefs_task_answer(&task, 0), "answer %d", &slot), 1);
        first_shown[slot]++;
        struct prefs_judgment judgment = ranked_as_shown(&task);
        submit(store, ann, &judgment);
        prefs_task_free(&task);
    }
    for (int slot = 0; slot < 4; slot++) {
        assert_in_range(first_shown[slot], 20, 90); /* 50 +- 6.5 standard deviations */
    }
    /* Ranks were given in the order shown, so the slot shown first has rank 1. */
    assert_int_equal(number_of(scratch_path("order.db"),
                               "SELECT count(*) FROM assignment a JOIN judgment j ON j.id=a.judgment_id WHERE "
                               "substr(j.ranks, 1+instr('0123456789abcdef', substr(a.shown,1,1))-1, 1)='1'"),
                     200);
    prefs_close(store);
}

static void test_gold_comes_among_the_others(void **state)
{
    (void)state;
    struct prefs *store = new_store("gold.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL);
    add_items(store, 0, 6, 2);
    set(store, 1, 1000, 0);
    assert_int_equal(prefs_add_gold(store, 5, 0, 1, 0, "", &err), 0);
    assert_int_equal(prefs_add_gold(store, 6, 1, 0, 0, "", &err), 0);
    assert_int_equal(prefs_add_gold(store, 6, 1, 2, 0, "", &err), PREFS_REFUSED);
    assert_int_equal(prefs_add_gold(store, 6, -1, -1, 1, "", &err), PREFS_REFUSED);
    assert_int_equal(prefs_add_gold(store, 99, 0, 1, 0, "", &err), PREFS_REFUSED);
    int64_t first = label_one(store, ann), second = label_one(store, ann);
    assert_true((first == 5 && second == 6) || (first == 6 && second == 5));
    for (int i = 1; i <= 4; i++) {
        assert_int_equal(label_one(store, ann), i);
    }
    assert_int_equal(label_one(store, ann), 0);
    /* Every annotator gets gold, whatever the overlap; without the share nobody does. */
    int64_t ben = add_person(store, "ben", PREFS_ROLE_ANNOTATOR, NULL),
            cid = add_person(store, "cid", PREFS_ROLE_ANNOTATOR, NULL);
    assert_in_range(label_one(store, ben), 5, 6);
    set(store, 1, 0, 0);
    assert_int_equal(label_one(store, cid), 0);
    prefs_close(store);
    assert_clean(scratch_path("gold.db"));
}

static void test_repeats_come_late_and_count_no_vote(void **state)
{
    (void)state;
    struct prefs *store = new_store("repeat.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL);
    add_items(store, 0, 40, 2);
    set(store, 1, 0, 1000);
    for (int i = 1; i <= PREFS_REPEAT_AFTER + 1; i++) {
        assert_int_equal(label_one(store, ann), i);
    }
    assert_int_equal(label_one(store, ann), 1);
    assert_int_equal(
        number_of(scratch_path("repeat.db"), "SELECT count(*) FROM assignment WHERE repeat=1 AND attempt=2"), 1);
    assert_int_equal(number_of(scratch_path("repeat.db"), "SELECT count(*) FROM pair"), PREFS_REPEAT_AFTER + 1);
    assert_int_equal(label_one(store, ann), 2);
    prefs_close(store);
    assert_clean(scratch_path("repeat.db"));
}

static void test_wrong_judgments_are_refused(void **state)
{
    (void)state;
    struct prefs *store = new_store("wrong.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL), id = 0;
    add_items(store, 0, 1, 3);
    struct prefs_task task = next_task(store, ann);
    struct prefs_judgment good = ranked_as_shown(&task);
    struct prefs_settings settings;
    static const int ranks[][3] = {{1, 3, 3}, {2, 3, 4}, {1, 0, 0}, {0, 0, 0}, {-1, 1, 2}, {2, 2, 3}};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        struct prefs_judgment bad = good;
        memcpy(bad.ranks, ranks[i], sizeof ranks[i]);
        assert_int_equal(prefs_submit(store, ann, &bad, &id, &err), PREFS_REFUSED);
    }
    struct prefs_judgment thumb = good, strength = good, flags = good, comment = good, skip = good, nobody = good;
    thumb.thumb = 1;
    strength.strength = 2;
    flags.flags[0] = 1u << PREFS_FLAG_COUNT;
    comment.comment = "\xff";
    skip.verdict = PREFS_SKIP;
    nobody.assignment = 77;
    const struct prefs_judgment *const bad[] = {&thumb, &strength, &flags, &comment, &skip, &nobody};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(prefs_submit(store, ann, bad[i], &id, &err), PREFS_REFUSED);
    }
    assert_int_equal(prefs_get_settings(store, 1, &settings, &err), 0);
    settings.allow_ties = settings.allow_skip = false;
    assert_int_equal(prefs_set_settings(store, 1, &settings, &err), 0);
    struct prefs_judgment tie = good;
    tie.ranks[1] = 1;
    tie.ranks[2] = 2;
    assert_int_equal(prefs_submit(store, ann, &tie, &id, &err), PREFS_REFUSED);
    skip.skip_reason = "no";
    assert_int_equal(prefs_submit(store, ann, &skip, &id, &err), PREFS_REFUSED);
    assert_int_equal(number_of(scratch_path("wrong.db"), "SELECT count(*) FROM judgment"), 0);
    submit(store, ann, &good);
    prefs_task_free(&task);
    prefs_close(store);
}

static void test_the_least_sure_items_come_first(void **state)
{
    (void)state;
    struct prefs *store = new_store("active.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL), changed = 0;
    add_items(store, 0, 4, 2);
    set(store, 1, 0, 0);
    /* Answers 1, 2 belong to item 1, and so on. The differences are 3, 0.1, 1; item 4 has one score only. */
    static const double scores[] = {3, 0, 1, 1.1, 2, 1, 5};
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        assert_int_equal(prefs_add_score(store, "rm", (int64_t)i + 1, scores[i], &err), 0);
    }
    assert_int_equal(prefs_add_score(store, "rm", 99, 1, &err), PREFS_REFUSED);
    /* Item 4 alone lacks a score; for another scorer all do. */
    struct prefs_item_view view = {0};
    int64_t unscored = 0;
    assert_int_equal(prefs_count_unscored(store, 1, "rm", &unscored, &err), 0);
    assert_int_equal(unscored, 1);
    assert_int_equal(prefs_next_unscored(store, 1, 0, "rm", &view, &err), 1);
    assert_true(view.item == 4 && view.count == 2 && view.answers[0] == 7 && view.messages.data[0] == '[');
    assert_int_equal(prefs_next_unscored(store, 1, 4, "rm", &view, &err), 0);
    assert_int_equal(prefs_count_unscored(store, 1, "judge", &unscored, &err), 0);
    assert_int_equal(unscored, 4);
    assert_int_equal(prefs_next_unscored(store, 1, 1, "judge", &view, &err), 1);
    assert_int_equal(view.item, 2);
    assert_int_equal(prefs_count_unscored(store, 2, "rm", &unscored, &err), 0);
    assert_int_equal(unscored, 0);
    prefs_item_view_free(&view);
    assert_int_equal(prefs_prioritise(store, 1, "rm", &changed, &err), 0);
    assert_int_equal(changed, 3);
    assert_int_equal(label_one(store, ann), 2);
    assert_int_equal(label_one(store, ann), 3);
    assert_int_equal(label_one(store, ann), 1);
    assert_int_equal(label_one(store, ann), 4);
    prefs_close(store);
}

static void test_labels_of_a_data_set(void **state)
{
    (void)state;
    struct prefs *store = new_store("labels.db");
    int64_t hand = add_person(store, "import", PREFS_ROLE_IMPORT, NULL),
            ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL);
    bool added = false;
    const int ranks[PREFS_ANSWERS_MAX] = {2, 1}, other[PREFS_ANSWERS_MAX] = {1, 2};
    add_items(store, 0, 1, 2);
    assert_int_equal(prefs_add_label(store, 1, hand, ranks, 3, 0, &added, &err), 0);
    assert_true(added);
    assert_int_equal(prefs_add_label(store, 1, hand, ranks, 3, 0, &added, &err), 0);
    assert_false(added);
    assert_int_equal(prefs_add_label(store, 1, hand, other, -1, 0, &added, &err), 0);
    assert_true(added);
    assert_int_equal(prefs_add_label(store, 9, hand, other, -1, 0, &added, &err), PREFS_REFUSED);
    /* A label that came along is no vote of the people who are asked. */
    assert_int_equal(label_one(store, ann), 1);
    prefs_close(store);
    assert_clean(scratch_path("labels.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_vote_each),
        cmocka_unit_test(test_a_task_stays_until_it_is_done),
        cmocka_unit_test(test_a_nonce_counts_once),
        cmocka_unit_test(test_undo_brings_the_task_back),
        cmocka_unit_test(test_orders_are_shuffled_and_recorded),
        cmocka_unit_test(test_gold_comes_among_the_others),
        cmocka_unit_test(test_repeats_come_late_and_count_no_vote),
        cmocka_unit_test(test_wrong_judgments_are_refused),
        cmocka_unit_test(test_the_least_sure_items_come_first),
        cmocka_unit_test(test_labels_of_a_data_set),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
