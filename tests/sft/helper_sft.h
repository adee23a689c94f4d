/* tests/sft/helper_sft.h - SFT runs of the tiny-text model (support/stage_runs.h). */
#ifndef ATTUNE_TESTS_SFT_HELPER_SFT_H
#define ATTUNE_TESTS_SFT_HELPER_SFT_H

#include "sft/sft.h"
#include "support/run_files.h"
#include "support/stage_runs.h"

/* Group setup of cmocka: a temporary folder (support/temporary.h) with `model`, train.jsonl and eval.jsonl in it. */
int sft_setup(void **state);

/* With train.jsonl as dataset. */
extern const struct tested_stage tested_sft;

#endif
