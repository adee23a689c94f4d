#!/usr/bin/env bash
# Seconds from the command to the first step: a run of one step less the step's own time; TRL's imports, model and trainer.
. "$(dirname "$0")/common.sh"
bench_begin "$@"
steps=1
bench_texts "$scratch/texts.jsonl" 4
bench_recipe "$scratch/recipe.yaml" 'per_device_train_batch_size: 4'
bench_sft_start() {
    rm -rf "$scratch/run"
    bench_run "$binaries/attune" sft "$scratch/recipe.yaml"
    local speed
    speed=$(grep -o '"tokens_per_second": [0-9.e+]*' "$scratch/run/metrics.jsonl" | awk 'END { print $2 }')
    awk -v speed="$speed" -v tokens=$((4 * length)) 'END { printf "%.2f\n", $1 - tokens / speed }' "$scratch/time"
}
bench_sft_start > "$scratch/first" # the model's file comes into the page cache
rate=$({ bench_sft_start; bench_sft_start; bench_sft_start; } | sort -n | head -n 1)
memory=$(bench_memory)
bench_peer peer_trl.py "$dtype" "$model" "$scratch/texts.jsonl" 4 "$length" 1 "$threads" "$scratch/trl" start
BENCH_LESS=1 bench_row start trl
