/* tests/text/test_batch.c - segments end to end: positions, parents, and which row predicts what. */
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/data/batch.h"
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASS_TOKENS 768 /* of these tests */

static void open_batch(struct batch *batch, int32_t tokens, int32_t segments, int32_t predictions)
{
    struct err err;
    if (batch_create(batch, tokens, segments, predictions, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void is_prediction(const struct batch *batch, int32_t number, int32_t row, int32_t target, int32_t segment)
{
    assert_true(number < batch->prediction_count);
    assert_int_equal(batch->predictions[number].row, row);
    assert_int_equal(batch->predictions[number].target, target);
    assert_int_equal(batch->predictions[number].segment, segment);
}

/* The picture in batch.h: p p p p a a a b b. */
static void test_prompt_with_two_answers(void **state)
{
    (void)state;
    struct batch batch;
    const int32_t prompt[] = {10, 11, 12, 13}, a[] = {20, 21, 22}, b[] = {30, 31};
    const uint8_t all[] = {1, 1, 1, 1};
    open_batch(&batch, 9, 3, 8);
    assert_int_equal(batch_append(&batch, prompt, NULL, 4, -1, 100), 0);
    assert_int_equal(batch_append(&batch, a, all, 3, 0, 200), 1);
    assert_int_equal(batch_append(&batch, b, all, 2, 0, 300), 2);

    assert_int_equal(batch.tokens, 9);
    assert_int_equal(batch.segment_count, 3);
    assert_memory_equal(batch.ids, ((const int32_t[]){10, 11, 12, 13, 20, 21, 22, 30, 31}), 9 * sizeof(int32_t));
    assert_memory_equal(batch.positions, ((const int32_t[]){0, 1, 2, 3, 4, 5, 6, 4, 5}), 9 * sizeof(int32_t));
    const struct segment expected[] = {{0, 4, -1, 100}, {4, 3, 0, 200}, {7, 2, 0, 300}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(batch.segments[i].start, expected[i].start);
        assert_int_equal(batch.segments[i].length, expected[i].length);
        assert_int_equal(batch.segments[i].parent, expected[i].parent);
        assert_int_equal(batch.segments[i].key, expected[i].key);
    }
    /* Row 3, the prompt's last, predicts the first token of either answer. */
    assert_int_equal(batch.prediction_count, 5);
    is_prediction(&batch, 0, 3, 20, 1);
    is_prediction(&batch, 1, 4, 21, 1);
    is_prediction(&batch, 2, 5, 22, 1);
    is_prediction(&batch, 3, 3, 30, 2);
    is_prediction(&batch, 4, 7, 31, 2);
    batch_free(&batch);
}

static void test_first_token_is_no_target(void **state)
{
    (void)state;
    struct batch batch;
    const int32_t ids[] = {5, 6, 7};
    const uint8_t all[] = {1, 1, 1};
    open_batch(&batch, 6, 2, 4);
    batch_append(&batch, ids, all, 3, -1, 1);
    batch_append(&batch, ids, all, 3, -1, 2); /* nor the first of a second one, whatever stands before it */
    assert_int_equal(batch.prediction_count, 4);
    is_prediction(&batch, 0, 0, 6, 0);
    is_prediction(&batch, 1, 1, 7, 0);
    is_prediction(&batch, 2, 3, 6, 1);
    is_prediction(&batch, 3, 4, 7, 1);
    assert_int_equal(batch.positions[3], 0);
    batch_free(&batch);
}

static void test_only_trained_tokens_are_targets(void **state)
{
    (void)state;
    struct batch batch;
    const int32_t ids[] = {5, 6, 7, 8, 9};
    const uint8_t trained[] = {0, 0, 1, 0, 1};
    open_batch(&batch, 10, 2, 2);
    batch_append(&batch, ids, trained, 5, -1, 1);
    batch_append(&batch, ids, NULL, 5, -1, 1); /* none */
    assert_int_equal(batch.prediction_count, 2);
    is_prediction(&batch, 0, 1, 7, 0);
    is_prediction(&batch, 1, 3, 9, 0);
    batch_free(&batch);
}

static void test_parent_in_the_middle(void **state)
{
    (void)state;
    struct batch batch;
    const int32_t ids[] = {1, 2, 3};
    const uint8_t first[] = {1, 0, 0};
    open_batch(&batch, 8, 3, 1);
    batch_append(&batch, ids, NULL, 3, -1, 1);
    assert_int_equal(batch_append(&batch, ids, NULL, 2, -1, 2), 1);
    assert_int_equal(batch_append(&batch, ids, first, 3, 1, 3), 2);
    assert_memory_equal(batch.positions, ((const int32_t[]){0, 1, 2, 0, 1, 2, 3, 4}), 8 * sizeof(int32_t));
    assert_int_equal(batch.prediction_count, 1);
    is_prediction(&batch, 0, 4, 1, 2);
    batch_free(&batch);
}

static void test_clear_and_reuse(void **state)
{
    (void)state;
    struct batch batch;
    const int32_t ids[] = {4, 5, 6, 7};
    const uint8_t all[] = {1, 1, 1, 1};
    open_batch(&batch, 4, 1, 3);
    for (int32_t length = 4; length >= 1; length--) { /* full each time: clear must give all the room back */
        batch_clear(&batch);
        assert_int_equal(batch_append(&batch, ids, all, length, -1, 9), 0);
        assert_int_equal(batch.tokens, length);
        assert_int_equal(batch.segment_count, 1);
        assert_int_equal(batch.prediction_count, length - 1);
    }
    batch_free(&batch);
    assert_null(batch.ids);
    batch_free(&batch); /* of a freed one: nothing */
}

/* Every allocation in turn fails: -1, a sentence, nothing left allocated (the sanitizer looks). */
/* The first row goes in however long it is, then only what keeps within a pass. */
static void test_passes(void **state)
{
    (void)state;
    int64_t tokens = 0;
    assert_true(batch_takes(&tokens, PASS_TOKENS - 10, PASS_TOKENS));
    assert_false(batch_takes(&tokens, 11, PASS_TOKENS));
    assert_true(batch_takes(&tokens, 10, PASS_TOKENS));
    assert_int_equal(tokens, PASS_TOKENS);
    assert_false(batch_takes(&tokens, 1, PASS_TOKENS));
    tokens = 0;
    assert_true(batch_takes(&tokens, 5 * PASS_TOKENS, PASS_TOKENS));
    assert_false(batch_takes(&tokens, 1, PASS_TOKENS));
    assert_int_equal(tokens, 5 * PASS_TOKENS);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct batch batch;
    struct err err;
    mem_fail_at(0);
    open_batch(&batch, 4, 2, 2);
    long allocations = mem_count();
    batch_free(&batch);
    assert_true(allocations > 0);
    for (long n = 1; n <= allocations; n++) {
        err.text[0] = '\0';
        mem_fail_at(n);
        assert_int_equal(batch_create(&batch, 4, 2, 2, &err), -1);
        assert_true(strlen(err.text) > 0);
        assert_null(batch.ids);
    }
    mem_fail_at(0);
}

/* ---- mistakes of the caller ---- */

static void too_many_tokens(struct batch *batch)
{
    batch_append(batch, (const int32_t[]){1, 2, 3, 4, 5}, NULL, 5, -1, 0);
}

static void too_many_segments(struct batch *batch)
{
    for (int i = 0; i < 4; i++) {
        batch_append(batch, (const int32_t[]){1}, NULL, 1, -1, 0);
    }
}

static void too_many_predictions(struct batch *batch)
{
    batch_append(batch, (const int32_t[]){1, 2, 3}, (const uint8_t[]){1, 1, 1}, 3, -1, 0);
}

static void no_tokens(struct batch *batch)
{
    batch_append(batch, (const int32_t[]){1}, NULL, 0, -1, 0);
}

static void grandchild(struct batch *batch)
{
    for (int32_t parent = -1; parent < 2; parent++) {
        batch_append(batch, (const int32_t[]){1}, NULL, 1, parent, 0);
    }
}

static void its_own_parent(struct batch *batch)
{
    batch_append(batch, (const int32_t[]){1}, NULL, 1, 0, 0);
}

/* A stranger between parent and child: children stand right after their parent. */
static void child_apart(struct batch *batch)
{
    batch_append(batch, (const int32_t[]){1}, NULL, 1, -1, 0);
    batch_append(batch, (const int32_t[]){2}, NULL, 1, -1, 0);
    batch_append(batch, (const int32_t[]){3}, NULL, 1, 0, 0);
}

static bool aborts(void (*mistake)(struct batch *batch))
{
    struct batch batch;
    int status;
    open_batch(&batch, 4, 3, 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        mistake(&batch);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    batch_free(&batch);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_mistakes_abort(void **state)
{
    (void)state;
    assert_true(aborts(too_many_tokens));
    assert_true(aborts(too_many_segments));
    assert_true(aborts(too_many_predictions));
    assert_true(aborts(no_tokens));
    assert_true(aborts(grandchild));
    assert_true(aborts(its_own_parent));
    assert_true(aborts(child_apart));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_with_two_answers),
        cmocka_unit_test(test_first_token_is_no_target),
        cmocka_unit_test(test_only_trained_tokens_are_targets),
        cmocka_unit_test(test_parent_in_the_middle),
        cmocka_unit_test(test_clear_and_reuse),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_mistakes_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
