/* tests/support/tiny_text.c - see tiny_text.h. */
#include "support/tiny_text.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/init.h"
#include "support/cmocka.h"
#include "support/fixture.h"

void tiny_text_make(const char *folder)
{
    struct err err;
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json"};
    must(file_make_dirs(folder, &err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *to = file_join(folder, names[i], &err);
        assert_non_null(to);
        must(file_copy(fixture_path("tiny-text", names[i]), to, &err));
        mem_free(to);
    }
    must(model_write_random(folder, TINY_TEXT_DEVIATION, 11, &err));
}
