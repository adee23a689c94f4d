#!/usr/bin/env bash
# A shared prompt: one step on nine answers of 64 tokens to a prompt of 256, LoRA, f32, the prompt computed once, against nine
# sequences with a prompt each (bench-reward_shared, built with the tests). Fails where scores or gradients differ.
. "$(dirname "$0")/common.sh"
bench_begin "$1" f32
"$binaries/bench-reward_shared" "$model" 9 256 64 "$threads" "$steps" | tee "$scratch/shared"
read -r rate memory < <(awk '$1 == "shared" { print $4, $8 }' "$scratch/shared")
read -r peer_rate peer_memory < <(awk '$1 == "separate" { print $4, $8 }' "$scratch/shared")
BENCH_LESS=1 bench_row reward-shared separate
