#!/usr/bin/env bash
# LoRA SFT: rank 16 on all linear layers, 4 rows of 512 tokens a step; a plain PyTorch loop with PEFT, and TRL's defaults.
. "$(dirname "$0")/common.sh"
bench_begin "$@"
bench_texts "$scratch/texts.jsonl" $((4 * steps))
bench_recipe "$scratch/recipe.yaml" 'per_device_train_batch_size: 4'
bench_sft "$scratch/recipe.yaml"
bench_peer peer_torch.py lora "$dtype" "$model" "$scratch/texts.jsonl" 4 "$length" "$steps" "$threads"
bench_row sft-lora pytorch
bench_sft "$scratch/recipe.yaml"
bench_peer peer_trl.py "$dtype" "$model" "$scratch/texts.jsonl" 4 "$length" "$steps" "$threads" "$scratch/trl"
bench_row sft-lora trl
