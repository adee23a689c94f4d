#!/usr/bin/env bash
# Generation, 16 prompts of 64 tokens, 128 new tokens each, drawn at temperature 1; transformers and llama.cpp.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/generation.sh"
bench_begin "$@"
generation_prompts 16 64
bench_generate "$scratch/prompts.jsonl" --max-new-tokens 128 --batch-size 16
bench_peer peer_generate.py "$dtype" "$model" "$scratch/prompts.jsonl" 64 128 "$threads"
bench_row generate-16x64+128 transformers
bench_generate "$scratch/prompts.jsonl" --max-new-tokens 128 --batch-size 16
llama_batch 16 64 128
bench_row generate-16x64+128 llama.cpp
