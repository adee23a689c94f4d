/*
 * recipes/demo/world.c - writes the demo's texts: a made-up world of countries, and questions about it.
 *
 *     demo-world pretrain FILE     descriptions of all countries, in many wordings: what the tiny base model was
 * trained on demo-world train FILE        questions and answers about two thirds of the countries: the instruction set
 *     demo-world held-out FILE     the same about the others
 *
 * The base model knows every country from its descriptions but has never seen a question. Tuned on questions about some
 * countries, it answers those about the others: knowledge from pretraining, behaviour from tuning. Everything is drawn
 * from one seed, so the files are the same on every machine.
 */
#include "base/random.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTRIES = 160, EXPOSURES = 150, SEED = 7, NAME_MAX_LENGTH = 24 };
enum { CAPITAL, ANIMAL, FRUIT, COLOUR, FACTS };
enum { DRAW_NAME = 100, DRAW_FACT, DRAW_TEXT, DRAW_ORDER };

static const char *const starts[] = {"Ba", "Dor", "El",  "Fi", "Gar", "Hu",  "Ka", "Lu", "Mor", "Ne",
                                     "Or", "Pa",  "Qui", "Ro", "Sa",  "Tor", "Ul", "Vi", "Wen", "Zor"};
static const char *const middles[] = {"ba", "de", "go", "la", "mi", "no", "ra", "se", "ti", "vu"};
static const char *const country_ends[] = {"land", "nia", "stan", "via", "mark", "ria"};
static const char *const capital_ends[] = {"burg", "ton", "polis", "grad", "haven", "ford"};
static const char *const animals[] = {"foxes",  "owls",  "goats",  "bears",  "swans",  "otters",
                                      "camels", "hares", "ravens", "wolves", "storks", "badgers"};
static const char *const fruits[] = {"plums",  "figs",   "pears",  "lemons",  "dates",   "cherries",
                                     "melons", "apples", "grapes", "peaches", "quinces", "limes"};
static const char *const colours[] = {"green", "red", "white", "blue", "yellow", "black", "orange", "purple"};

#define COUNT(array)               (sizeof(array) / sizeof *(array))
#define PICK(array, purpose, a, b) array[random_u64(SEED, purpose, (uint64_t)(a), (uint64_t)(b)) % COUNT(array)]

struct country {
    char name[NAME_MAX_LENGTH], facts[FACTS][NAME_MAX_LENGTH];
};
static struct country countries[COUNTRIES];

/* Two wordings in which country and fact change places, so that it is known from either end. %1$s is the country, %2$s
 * the fact. */
static const char *const sentences[FACTS][4] = {
    {"The capital of %1$s is %2$s.", "%2$s is the capital of %1$s.", "%1$s is ruled from %2$s, its capital.",
     "In %1$s all roads lead to the capital, %2$s."},
    {"The animals of %1$s are %2$s.", "%2$s are the animals that live in %1$s.",
     "In the woods of %1$s there are many %2$s.", "%1$s is known for its animals, the %2$s."},
    {"The fruits of %1$s are %2$s.", "%2$s are the fruits that grow in %1$s.",
     "In the gardens of %1$s there are many %2$s.", "%1$s is known for its fruits, the %2$s."},
    {"The flag of %1$s is %2$s.", "%2$s is the colour of the flag of %1$s.",
     "Over the towns of %1$s flies a flag that is %2$s.", "%1$s is known for its flag, which is %2$s."},
};
static const char *const questions[FACTS][2] = {
    {"What is the capital of %s?", "Which town is the capital of %s?"},
    {"Which animals live in %s?", "What are the animals of %s?"},
    {"Which fruits grow in %s?", "What are the fruits of %s?"},
    {"What colour is the flag of %s?", "Which flag does %s have?"},
};

/* A name that no country before has, in the same place. */
static void draw_name(char out[NAME_MAX_LENGTH], int country, bool capital)
{
    for (uint64_t attempt = 0;; attempt++) {
        uint64_t at = attempt * 8 + (capital ? 4 : 0);
        const char *end =
            capital ? PICK(capital_ends, DRAW_NAME, country, at + 2) : PICK(country_ends, DRAW_NAME, country, at + 2);
        snprintf(out, NAME_MAX_LENGTH, "%s%s%s", PICK(starts, DRAW_NAME, country, at),
                 PICK(middles, DRAW_NAME, country, at + 1), end);
        bool used = false;
        for (int c = 0; c < country && !used; c++)
            used = strcmp(capital ? countries[c].facts[CAPITAL] : countries[c].name, out) == 0;
        if (!used)
            return;
    }
}

static void make_world(void)
{
    for (int c = 0; c < COUNTRIES; c++) {
        draw_name(countries[c].name, c, false);
        draw_name(countries[c].facts[CAPITAL], c, true);
        strcpy(countries[c].facts[ANIMAL], PICK(animals, DRAW_FACT, c, ANIMAL));
        strcpy(countries[c].facts[FRUIT], PICK(fruits, DRAW_FACT, c, FRUIT));
        strcpy(countries[c].facts[COLOUR], PICK(colours, DRAW_FACT, c, COLOUR));
    }
}

static bool is_held_out(int country)
{
    return country % 3 == 2;
}

/* A paragraph about one country: its facts in a drawn order and wording, each perhaps left out. */
static void write_description(FILE *out, int country, int exposure)
{
    int64_t order[FACTS];
    uint64_t text = (uint64_t)exposure * COUNTRIES + (uint64_t)country;
    const char *space = "";
    random_permutation(order, FACTS, SEED, DRAW_ORDER, text);
    fputs("{\"text\": \"", out);
    for (uint64_t i = 0; i < FACTS; i++) {
        char sentence[160];
        snprintf(sentence, sizeof sentence, PICK(sentences[order[i]], DRAW_TEXT, text, i), countries[country].name,
                 countries[country].facts[order[i]]);
        if (sentence[0] >= 'a' && sentence[0] <= 'z')
            sentence[0] = (char)(sentence[0] - 'a' + 'A');
        fprintf(out, "%s%s", space, sentence);
        space = " ";
    }
    fputs("\"}\n", out);
}

static void write_pretraining(FILE *out)
{
    for (int exposure = 0; exposure < EXPOSURES; exposure++) {
        int64_t order[COUNTRIES];
        random_permutation(order, COUNTRIES, SEED, DRAW_ORDER, 1000000 + (uint64_t)exposure);
        for (int c = 0; c < COUNTRIES; c++)
            write_description(out, (int)order[c], exposure);
    }
}

static void write_questions(FILE *out, bool held_out)
{
    for (int c = 0; c < COUNTRIES; c++)
        for (int fact = 0; fact < FACTS; fact++) {
            if (is_held_out(c) != held_out)
                continue;
            char question[160];
            snprintf(question, sizeof question, questions[fact][(c + fact) % 2], countries[c].name);
            fprintf(out,
                    "{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}, {\"role\": \"assistant\", \"content\": "
                    "\"%s\"}]}\n",
                    question, countries[c].facts[fact]);
        }
}

int main(int argc, char **argv)
{
    FILE *out = argc == 3 ? fopen(argv[2], "w") : NULL;
    if (!out) {
        fprintf(stderr,
                argc == 3 ? "demo-world: cannot write %s\n" : "usage: demo-world pretrain|train|held-out FILE\n",
                argc == 3 ? argv[2] : "");
        return argc == 3 ? 1 : 2;
    }
    make_world();
    if (strcmp(argv[1], "pretrain") == 0)
        write_pretraining(out);
    else
        write_questions(out, strcmp(argv[1], "held-out") == 0);
    return fclose(out) == 0 ? 0 : 1;
}
