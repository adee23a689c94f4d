#!/usr/bin/env bash
# sft_lora.sh with the default dropout of 0.05 beside itself without dropout: what dropout costs.
. "$(dirname "$0")/common.sh"
bench_begin "$@"
bench_texts "$scratch/texts.jsonl" $((4 * steps))
bench_recipe "$scratch/recipe.yaml" 'per_device_train_batch_size: 4'
bench_sft "$scratch/recipe.yaml"
peer_rate=$rate peer_memory=$memory
sed -i 's/^lora_dropout: .*/lora_dropout: 0.05/' "$scratch/recipe.yaml"
bench_sft "$scratch/recipe.yaml"
bench_row sft-lora-dropout 'without dropout'
