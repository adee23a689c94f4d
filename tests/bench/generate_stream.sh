#!/usr/bin/env bash
# Generation of one stream, a prompt of 64 tokens and 128 new ones; llama.cpp.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/generation.sh"
bench_begin "$@"
generation_prompts 1 64
bench_generate "$scratch/prompts.jsonl" --max-new-tokens 128 --batch-size 1
llama_batch 1 64 128
bench_row generate-1x64+128 llama.cpp
