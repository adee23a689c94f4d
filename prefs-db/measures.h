/*
 * prefs-db/measures.h - statistics of agreement and strength, on plain numbers.
 *
 * Nothing here knows of the database: tests hold these functions against published worked examples and Python's
 * libraries.
 */
#ifndef ATTUNE_PREFS_DB_MEASURES_H
#define ATTUNE_PREFS_DB_MEASURES_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/*
 * Cohen's kappa of two raters (Cohen 1960): table[i * categories + j] units that the first put into i and the second
 * into j. NaN without units, and where chance alone would agree always.
 */
double measure_cohen_kappa(const int64_t *table, size_t categories);

/*
 * Krippendorff's alpha with the ordinal metric (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011).
 * Categories are 0..categories-1 in their order. Raters may miss units.
 */
#define MEASURE_CATEGORIES_MAX 32
struct measure_alpha {
    size_t categories;
    double coincidences[MEASURE_CATEGORIES_MAX][MEASURE_CATEGORIES_MAX];
};
/* counts[c]: how many raters put the unit into category c. A unit with fewer than two adds nothing. */
void measure_alpha_add(struct measure_alpha *alpha, const int64_t *counts);
/* NaN where nothing could disagree. */
double measure_alpha_value(const struct measure_alpha *alpha);

/* Wilson's interval for `hits` of `trials` at 95 %. */
struct measure_share {
    int64_t hits, trials;
};
void measure_wilson(struct measure_share share, double *low, double *high);

/*
 * Bradley-Terry strengths by the MM algorithm (Hunter 2004, "MM algorithms for generalized Bradley-Terry models", eq.
 * 3). wins[i * count + j]: how often i beat j, ties as half a win to both. `prior` > 0 adds that many games, half won
 * and half lost, of everyone against an opponent of strength 1: needed where somebody won or lost all games.
 * strengths[i] gets the natural logarithm, with mean 0. Fails where prior is 0 and no finite strengths exist.
 */
#define MEASURE_MODELS_MAX 64
int measure_bradley_terry(double *strengths, const double *wins, size_t count, double prior, struct err *err);

#endif
