/* metrics.jsonl: what stands in it, and how a resumed run cuts it. */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include "train/metrics.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
    struct err err;
    assert_int_equal(file_write_whole(path, text, strlen(text), &err), 0);
}

static void assert_holds(const char *path, const char *text)
{
    struct err err;
    struct strbuf whole = {0};
    assert_int_equal(file_read(&whole, path, 1 << 20, &err), 0);
    assert_string_equal(strbuf_text(&whole), text);
    strbuf_free(&whole);
}

static void put(struct metrics *metrics, int64_t step, double loss)
{
    struct err err;
    metrics_begin(metrics, step, (double)step / 4);
    metrics_timing(metrics, "seconds", 1.25);
    metrics_real(metrics, "loss", loss);
    assert_int_equal(metrics_end(metrics, &err), 0);
}

static void records(void **state)
{
    (void)state;
    struct metrics *metrics;
    struct err err;
    unlink(temporary("m.jsonl"));
    assert_int_equal(metrics_open(&metrics, temporary("m.jsonl"), &err), 0);
    put(metrics, 1, 0.1);
    metrics_begin(metrics, 2, 0.5);
    metrics_real(metrics, "loss", NAN);
    metrics_real(metrics, "grad_norm", -INFINITY);
    metrics_timing(metrics, "tokens_per_second", 290.125);
    metrics_whole(metrics, "num_tokens", 9007199254740993);
    metrics_text(metrics, "note", "a \"quoted\"\nline");
    metrics_timing(metrics, "peak_memory_mib", 1e-7);
    assert_int_equal(metrics_end(metrics, &err), 0);
    assert_int_equal(metrics_sync(metrics, &err), 0);
    assert_holds(
        temporary("m.jsonl"), /* flushed: read before it is closed */
        "{\"step\": 1, \"epoch\": 0.25, \"loss\": 0.1, \"seconds\": 1.25}\n"
        "{\"step\": 2, \"epoch\": 0.5, \"loss\": null, \"grad_norm\": null, \"num_tokens\": 9007199254740993, "
        "\"note\": \"a \\\"quoted\\\"\\nline\", \"tokens_per_second\": 290.125, \"peak_memory_mib\": 1.0e-07}\n");
    metrics_close(metrics);
    assert_int_equal(metrics_open(&metrics, temporary("m.jsonl"), &err), 0);
    put(metrics, 3, 1);
    metrics_close(metrics);
    struct strbuf whole = {0};
    assert_int_equal(file_read(&whole, temporary("m.jsonl"), 1 << 20, &err), 0);
    assert_says(strbuf_text(&whole), "{\"step\": 1, ", "\n{\"step\": 3, \"epoch\": 0.75, \"loss\": 1.0, ", NULL);
    strbuf_free(&whole);
}

static void cuts_back(void **state)
{
    (void)state;
    const char *path = temporary("cut.jsonl");
    const char *text = "{\"step\": 0, \"eval_loss\": 2}\n{\"step\":2,  \"loss\": 1e-1}\n{\"step\": 4, \"loss\": 3}\n"
                       "{\"step\": 4, \"eval_loss\": 1.50}\n{\"step\": 6, \"loss\": 3}\n";
    struct err err;
    write_file(path, text);
    assert_int_equal(metrics_cut(path, 6, &err), 0);
    assert_holds(path, text);
    assert_int_equal(metrics_cut(path, 4, &err), 0);
    assert_holds(path, "{\"step\": 0, \"eval_loss\": 2}\n{\"step\":2,  \"loss\": 1e-1}\n{\"step\": 4, \"loss\": 3}\n"
                       "{\"step\": 4, \"eval_loss\": 1.50}\n");
    assert_int_equal(metrics_cut(path, 3, &err), 0);
    assert_holds(path, "{\"step\": 0, \"eval_loss\": 2}\n{\"step\":2,  \"loss\": 1e-1}\n");
    write_file(path, "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3, \"lo");
    assert_int_equal(metrics_cut(path, 9, &err), 0);
    assert_holds(path, "{\"step\": 1}\n{\"step\": 2}\n");
    assert_int_equal(metrics_cut(path, 0, &err), 0);
    assert_holds(path, "");
    assert_int_equal(metrics_cut(path, 0, &err), 0);
    assert_int_equal(metrics_cut(temporary("never-written.jsonl"), 5, &err), 0);
    assert_false(file_exists(temporary("never-written.jsonl")));
}

static void leaves_what_it_cannot_read(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "{\"step\": 1}\nnonsense\n{\"step\": 2}\n", "{\"step\": 1}\n{\"loss\": 1}\n",   "{\"step\": 1}\n[]\n",
        "{\"step\": 1}\n{\"step\": -1}\n",          "{\"step\": 1}\n{\"step\": 1.5}\n", "{\"step\": 1}\n\n"};
    struct err err;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        write_file(temporary("b.jsonl"), broken[i]);
        assert_int_equal(metrics_cut(temporary("b.jsonl"), 9, &err), -1);
        assert_says(err.text, "b.jsonl:2", "mend the line or remove the file", NULL);
        assert_holds(temporary("b.jsonl"), broken[i]);
    }
}

static void cutting_fails_whole(void **state)
{
    (void)state;
    const char *text = "{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n";
    struct err err;
    long n = 1;
    for (bool done = false; !done; n++) {
        write_file(temporary("f.jsonl"), text);
        file_fail_at(n);
        int status = metrics_cut(temporary("f.jsonl"), 2, &err);
        done = file_count() < n;
        file_fail_at(0);
        assert_int_equal(status, done ? 0 : -1);
        struct strbuf whole = {0};
        assert_int_equal(file_read(&whole, temporary("f.jsonl"), 1 << 20, &err), 0);
        bool old = strcmp(strbuf_text(&whole), text) == 0,
             cut = strcmp(strbuf_text(&whole), "{\"step\": 1}\n{\"step\": 2}\n") == 0;
        assert_true(done ? cut : old || cut);
        strbuf_free(&whole);
    }
    assert_true(n > 3);
}

static void without_memory(void **state)
{
    (void)state;
    struct err err;
    long n = 1;
    for (bool done = false; !done; n++) {
        struct metrics *metrics = NULL;
        write_file(temporary("n.jsonl"), "{\"step\": 1}\n");
        mem_fail_at(n);
        int status = metrics_open(&metrics, temporary("n.jsonl"), &err);
        if (status == 0) {
            metrics_begin(metrics, 2, 1);
            metrics_real(metrics, "loss", 2);
            metrics_timing(metrics, "seconds", 1);
            status = metrics_end(metrics, &err);
        }
        done = mem_count() < n;
        mem_fail_at(0);
        metrics_close(metrics);
        assert_int_equal(status, done ? 0 : -1);
        assert_holds(temporary("n.jsonl"),
                     done ? "{\"step\": 1}\n{\"step\": 2, \"epoch\": 1.0, \"loss\": 2.0, \"seconds\": 1.0}\n"
                          : "{\"step\": 1}\n");
    }
    assert_true(n > 3);
}

/* Keeps the last record, or fails. */
static int keep_record(void *context, const char *record, size_t length, struct err *err)
{
    struct strbuf *kept = context;
    if (!kept) {
        return err_set(err, "the sink is full");
    }
    strbuf_clear(kept);
    strbuf_append(kept, record, length);
    return 0;
}

static void a_sink_gets_each_record(void **state)
{
    (void)state;
    struct metrics *metrics;
    struct err err;
    struct strbuf kept = {0};
    unlink(temporary("s.jsonl"));
    assert_int_equal(metrics_open(&metrics, temporary("s.jsonl"), &err), 0);
    put(metrics, 1, 0.5);
    metrics_set_sink(metrics, keep_record, &kept);
    put(metrics, 2, 0.25);
    assert_string_equal(strbuf_text(&kept), "{\"step\": 2, \"epoch\": 0.5, \"loss\": 0.25, \"seconds\": 1.25}\n");
    metrics_set_sink(metrics, keep_record, NULL);
    metrics_begin(metrics, 3, 1);
    assert_int_equal(metrics_end(metrics, &err), -1);
    assert_string_equal(err.text, "the sink is full");
    metrics_close(metrics);
    strbuf_free(&kept);
}

static void bad_places(void **state)
{
    (void)state;
    struct metrics *metrics;
    struct err err;
    assert_int_equal(metrics_open(&metrics, temporary("no/such/folder.jsonl"), &err), -1);
    assert_says(err.text, "folder.jsonl", "No such file", NULL);
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(metrics_open(&metrics, "/dev/full", &err), 0);
        metrics_begin(metrics, 1, 1);
        assert_int_equal(metrics_end(metrics, &err), -1);
        assert_says(err.text, "/dev/full", "No space left", NULL);
        metrics_close(metrics);
    }
    metrics_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(cuts_back),
        cmocka_unit_test(leaves_what_it_cannot_read),
        cmocka_unit_test(cutting_fails_whole),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(a_sink_gets_each_record),
        cmocka_unit_test(bad_places),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
