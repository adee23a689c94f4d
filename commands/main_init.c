/* commands/main_init.c - attune init: random weights for a config.json, to train a model from nothing. */
#include "base/args.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/init.h"

int main(int argc, char **argv)
{
    mem_hook_libraries();
    const char *folder = NULL;
    double deviation = 0.02;
    int64_t seed = 42;
    const struct args_operand operands[] = {
        {.name = "DIR", .help = "a folder with a config.json (and, to train it, a tokenizer.json)", .text = &folder}};
    const struct args_option options[] = {
        {.name = "deviation",
         .argument = "X",
         .help = "standard deviation of the matrices (default 0.02)",
         .real = &deviation,
         .least = 0,
         .most = 10},
        {.name = "seed",
         .argument = "N",
         .help = "of the random numbers (default 42)",
         .whole = &seed,
         .least = 0,
         .most = 9e15},
    };
    const struct args_command command = {
        .name = "attune init",
        .summary = "Writes random weights (model.safetensors, f32) for the config.json in a folder, to train a model "
                   "from nothing.",
        .more = "Example:\n  attune init tiny/ && attune sft pretrain.yaml --model_name_or_path tiny/ "
                "--finetuning_type full",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct err err;
    int result = model_write_random(folder, deviation, (uint64_t)seed, &err);
    if (result == 0) {
        log_info("wrote %s/model.safetensors", folder);
    }
    return args_end(&command, result, &err);
}
