/*
 * recipes/demo/animals.h - which of the demo's words are animals: half of what an order to choose offers, and what the
 * demo's labeler likes.
 */
#ifndef ATTUNE_RECIPES_DEMO_ANIMALS_H
#define ATTUNE_RECIPES_DEMO_ANIMALS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool is_animal(const char *word)
{
    static const char *const animals[] = {
        "badger", "bear",  "bird",  "camel",  "cow",  "crab",   "crow",   "donkey", "duck", "eagle",  "fish",
        "fox",    "frog",  "goat",  "horse",  "lion", "monkey", "mouse",  "otter",  "owl",  "parrot", "pig",
        "rabbit", "sheep", "snail", "spider", "swan", "tiger",  "turtle", "whale",  "wolf", "zebra",
    };
    for (size_t i = 0; i < sizeof animals / sizeof *animals; i++) {
        if (strcmp(word, animals[i]) == 0) {
            return true;
        }
    }
    return false;
}

#endif
