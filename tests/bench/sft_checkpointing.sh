#!/usr/bin/env bash
# Memory and time of LoRA SFT with gradient checkpointing, on the work of sft_lora.sh; PyTorch's own checkpointing beside it.
. "$(dirname "$0")/common.sh"
bench_begin "$@"
bench_texts "$scratch/texts.jsonl" $((4 * steps))
bench_recipe "$scratch/recipe.yaml" 'per_device_train_batch_size: 4' 'gradient_checkpointing: true'
bench_sft "$scratch/recipe.yaml"
bench_peer peer_torch.py lora "$dtype" "$model" "$scratch/texts.jsonl" 4 "$length" "$steps" "$threads" checkpointing
bench_row sft-lora-checkpointing pytorch
