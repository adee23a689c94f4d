/*
 * recipes/demo/rule.c - the demo's labeler: a written rule in place of a person.
 *
 *     demo-rule label ANSWERS LABELS    ranks the answers that attune generate wrote, for attune prefs import
 *     demo-rule score ANSWERS           prints the mean score of the first answers, and how many are a choice
 *
 * The rule likes animals: an answer has half a point for each animal in it, up to two different ones. It does not look
 * whether they stand in the list that they were to be chosen from: a choice is two different words of the list. So the
 * second number is what the labels do not say, and the first one, measured beside the reward model's score, shows a
 * policy that has learned to please the reward model instead of the rule.
 */
#include "base/json.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "recipes/demo/animals.h"
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 16
#define WORD_SIZE 32

struct word_list {
    char words[WORDS_MAX][WORD_SIZE];
    int count; /* WORDS_MAX + 1: more */
};

static void split(struct word_list *list, const char *text)
{
    list->count = 0;
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (length && list->count <= WORDS_MAX && list->count++ < WORDS_MAX) {
            snprintf(list->words[list->count - 1], WORD_SIZE, "%.*s", (int)(min(length, WORD_SIZE - 1)), text);
        }
        text += length;
        text += *text != 0;
    }
}

static bool is_in(const struct word_list *list, const char *word)
{
    for (int i = 0; i < list->count && i < WORDS_MAX; i++) {
        if (strcmp(list->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* Half a point for each of the first two different animals. */
static double score(const char *answer)
{
    struct word_list chosen;
    const char *first = NULL;
    double points = 0;
    split(&chosen, answer);
    for (int i = 0; i < chosen.count && i < WORDS_MAX && points < 1; i++) {
        if (is_animal(chosen.words[i]) && (!first || strcmp(first, chosen.words[i]) != 0)) {
            first = chosen.words[i];
            points += 0.5;
        }
    }
    return points;
}

/* Whether the answer is two different words of the list. */
static bool is_choice(const char *prompt, const char *answer)
{
    struct word_list offered, chosen;
    const char *colon = strchr(prompt, ':');
    split(&offered, colon ? colon + 1 : prompt);
    split(&chosen, answer);
    return chosen.count == 2 && strcmp(chosen.words[0], chosen.words[1]) != 0 && is_in(&offered, chosen.words[0]) &&
           is_in(&offered, chosen.words[1]);
}

static bool is_there(const json_t *completions, const char *answer)
{
    for (size_t i = 0; i < json_array_size(completions); i++) {
        if (strcmp(json_string_value(json_object_get(json_array_get(completions, i), "response")), answer) == 0) {
            return true;
        }
    }
    return false;
}

/* {"instruction", "completions": [{"response", "annotations": {"rule": {"Rating": "1" .. "3"}}}]}, each answer once. */
static int put_labels(FILE *out, const char *prompt, const json_t *answers)
{
    json_t *completions = json_array();
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const char *answer = json_string_value(json_object_get(json_array_get(answers, i), "text"));
        char rating[32];
        if (!answer || is_there(completions, answer)) {
            continue;
        }
        snprintf(rating, sizeof rating, "%g", 1 + 2 * score(answer));
        json_array_append_new(
            completions, json_pack("{s:s, s:{s:{s:s}}}", "response", answer, "annotations", "rule", "Rating", rating));
    }
    if (json_array_size(completions) < 2) { /* nothing to compare */
        json_decref(completions);
        return 0;
    }
    json_t *record = json_pack("{s:s, s:o}", "instruction", prompt, "completions", completions);
    int result = record ? json_dumpf(record, out, JSON_COMPACT) : -1;
    json_decref(record);
    return result == 0 && fputc('\n', out) != EOF ? 0 : -1;
}

struct sums {
    double scores;
    int choices, count;
};

/* Every line of `in`; labels go to `out` where it is not NULL, else the first answers are summed up. */
static int work(FILE *in, FILE *out, struct sums *sums)
{
    char *line = NULL;
    size_t size = 0;
    int result = 0;
    while (result == 0 && getline(&line, &size, in) > 0) {
        json_t *value = json_loads(line, JSON_ALLOW_NUL, NULL);
        const char *prompt = json_string_value(json_object_get(value, "prompt"));
        const json_t *answers = json_object_get(value, "answers");
        const char *first = json_string_value(json_object_get(json_array_get(answers, 0), "text"));
        if (!prompt || !first) {
            result = -1;
        } else if (out) {
            result = put_labels(out, prompt, answers);
        }
        sums->scores += result == 0 ? score(first) : 0;
        sums->choices += result == 0 && is_choice(prompt, first);
        sums->count++;
        json_decref(value);
    }
    free(line);
    return result;
}

int main(int argc, char **argv)
{
    bool label = argc == 4 && strcmp(argv[1], "label") == 0;
    if (!label && !(argc == 3 && strcmp(argv[1], "score") == 0)) {
        fputs("usage: demo-rule label ANSWERS LABELS, or demo-rule score ANSWERS\n", stderr);
        return 2;
    }
    FILE *in = fopen(argv[2], "r"), *out = label ? fopen(argv[3], "w") : NULL;
    if (!in || (label && !out)) {
        perror(in ? argv[3] : argv[2]);
        return 1;
    }
    struct sums sums = {0};
    int result = work(in, out, &sums);
    if (result != 0 || sums.count == 0) {
        fprintf(stderr, "demo-rule: %s:%d: no record of attune generate\n", argv[2], sums.count);
    } else if (!label) {
        printf("%.3f %.3f\n", sums.scores / sums.count, (double)sums.choices / sums.count);
    }
    fclose(in);
    if (out && fclose(out) != 0) {
        result = -1;
    }
    return result == 0 && sums.count > 0 ? 0 : 1;
}
