/* model/score_head.c - see score_head.h. */
#include "model/score_head.h"
#include "base/random.h"
#include <math.h>

/* Beside the numbers of matrices under the same purpose, which count from 0. */
#define DRAW_NUMBER UINT64_C(0x53434f5245) /* "SCORE" */

void score_head_draw(float *values, int32_t hidden, uint64_t seed)
{
    double deviation = 1 / sqrt((double)hidden + 1);
    for (int32_t i = 0; i < hidden; i++) {
        values[i] = (float)(deviation * random_normal(seed, RANDOM_INIT, DRAW_NUMBER, (uint64_t)i));
    }
}
