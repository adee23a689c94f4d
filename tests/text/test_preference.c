/* The preference formats: what each gives, what is rejected and why, and the real data sets where they are. */
#include "base/file.h"
#include "support/cmocka.h"
#include "text/data/preference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct err err;
static char path[] = "/tmp/attune-preference-XXXXXX";

static struct preference_reader *reader_of(const char *text, enum preference_format format)
{
    struct preference_reader *reader = NULL;
    assert_int_equal(file_write_whole(path, text, strlen(text), &err), 0);
    if (preference_open(&reader, path, format, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return reader;
}

static const struct preference *only_record(struct preference_reader *reader, enum preference_format format)
{
    const struct preference *record = NULL;
    int got = preference_next(reader, &record, &err);
    if (got != PREFERENCE_RECORD) {
        fail_msg("%s", got == PREFERENCE_END ? "no record" : err.text);
    }
    assert_string_equal(preference_format_name(preference_reader_format(reader)), preference_format_name(format));
    return record;
}

static const char *message(const struct preference *record, size_t turn, const char *role)
{
    const json_t *at = json_array_get(record->messages, turn);
    assert_string_equal(json_string_value(json_object_get(at, "role")), role);
    return json_string_value(json_object_get(at, "content"));
}

/* One pair that every format of pairs tells: "Hi" -> "good" beats "bad". */
static void test_formats_of_pairs(void **state)
{
    (void)state;
    static const struct {
        enum preference_format format;
        const char *line;
    } cases[] = {
        {PREFERENCE_TRL, "{\"prompt\":\"Hi\",\"chosen\":\"good\",\"rejected\":\"bad\"}"},
        {PREFERENCE_TRL, "{\"prompt\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"chosen\":[{\"role\":\"assistant\","
                         "\"content\":\"good\"}],"
                         "\"rejected\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"b\"},{"
                         "\"type\":\"text\",\"text\":\"ad\"}]}]}"},
        /* The prompt once more at the head of both lists. */
        {PREFERENCE_TRL,
         "{\"prompt\":\"Hi\",\"chosen\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":"
         "\"good\"}],"
         "\"rejected\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"bad\"}]}"},
        {PREFERENCE_TRL, "{\"prompt\":\"\\n\\nHuman: Hi\\n\\nAssistant:\",\"chosen\":\"good\",\"rejected\":\"bad\"}"},
        {PREFERENCE_TRL_IMPLICIT,
         "{\"chosen\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"good\"}],"
         "\"rejected\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"bad\"}]}"},
        {PREFERENCE_SHAREGPT,
         "{\"conversations\":[{\"from\":\"human\",\"value\":\"Hi\"}],\"chosen\":{\"from\":\"gpt\",\"value\":\"good\"},"
         "\"rejected\":{\"from\":\"gpt\",\"value\":\"bad\"}}"},
        {PREFERENCE_HH,
         "{\"chosen\":\"\\n\\nHuman: Hi\\n\\nAssistant: good\",\"rejected\":\"\\n\\nHuman: Hi\\n\\nAssistant: bad\"}"},
        {PREFERENCE_PAIRS, "{\"prompt\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"chosen\":\"good\",\"rejected\":"
                           "\"bad\",\"tie\":false,\"rank_gap\":1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct preference_reader *reader = reader_of(cases[i].line, PREFERENCE_AUTO);
        const struct preference *record = only_record(reader, cases[i].format);
        assert_int_equal(json_array_size(record->messages), 1);
        assert_string_equal(message(record, 0, "user"), "Hi");
        assert_int_equal(record->count, 2);
        assert_string_equal(record->answers[0].text, "good");
        assert_string_equal(record->answers[1].text, "bad");
        assert_int_equal(record->answers[0].rank, 1);
        assert_int_equal(record->answers[1].rank, 2);
        assert_int_equal(record->strength, -1);
        assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_END);
        preference_close(reader);
    }
}

static void test_kto_and_ties(void **state)
{
    (void)state;
    struct preference_reader *reader =
        reader_of("{\"prompt\":\"Hi\",\"completion\":\"ok\",\"label\":false}\n", PREFERENCE_AUTO);
    const struct preference *record = only_record(reader, PREFERENCE_KTO);
    assert_int_equal(record->count, 1);
    assert_int_equal(record->thumb, -1);
    preference_close(reader);
    reader = reader_of(
        "{\"prompt\":\"Hi\",\"chosen\":\"a\",\"rejected\":\"b\",\"tie\":true,\"strength\":0,\"annotator\":\"ann\"}",
        PREFERENCE_AUTO);
    record = only_record(reader, PREFERENCE_PAIRS);
    assert_int_equal(record->answers[0].rank, 1);
    assert_int_equal(record->answers[1].rank, 1);
    assert_int_equal(record->strength, 0);
    assert_string_equal(record->annotator, "ann");
    preference_close(reader);
}

static void test_tldr(void **state)
{
    (void)state;
    struct preference_reader *reader =
        reader_of("{\"info\":{\"subreddit\":\"cats\",\"title\":\"T\",\"post\":\"P\"},\"summaries\":[{\"text\":\"s0\","
                  "\"policy\":\"m0\"},"
                  "{\"text\":\"s1\",\"policy\":\"m1\"}],\"choice\":1,\"worker\":\"w7\",\"extra\":{\"confidence\":8}}",
                  PREFERENCE_AUTO);
    const struct preference *record = only_record(reader, PREFERENCE_TLDR);
    assert_string_equal(message(record, 0, "user"), "SUBREDDIT: r/cats\n\nTITLE: T\n\nPOST: P\n\nTL;DR:");
    assert_int_equal(record->answers[0].rank, 2);
    assert_int_equal(record->answers[1].rank, 1);
    assert_string_equal(record->answers[1].model, "m1");
    assert_string_equal(record->annotator, "w7");
    preference_close(reader);
}

/* Ratings are strings; equal means tie, "N/A" counts for nothing, and one rated answer alone is no ranking. */
static void test_ultrafeedback(void **state)
{
    (void)state;
    struct preference_reader *reader = reader_of(
        "{\"instruction\":\"Hi\",\"completions\":["
        "{\"response\":\"a\",\"model\":\"m\",\"annotations\":{\"honesty\":{\"Rating\":\"3\"},\"helpfulness\":{"
        "\"Rating\":\"5\"}}},"
        "{\"response\":\"b\",\"annotations\":{\"honesty\":{\"Rating\":\"N/A\"}}},"
        "{\"response\":\"c\",\"annotations\":{\"honesty\":{\"Rating\":\"4\"}}},"
        "{\"response\":\"d\",\"annotations\":{\"honesty\":{\"Rating\":\"5\"},\"helpfulness\":{\"Rating\":5}}},"
        "{\"response\":\"e\",\"annotations\":{\"honesty\":{\"Rating\":\"1\"}}}]}\n"
        "{\"instruction\":\"Ho\",\"completions\":[{\"response\":\"a\",\"annotations\":{\"x\":{\"Rating\":\"1\"}}},{"
        "\"response\":\"b\"}]}",
        PREFERENCE_AUTO);
    const struct preference *record = only_record(reader, PREFERENCE_ULTRAFEEDBACK);
    static const int ranks[] = {2, 0, 2, 1, 3};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(record->answers[i].rank, ranks[i]);
    }
    assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_RECORD);
    assert_int_equal(record->answers[0].rank, 0);
    preference_close(reader);
}

static void test_oasst(void **state)
{
    (void)state;
    static const char tree[] =
        "{\"message_tree_id\":\"t\",\"prompt\":{\"text\":\"Q\",\"role\":\"prompter\",\"lang\":\"en\",\"replies\":["
        "{\"text\":\"worse\",\"role\":\"assistant\",\"rank\":4,\"replies\":[]},"
        "{\"text\":\"best\",\"role\":\"assistant\",\"rank\":0,\"synthetic\":true,\"model_name\":\"m\",\"replies\":["
        "{\"text\":\"more?\",\"role\":\"prompter\",\"replies\":[{\"text\":\"x\",\"role\":\"assistant\",\"rank\":1,"
        "\"replies\":[]},"
        "{\"text\":\"y\",\"role\":\"assistant\",\"rank\":0,\"replies\":[]},{\"text\":\"z\",\"role\":\"assistant\","
        "\"replies\":[]}]}]},"
        "{\"text\":\"gone\",\"role\":\"assistant\",\"rank\":1,\"deleted\":true,\"replies\":[]}]}}";
    struct preference_reader *reader = reader_of(tree, PREFERENCE_AUTO);
    const struct preference *record = only_record(reader, PREFERENCE_OASST);
    assert_int_equal(record->count, 2);
    assert_string_equal(record->answers[0].text, "worse");
    assert_int_equal(record->answers[0].rank, 2);
    assert_int_equal(record->answers[1].rank, 1);
    assert_string_equal(record->answers[1].model, "m");
    assert_string_equal(record->lang, "en");
    assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_RECORD);
    assert_int_equal(json_array_size(record->messages), 3);
    assert_string_equal(message(record, 1, "assistant"), "best");
    assert_string_equal(message(record, 2, "user"), "more?");
    assert_int_equal(record->count, 3);
    assert_int_equal(record->answers[0].rank, 2);
    assert_int_equal(record->answers[2].rank, 0);
    assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_END);
    preference_close(reader);
}

/* A record that cannot be used is named by file and line, and the others are read. */
static void test_rejected_records(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"{\"prompt\":\"Hi\",\"chosen\":\"a\",\"rejected\":\"a\"}", "two answers are the same"},
        {"{\"prompt\":\"Hi\",\"chosen\":\" \",\"rejected\":\"a\"}", "an answer is empty"},
        {"{\"prompt\":\"Hi\",\"chosen\":\"a\"}", "no \"chosen\" and \"rejected\""},
        {"{\"prompt\":7,\"chosen\":\"a\",\"rejected\":\"b\"}", "expected a string or a list"},
        {"{\"prompt\":[{\"role\":\"pirate\",\"content\":\"x\"}],\"chosen\":\"a\",\"rejected\":\"b\"}", "pirate"},
        {"{\"prompt\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}],\"chosen\":\"a\",\"rejected\":\"b\"}",
         "other than text"},
        {"[1]", "JSON object"},
        {"{\"prompt\":", "line 1"},
        {"{\"prompt\":\"\\n\\nHuman: a\\n\\nAssistant: b\",\"chosen\":\"c\",\"rejected\":\"d\"}", "follow each other"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s\n\n{\"prompt\":\"Hi\",\"chosen\":\"good\",\"rejected\":\"bad\"}\n",
                 cases[i].line);
        /* A line that begins with '[' would make the file an array. */
        if (cases[i].line[0] == '[') {
            snprintf(text, sizeof text, "{\"prompt\":\"Hi\",\"chosen\":\"good\",\"rejected\":\"bad\"}\n%s\n",
                     cases[i].line);
        }
        struct preference_reader *reader = reader_of(text, PREFERENCE_TRL);
        const struct preference *record = NULL;
        int rejected = 0, records = 0, got;
        while ((got = preference_next(reader, &record, &err)) != PREFERENCE_END) {
            assert_true(got > 0);
            rejected += got == PREFERENCE_REJECTED;
            records += got == PREFERENCE_RECORD;
            if (got == PREFERENCE_REJECTED &&
                (strstr(err.text, cases[i].reason) == NULL || strstr(err.text, path) == NULL)) {
                fail_msg("'%s' does not say '%s'", err.text, cases[i].reason);
            }
        }
        assert_int_equal(rejected, 1);
        assert_int_equal(records, 1);
        preference_close(reader);
    }
}

static void test_arrays(void **state)
{
    (void)state;
    struct preference_reader *reader = reader_of(" [\n{\"prompt\":\"Hi\",\"chosen\":\"good\",\"rejected\":\"bad\"} , \n"
                                                 "{\"prompt\":\"Ho\",\"chosen\":\"a\",\"rejected\":\"a\"},{\"prompt\":"
                                                 "\"Hu\",\"chosen\":\"a\",\"rejected\":\"b\"}]",
                                                 PREFERENCE_AUTO);
    const struct preference *record = only_record(reader, PREFERENCE_TRL);
    assert_int_equal(record->line, 1);
    assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_REJECTED);
    assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_RECORD);
    assert_int_equal(record->line, 3);
    assert_int_equal(preference_next(reader, &record, &err), PREFERENCE_END);
    preference_close(reader);
    reader = reader_of("[{\"prompt\":\"Hi\",\"chosen\":\"good\",\"rejected\":\"bad\"}, {\"prompt\": ", PREFERENCE_AUTO);
    only_record(reader, PREFERENCE_TRL);
    assert_int_equal(preference_next(reader, &record, &err), -1);
    preference_close(reader);
    enum preference_format format;
    assert_int_equal(preference_format_find(&format, "nonsense", &err), -1);
    assert_non_null(strstr(err.text, "ultrafeedback"));
}

/* Counts that shared/data's own page tells. */
static void test_real_data(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum preference_format format;
        int records, rejected, pairs;
    } sets[] = {
        {"oasst-ranked-trees-100.jsonl", PREFERENCE_OASST, 212, 0, 754},
        {"hh-harmless-1156.jsonl.gz", PREFERENCE_HH, 1149, 7, 1149},
        {"sharegpt-preference-300.json", PREFERENCE_SHAREGPT, 300, 0, 300},
    };
    const char *folder = getenv("ATTUNE_TEST_DATA");
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", folder != NULL ? folder : ATTUNE_FIXTURES "/../../../shared/data",
                 sets[i].name);
        if (!file_exists(file)) {
            printf("skipped: %s is not there\n", file);
            skip();
        }
        struct preference_reader *reader = NULL;
        const struct preference *record = NULL;
        int got, records = 0, rejected = 0, pairs = 0;
        assert_int_equal(preference_open(&reader, file, PREFERENCE_AUTO, &err), 0);
        while ((got = preference_next(reader, &record, &err)) != PREFERENCE_END) {
            assert_true(got > 0);
            records += got == PREFERENCE_RECORD;
            rejected += got == PREFERENCE_REJECTED;
            for (size_t a = 0; got == PREFERENCE_RECORD && a < record->count; a++) {
                for (size_t b = a + 1; b < record->count; b++) {
                    pairs += record->answers[a].rank > 0 && record->answers[b].rank > 0;
                }
            }
        }
        assert_int_equal(preference_reader_format(reader), sets[i].format);
        assert_int_equal(records, sets[i].records);
        assert_int_equal(rejected, sets[i].rejected);
        assert_int_equal(pairs, sets[i].pairs);
        preference_close(reader);
    }
}

static int begin(void **state)
{
    (void)state;
    int made = mkstemp(path);
    return made < 0 ? -1 : close(made);
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_of_pairs),
        cmocka_unit_test(test_kto_and_ties),
        cmocka_unit_test(test_tldr),
        cmocka_unit_test(test_ultrafeedback),
        cmocka_unit_test(test_oasst),
        cmocka_unit_test(test_rejected_records),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_real_data),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
