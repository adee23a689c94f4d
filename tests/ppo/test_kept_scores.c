/*
 * tests/ppo/test_kept_scores.c - runs whose reward_command dies: they go on when it is mended, and what was scored once
 * is not asked again, whether there is a checkpoint or not.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <stdio.h>
#include <string.h>

#define LINES                                                                                                          \
    "response_length: 10\nper_device_train_batch_size: 8\nmax_steps: 4\nlearning_rate: 3e-3\ntemperature: 1\n"         \
    "lora_r: 4\n"
#define MOST_SCORES 21 /* before the program dies: in the second iteration, behind four samples */

/* The lines, and a program that dies after MOST_SCORES until there is a file `mended`; it keeps what it is asked then.
 */
static const char *dying(const char *lines)
{
    static char all[4096];
    const char *counting = strchr(ppo_counting("e"), '"') + 1;
    int length = (int)(strrchr(counting, '"') - counting);
    snprintf(all, sizeof all,
             LINES "%sreward_command: \"if [ -e @/mended ]; then tee -a @/asked | %.*s; else %.*s %d; fi\"\n", lines,
             length, counting, length, counting, MOST_SCORES);
    return all;
}

static void die(const char *lines)
{
    struct err err;
    remove_tree(temporary("run"));
    remove_tree(temporary("mended"));
    remove_tree(temporary("asked"));
    stage_fail(&tested_ppo, "run", dying(lines), cpu_backend(DTYPE_F32, 1), &err);
    assert_non_null(strstr(err.text, "reward_command"));
    write_bytes(temporary("mended"), "", 0);
}

static bool is_in(const char *path, const char *words)
{
    struct strbuf text = read_bytes(path);
    bool found = strstr(strbuf_text(&text), words) != NULL;
    strbuf_free(&text);
    return found;
}

/* Gives the answer number 3 of the first iteration another score in the journal. */
static void write_score_into_journal(const char *score)
{
    struct strbuf text = read_bytes(temporary("run/rewards.jsonl")), changed = {0};
    const char *entry = strstr(text.data, "{\"iteration\": 0, \"index\": 3, ");
    assert_non_null(entry);
    const char *from = strstr(entry, "\"score\": ") + strlen("\"score\": "), *to = strchr(from, '}');
    strbuf_append(&changed, text.data, (size_t)(from - text.data));
    strbuf_puts(&changed, score);
    strbuf_puts(&changed, to);
    write_bytes(temporary("run/rewards.jsonl"), changed.data, changed.length);
    strbuf_free(&text);
    strbuf_free(&changed);
}

/* From its last checkpoint, to the bytes of a run that nothing happened to. */
static void a_run_goes_on(void **state)
{
    (void)state;
    die("save_steps: 1\n");
    assert_true(file_exists(temporary("run/checkpoint-1")));
    ppo_finish("run", dying("save_steps: 1\n"), NULL);
    ppo_finish("whole", LINES "save_steps: 1\n", NULL);
    assert_true(same_bytes(temporary("run/adapter_model.safetensors"), temporary("whole/adapter_model.safetensors")));
    assert_true(same_bytes(temporary("run/samples.jsonl"), temporary("whole/samples.jsonl")));
}

/* Without a checkpoint the run begins anew, but not its scores: the journal's are taken, whatever they are. */
static void scores_outlive_a_run_without_checkpoint(void **state)
{
    (void)state;
    die("");
    assert_false(file_exists(temporary("run/checkpoint-1")));
    size_t kept = lines_in(temporary("run/rewards.jsonl"));
    assert_in_range(kept, 4 + 8, MOST_SCORES);
    write_score_into_journal("8000");
    ppo_finish("run", dying(""), NULL);
    double mean = run_metric("run", 1, "objective/scores");
    assert_true(mean >= 1000 && mean < 1010); /* of eight answers, which have ten tokens each */
    assert_int_equal(lines_in(temporary("run/rewards.jsonl")), kept + lines_in(temporary("asked")));
    assert_false(is_in(temporary("asked"), "\"id\": \"0/"));
    assert_true(is_in(temporary("asked"), "\"id\": \"3/7\""));
}

/* resume_from_checkpoint: never: all is asked again. */
static void never_drops_them(void **state)
{
    (void)state;
    die("");
    write_score_into_journal("8000");
    ppo_finish("run", dying("resume_from_checkpoint: never\n"), NULL);
    assert_true(run_metric("run", 1, "objective/scores") <= 10);
    assert_true(is_in(temporary("asked"), "\"id\": \"0/3\""));
    assert_false(is_in(temporary("run/rewards.jsonl"), "8000"));
    assert_int_equal(lines_in(temporary("run/rewards.jsonl")), lines_in(temporary("asked")));
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_goes_on),
        cmocka_unit_test(scores_outlive_a_run_without_checkpoint),
        cmocka_unit_test(never_drops_them),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
