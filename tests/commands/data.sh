#!/bin/bash
# attune-data: the summary adds up, examples are shown with what is learned in brackets, no data set steers a terminal.
# $1: folder of the binaries.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
data=$1/attune-data
cd "$scratch"

fail() {
    echo "data: $1"
    cat out
    exit 1
}

# expect <exit status> <text in the output> <arguments>
expect() {
    local status=$1 text=$2 got=0
    shift 2
    "$data" "$@" >out 2>&1 || got=$?
    [ "$got" -eq "$status" ] || fail "$*: expected exit $status, got $got"
    grep -qF -- "$text" out || fail "$*: '$text' is missing"
}

for i in 1 2 3 4 5 6 7 8 9 10; do
    printf '{"messages":[{"role":"user","content":"Question %d?"},{"role":"assistant","content":"Answer %d."}]}\n' $i $i
done >train.jsonl
cat >r.yaml <<END
model_name_or_path: ${ATTUNE_SOURCE:?}/recipes/demo/model
output_dir: run
dataset:
  - path: train.jsonl
per_device_train_batch_size: 4
gradient_accumulation_steps: 1
END

expect 0 'train.jsonl: messages records (told from the first 10): 10 read, 10 examples' r.yaml
expect 0 "chat template: the model's own" r.yaml
expect 0 'packing: true would make' r.yaml
expect 0 '3 steps an epoch' r.yaml
expect 0 'packed into' r.yaml --packing
expect 0 'eval_split, held back from dataset' r.yaml --eval_split 0.2
expect 0 '"examples": 8' r.yaml --eval_split 0.2 --json
expect 0 '"cut_turns": 10' r.yaml --max_length 20 --json --train_on_prompt
expect 0 '"truncated": 10' r.yaml --max_length 20 --json --train_on_prompt --on_too_long truncate
expect 1 'of 10 records 0 are bad, 10 too long' r.yaml --max_length 20 --train_on_prompt --on_too_long drop
expect 2 'on_too_long: keep_end is for the rankings of attune reward; write truncate or drop' r.yaml --on_too_long keep_end
[ ! -e run ] || fail 'nothing is written'

expect 0 '--- example 3: train.jsonl:3, ' r.yaml --show 2 --first 3
grep -qxF '[[Answer 3.<|im_end|>]]' out || fail 'what is learned stands in brackets'
[ "$(grep -c '^---' out)" -eq 2 ] || fail 'as many examples as asked for'
expect 0 '[[<|im_end|>]]' r.yaml --show 1 --tokens
expect 0 '"trained":[0,' r.yaml --show 1 --json
expect 0 'Question' r.yaml --show 1 --eval --eval_split 0.5
expect 1 'the recipe has no evaluation data' r.yaml --show 1 --eval
expect 1 '--first 11 is too high' r.yaml --show 1 --first 11
printf '{"prompt":"a\\u001b[31m","completion":"b\\u009b\\u0007"}\n' >train.jsonl
expect 0 'a\x1B[31m[[b\x9B\x07<|endoftext|>]]' r.yaml --show 1
grep -q $'\x1b' out && fail 'no escape gets through'

echo nonsense >>train.jsonl
expect 1 'train.jsonl:2: ' r.yaml
expect 0 '1 bad records skipped; the first: train.jsonl:2: ' r.yaml --on_bad_record skip
expect 2 'did you mean max_length?' r.yaml --max_lenght 8
expect 2 'RECIPE is missing' --json
expect 1 'train.jsonl' r.yaml --dataset.0.path nowhere/train.jsonl
exit 0
