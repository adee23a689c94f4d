#!/bin/bash
# attune-help: docs/recipes.md is what it prints, and a key is found by any name. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"
program=("$attune" help)

run --markdown
diff -u "$ATTUNE_SOURCE/docs/recipes.md" out >differences ||
    fail "docs/recipes.md is not up to date (attune help --markdown > docs/recipes.md): $(cat differences)"

expect 0 'gradient_accumulation_steps'
expect 0 'longest example' max_length
expect 0 'longest example' --max_length
expect 0 'sequence_len is the name in axolotl' sequence_len
expect 0 'longest example' sequence_len
expect 0 'longest example' tokenizer.max_seq_len
expect 0 'form of the records' format
expect 0 'dtype: bf16' bf16
expect 0 '--learning_rate  a number in [0, 10]; default 3e-5' ppo

mistake 2 'did you mean learning_rate' leraning_rate
mistake 2 'give one key' lora_r lora_alpha
if [ -w /dev/full ] && "$attune" help --markdown >/dev/full 2>log; then fail 'a full disk must fail'; fi
