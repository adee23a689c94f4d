/* tests/ppo/helper_ppo.c - see helper_ppo.h. */
#include "support/cmocka.h"

#include "base/json.h"
#include "base/log.h"
#include "ppo/helper_ppo.h"
#include "ppo/recipe.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMPTS 24

/* A byte-level model may well say a zero byte. */
static int count_in(const char *text, size_t length, const char *word)
{
    const char *end = text + length;
    int count = 0;
    for (; (text = memmem(text, (size_t)(end - text), word, strlen(word))); text += strlen(word)) {
        count++;
    }
    return count;
}

void ppo_score_if_asked(int argc, char **argv)
{
    static char line[1 << 20];
    if (argc < 3 || strcmp(argv[1], "count") != 0) {
        return;
    }
    long most = argc > 3 ? strtol(argv[3], NULL, 10) : LONG_MAX;
    for (long answers = 0; answers < most && fgets(line, sizeof line, stdin); answers++) {
        json_t *request = json_loads(line, JSON_ALLOW_NUL, NULL);
        const json_t *response = json_object_get(request, "response");
        if (!response) {
            exit(1);
        }
        printf("{\"score\": %d}\n", count_in(json_string_value(response), json_string_length(response), argv[2]));
        fflush(stdout);
        json_decref(request);
    }
    exit(0);
}

int ppo_setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    tiny_text_make(temporary("model"));
    struct strbuf prompts = {0};
    for (int i = 0; i < PROMPTS; i++) {
        strbuf_printf(&prompts, "{\"prompt\": [{\"role\": \"user\", \"content\": \"what%*s is %d\"}]}\n", i % 5, "", i);
    }
    write_bytes(temporary("prompts.jsonl"), prompts.data, prompts.length);
    strbuf_free(&prompts);
    return 0;
}

const char *ppo_counting(const char *word)
{
    static char line[PATH_MAX + 64];
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    snprintf(line, sizeof line, "reward_command: \"'%.*s' count '%s'\"\n", (int)length, self, word);
    return line;
}

static void put_prompts_and_scores(struct strbuf *yaml, const char *lines)
{
    strbuf_printf(yaml, "dataset: %s\n", temporary("prompts.jsonl"));
    if (!strstr(lines, "reward_")) {
        strbuf_puts(yaml, ppo_counting("e"));
    }
}

const struct tested_stage tested_ppo = {.stage = &ppo_stage, .run = ppo_run, .put_defaults = put_prompts_and_scores};

struct recipe *ppo_recipe(const char *name, const char *lines)
{
    return stage_recipe(&tested_ppo, name, lines);
}

void ppo_finish(const char *name, const char *lines, struct backend *backend)
{
    stage_finish(&tested_ppo, name, lines, backend);
}
