/* Fingerprints: the published values of XXH3, and what hash_text() prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include <cmocka.h>
#include <string.h>

static void known_values(void **state)
{
    (void)state;
    char text[HASH_TEXT_SIZE];
    hash_text(text, hash_bytes("", 0));
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f"); /* as `xxhsum -H2` prints it for an empty file */
    assert_int_equal(hash_u64("", 0, 0), UINT64_C(0x2d06800538d394c2));
    hash_text(text, (struct hash){.high = 1, .low = 0xab});
    assert_string_equal(text, "000000000000000100000000000000ab");
}

static void seed_and_bytes_count(void **state)
{
    (void)state;
    assert_int_not_equal(hash_u64("token", 5, 0), hash_u64("token", 5, 1));
    assert_int_not_equal(hash_u64("token", 5, 0), hash_u64("token", 4, 0));
    char bytes[300] = {0};
    struct hash before = hash_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 1;
        struct hash after = hash_bytes(bytes, sizeof bytes);
        assert_true(after.high != before.high && after.low != before.low);
        bytes[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_values), cmocka_unit_test(seed_and_bytes_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
