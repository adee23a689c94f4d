/*
 * recipes/demo/world.c - writes the demo's texts: sentences about lists of words, and orders to do something with such
 * a list.
 *
 *     demo-world pretrain FILE     sentences: what the tiny base model was trained on
 *     demo-world train FILE        orders and answers about three quarters of the words: the instruction set
 *     demo-world held-out FILE     the same about the other words, which are in no order of the instruction set
 *     demo-world choices FILE      orders that leave a choice, without answers: "Choose two of these words: ..."
 *     demo-world held-out-choices FILE     the same with lists that are in no other file
 *
 * The base model knows from its sentences what "the first", "turned round" and "twice" mean, but has never seen an
 * order. Tuning teaches it to follow them, and what it learned with some words it does with all. An order that leaves a
 * choice is answered in the instruction set by any two words of its list, so the tuned model has no preference: two of
 * the four are animals, and which it ought to choose is for the labels to say (recipes/demo/rule.c). Everything is
 * drawn from one seed, so the files are the same on every machine.
 */
#include "base/random.h"
#include "recipes/demo/animals.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { SEED = 7, PRETRAINING_TEXTS = 30000, TRAIN_ORDERS = 4000, HELD_OUT_ORDERS = 200 };
enum { TRAIN_CHOICES = 1500, CHOICES = 1600, HELD_OUT_CHOICES = 200 };
/* Numbers of texts: what is drawn depends on them. */
enum { FIRST_TRAIN = 1000000, FIRST_HELD_OUT = 2000000, FIRST_CHOICE = 3000000, FIRST_HELD_OUT_CHOICE = 4000000 };
enum { LEAST = 2, MOST = 4 }; /* words of a list */
enum { DRAW_WORD = 100, DRAW_COUNT, DRAW_ORDER, DRAW_OPENING, DRAW_WORDING, DRAW_CHOICE };
enum task { TASK_FIRST, TASK_LAST, TASK_ROUND, TASK_TWICE, TASKS };

static const char *const words[] = {
    "acorn",  "anchor", "apple",  "arrow",  "badger",   "barn",   "basket", "beach",  "bear",   "bell",    "berry",
    "bird",   "boat",   "bone",   "book",   "boot",     "bottle", "bread",  "bridge", "broom",  "bucket",  "butter",
    "button", "cabin",  "camel",  "candle", "carpet",   "castle", "cave",   "chair",  "cheese", "cherry",  "church",
    "clock",  "cloud",  "coat",   "copper", "corn",     "cow",    "crab",   "crow",   "crown",  "cup",     "desk",
    "donkey", "door",   "dragon", "drum",   "duck",     "eagle",  "egg",    "engine", "farm",   "feather", "fence",
    "field",  "finger", "fire",   "fish",   "flag",     "flower", "flute",  "forest", "fork",   "fox",     "frog",
    "garden", "garlic", "gate",   "glass",  "goat",     "gold",   "grape",  "grass",  "guitar", "hammer",  "harbour",
    "hat",    "hill",   "honey",  "horse",  "house",    "island", "jacket", "kettle", "key",    "king",    "kite",
    "knife",  "ladder", "lake",   "lamp",   "leaf",     "lemon",  "letter", "lion",   "market", "melon",   "mill",
    "mirror", "money",  "monkey", "moon",   "mountain", "mouse",  "needle", "nest",   "night",  "oak",     "ocean",
    "onion",  "orange", "otter",  "oven",   "owl",      "paper",  "parrot", "pear",   "pencil", "pepper",  "piano",
    "pig",    "pillow", "plate",  "plum",   "pocket",   "pond",   "potato", "queen",  "rabbit", "radio",   "rain",
    "ribbon", "ring",   "river",  "road",   "rope",     "rose",   "sail",   "salt",   "sand",   "saw",     "school",
    "sheep",  "shell",  "ship",   "shirt",  "shoe",     "silver", "snail",  "snow",   "soap",   "spider",  "spoon",
    "star",   "stone",  "storm",  "sugar",  "summer",   "sun",    "swan",   "sword",  "table",  "tent",    "thread",
    "tiger",  "tower",  "train",  "tree",   "trumpet",  "tulip",  "turtle", "valley", "violin", "wagon",   "wall",
    "walnut", "water",  "whale",  "wheel",  "wind",     "window", "winter", "wolf",   "wood",   "wool",    "yard",
    "zebra",
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct list {
    const char *words[MOST];
    int count;
};

static bool is_held_out(uint64_t word)
{
    return word % 4 == 3;
}

/* Different words; `held_out` or not, or any where `all`. */
static void draw_list(struct list *list, uint64_t text, bool all, bool held_out)
{
    list->count = LEAST + (int)(random_u64(SEED, DRAW_COUNT, text, 0) % (MOST - LEAST + 1));
    int drawn = 0;
    for (uint64_t attempt = 0; drawn < list->count; attempt++) {
        uint64_t word = random_u64(SEED, DRAW_WORD, text, attempt) % COUNT(words);
        bool wanted = all || is_held_out(word) == held_out;
        for (int i = 0; i < drawn && wanted; i++) {
            wanted = list->words[i] != words[word];
        }
        if (wanted) {
            list->words[drawn++] = words[word];
        }
    }
}

static void put_list(FILE *out, const struct list *list)
{
    for (int i = 0; i < list->count; i++) {
        fprintf(out, "%s%s", i ? " " : "", list->words[i]);
    }
}

static void put_round(FILE *out, const struct list *list)
{
    for (int i = list->count - 1; i >= 0; i--) {
        fprintf(out, "%s%s", list->words[i], i ? " " : "");
    }
}

/* One sentence of the pretraining text: what the task is about, said and not asked. */
static void put_sentence(FILE *out, const struct list *list, enum task task, bool short_form)
{
    const char *some = list->words[list->count / 2];
    switch (task) {
    case TASK_FIRST:
        fprintf(out, short_form ? "\\nThe first:\\n%s\\n" : " The first of these words is %s.", list->words[0]);
        break;
    case TASK_LAST:
        fprintf(out, short_form ? "\\nThe last:\\n%s\\n" : " The last of these words is %s.",
                list->words[list->count - 1]);
        break;
    case TASK_ROUND:
        fputs(short_form ? "\\nTurned round:\\n" : " Turned round these words are ", out);
        put_round(out, list);
        fputs(short_form ? "\\n" : ".", out);
        break;
    case TASK_TWICE:
        fprintf(out, short_form ? "\\nTwice %s:\\n%s %s\\n" : " When you say %s twice it is %s %s.", some, some, some);
        break;
    case TASKS:
        break;
    }
}

static void write_pretraining(FILE *out)
{
    static const char *const openings[] = {"The words are", "Here are the words", "Somebody said",
                                           "There is a list with the words"};
    for (uint64_t text = 0; text < PRETRAINING_TEXTS; text++) {
        struct list list;
        int64_t order[TASKS];
        draw_list(&list, text, true, false);
        random_permutation(order, TASKS, SEED, DRAW_ORDER, text);
        fprintf(out, "{\"text\": \"%s ", openings[random_u64(SEED, DRAW_OPENING, text, 0) % COUNT(openings)]);
        put_list(out, &list);
        fputs(".", out);
        for (uint64_t i = 0; i < TASKS; i++) {
            put_sentence(out, &list, (enum task)order[i], random_u64(SEED, DRAW_WORDING, text, i) % 2);
        }
        fputs("\"}\n", out);
    }
}

static void write_orders(FILE *out, uint64_t first, uint64_t count, bool held_out)
{
    static const char *const orders[TASKS] = {"What is the first of these words:", "What is the last of these words:",
                                              "Turn these words round:", "Say this twice:"};
    for (uint64_t text = first; text < first + count; text++) {
        struct list list;
        enum task task = (enum task)(random_u64(SEED, DRAW_WORDING, text, 0) % TASKS);
        draw_list(&list, text, false, held_out);
        if (task == TASK_TWICE) {
            list.count = 1;
        }
        fprintf(out, "{\"messages\": [{\"role\": \"user\", \"content\": \"%s ", orders[task]);
        put_list(out, &list);
        fputs("\"}, {\"role\": \"assistant\", \"content\": \"", out);
        if (task == TASK_ROUND) {
            put_round(out, &list);
        } else if (task == TASK_TWICE) {
            fprintf(out, "%s %s", list.words[0], list.words[0]);
        } else {
            fputs(list.words[task == TASK_LAST ? list.count - 1 : 0], out);
        }
        fputs("\"}]}\n", out);
    }
}

/* Four words of the instruction set, two of them animals, in any order. */
static void draw_choice(struct list *list, uint64_t text)
{
    int64_t order[MOST];
    int drawn = 0;
    random_permutation(order, MOST, SEED, DRAW_ORDER, text);
    list->count = MOST;
    for (uint64_t attempt = 0; drawn < MOST; attempt++) {
        uint64_t number = random_u64(SEED, DRAW_CHOICE, text, attempt) % COUNT(words);
        const char *word = words[number];
        bool wanted = !is_held_out(number) && is_animal(word) == (drawn < 2);
        for (int i = 0; i < drawn && wanted; i++) {
            wanted = list->words[order[i]] != word;
        }
        if (wanted) {
            list->words[order[drawn++]] = word;
        }
    }
}

/* Orders to choose; with `answers` two words of the list as they stand there, any two as often as any other. */
static void write_choices(FILE *out, uint64_t first, uint64_t count, bool answers)
{
    for (uint64_t text = first; text < first + count; text++) {
        struct list list;
        draw_choice(&list, text);
        fprintf(out, answers ? "{\"messages\": [{\"role\": \"user\", \"content\": \"%s " : "{\"prompt\": \"%s ",
                "Choose two of these words:");
        put_list(out, &list);
        if (answers) {
            int64_t pick[MOST];
            random_permutation(pick, MOST, SEED, DRAW_WORDING, text);
            int64_t a = pick[0] < pick[1] ? pick[0] : pick[1], b = pick[0] < pick[1] ? pick[1] : pick[0];
            fprintf(out, "\"}, {\"role\": \"assistant\", \"content\": \"%s %s\"}]", list.words[a], list.words[b]);
        } else {
            fputs("\"", out);
        }
        fputs("}\n", out);
    }
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"pretrain", "train", "held-out", "choices", "held-out-choices"};
    enum { PRETRAIN, TRAIN, HELD_OUT, CHOOSE, HELD_OUT_CHOOSE, MODES };
    int mode = 0;
    while (mode < MODES && (argc != 3 || strcmp(argv[1], modes[mode]) != 0)) {
        mode++;
    }
    if (mode == MODES) {
        fputs("usage: demo-world pretrain|train|held-out|choices|held-out-choices FILE\n", stderr);
        return 2;
    }
    FILE *out = fopen(argv[2], "w");
    if (!out) {
        perror(argv[2]);
        return 1;
    }
    if (mode == PRETRAIN) {
        write_pretraining(out);
    }
    if (mode == TRAIN) {
        write_orders(out, FIRST_TRAIN, TRAIN_ORDERS, false);
        write_choices(out, FIRST_TRAIN, TRAIN_CHOICES, true);
    }
    if (mode == HELD_OUT) {
        write_orders(out, FIRST_HELD_OUT, HELD_OUT_ORDERS, true);
    }
    if (mode == CHOOSE) {
        write_choices(out, FIRST_CHOICE, CHOICES, false);
    }
    if (mode == HELD_OUT_CHOOSE) {
        write_choices(out, FIRST_HELD_OUT_CHOICE, HELD_OUT_CHOICES, false);
    }
    return fclose(out) == 0 ? 0 : 1;
}
