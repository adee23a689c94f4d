/* The allocator: zeroed, checked against overflow, failing where a test asks it to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"
#include <cmocka.h>
#include <string.h>

static void memory_is_zero(void **state)
{
    (void)state;
    struct err err;
    for (size_t size = 0; size < 300; size += 37) {
        unsigned char *memory = mem_alloc(size, 3, &err);
        assert_non_null(memory);
        for (size_t i = 0; i < size * 3; i++) {
            assert_int_equal(memory[i], 0);
        }
        mem_free(memory);
    }
    mem_free(NULL);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    struct err err;
    /* volatile: the compiler would warn that these cannot succeed */
    volatile size_t huge = SIZE_MAX / 2 + 1;
    assert_null(mem_alloc(huge, 2, &err)); /* wraps to 0 */
    assert_non_null(strstr(err.text, "out of memory"));
    assert_null(mem_alloc(huge, 1, &err));
    assert_null(mem_alloc_aligned(huge, 2, 64, &err));
    assert_null(mem_alloc_aligned(huge, 1, 64, &err));
    size_t capacity = 0;
    assert_null(mem_grow(NULL, &capacity, huge, 4, &err));
    assert_int_equal(capacity, 0);
    assert_null(mem_copy_string("x", huge + huge - 1, &err));
}

static void aligned_memory_is_aligned(void **state)
{
    (void)state;
    struct err err;
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        unsigned char *memory = mem_alloc_aligned(alignment + 5, 3, alignment, &err);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % alignment, 0);
        for (size_t i = 0; i < (alignment + 5) * 3; i++) {
            assert_int_equal(memory[i], 0);
        }
        mem_free(memory);
    }
}

static void growing_keeps_and_clears(void **state)
{
    (void)state;
    struct err err;
    size_t capacity = 0;
    int *numbers = NULL;
    int moves = 0;
    for (size_t count = 1; count <= 5000; count++) {
        size_t before = capacity;
        int *grown = mem_grow(numbers, &capacity, count, sizeof *numbers, &err);
        assert_non_null(grown);
        assert_true(capacity >= count);
        moves += capacity != before;
        numbers = grown;
        for (size_t i = before; i < capacity; i++) {
            assert_int_equal(numbers[i], 0);
        }
        numbers[count - 1] = (int)count;
    }
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(numbers[i], (int)i + 1);
    }
    assert_in_range(moves, 2, 16); /* doubling */
    mem_fail_at(1);
    size_t before = capacity;
    assert_null(mem_grow(numbers, &capacity, capacity + 1, sizeof *numbers, &err));
    mem_fail_at(0);
    assert_int_equal(capacity, before);
    assert_int_equal(numbers[4999], 5000); /* still valid */
    mem_free(numbers);
}

static void strings_are_copied(void **state)
{
    (void)state;
    struct err err;
    char *copy = mem_copy_string("token\0izer", 10, &err);
    assert_memory_equal(copy, "token\0izer", 11);
    mem_free(copy);
    copy = mem_copy_string(NULL, 0, &err);
    assert_string_equal(copy, "");
    mem_free(copy);
}

static void only_the_nth_fails(void **state)
{
    (void)state;
    struct err err = {.text = "untouched"};
    mem_fail_at(3);
    for (int i = 1; i <= 5; i++) {
        void *memory = mem_alloc(1, 1, &err);
        assert_true((memory == NULL) == (i == 3));
        assert_int_equal(mem_count(), i);
        mem_free(memory);
    }
    assert_non_null(strstr(err.text, "out of memory"));
    mem_fail_at(0);
    assert_int_equal(mem_count(), 0);
}

/* Fails each allocation of a JSON text in turn: every time an error and no leak (the sanitizer sees to that), at last
 * success. */
static void jansson_is_hooked(void **state)
{
    (void)state;
    static const char text[] = "{\"name\": [1, 2.5, \"three\", {\"four\": null}], \"other\": \"\\u00e9\"}";
    mem_hook_libraries();
    long failing = 0;
    json_t *value = NULL;
    while (!value) {
        failing++;
        assert_in_range(failing, 1, 1000);
        mem_fail_at(failing);
        struct err err = {.text = ""};
        value = json_read_text(text, sizeof text - 1, "text", &err);
        assert_true(value || strstr(err.text, "out of memory"));
    }
    mem_fail_at(0);
    assert_in_range(failing, 10, 1000);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zero),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(growing_keeps_and_clears),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(only_the_nth_fails),
        cmocka_unit_test(jansson_is_hooked),
        cmocka_unit_test(aligned_memory_is_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
