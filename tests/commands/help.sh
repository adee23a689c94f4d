#!/bin/bash
# attune-help: docs/recipes.md is what it prints, and a key is found by any name. $1: folder of the binaries.
set -euo pipefail
help=$1/attune-help
made=$(mktemp)
trap 'rm -f "$made"' EXIT

"$help" --markdown > "$made"
if ! diff -u "$ATTUNE_SOURCE/docs/recipes.md" "$made"; then
    echo "docs/recipes.md is not up to date: attune-help --markdown > docs/recipes.md"
    exit 1
fi

# expect <text> <arguments>: the text stands in what is printed
expect() {
    local text=$1
    shift
    "$help" "$@" > "$made" || { echo "attune-help $* failed"; exit 1; }
    grep -qF -- "$text" "$made" || { echo "attune-help $*: '$text' is missing in:"; cat "$made"; exit 1; }
}
expect "gradient_accumulation_steps"
expect "longest example" max_length
expect "longest example" --max_length
expect "sequence_len is the name in axolotl" sequence_len
expect "longest example" sequence_len
expect "longest example" tokenizer.max_seq_len
expect "form of the records" format
expect "dtype: bf16" bf16
expect "--learning_rate  a number in [0, 10]; default 3e-6" ppo

if "$help" leraning_rate 2> "$made"; then
    echo "an unknown key must fail"
    exit 1
fi
grep -q "did you mean learning_rate" "$made"
if "$help" lora_r lora_alpha 2> "$made"; then
    echo "two keys must fail"
    exit 1
fi
if [ -w /dev/full ] && "$help" --markdown > /dev/full 2> "$made"; then
    echo "a full disk must fail"
    exit 1
fi
