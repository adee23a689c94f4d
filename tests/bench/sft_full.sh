#!/usr/bin/env bash
# Full tuning: every weight with f32 masters, 4 rows of 512 tokens a step; a plain PyTorch loop (autocast where the row is bf16).
. "$(dirname "$0")/common.sh"
bench_begin "$@"
bench_texts "$scratch/texts.jsonl" $((4 * steps))
bench_recipe "$scratch/recipe.yaml" 'per_device_train_batch_size: 4' 'finetuning_type: full'
sed -i '/^lora_/d' "$scratch/recipe.yaml"
bench_sft "$scratch/recipe.yaml"
bench_peer peer_torch.py full "$dtype" "$model" "$scratch/texts.jsonl" 4 "$length" "$steps" "$threads"
bench_row sft-full pytorch
