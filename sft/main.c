/* sft/main.c - the command line of attune-sft. */
#include "sft/sft.h"

int main(int argc, char **argv)
{
    const struct stage_command command = {
        .stage = STAGE_SFT,
        .name = "attune sft",
        .summary = "Fine-tunes a model on examples, with LoRA or of all weights.",
        .more =
            "attune help lists the recipe's keys, attune help KEY explains one.\n\nExamples:\n  attune sft "
            "recipes/sft-lora.yaml\n  attune sft recipes/sft-lora.yaml --learning_rate 1e-4 --output_dir runs/second",
        .run = sft_run,
    };
    return stage_main(&command, argc, argv);
}
