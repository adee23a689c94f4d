#!/bin/bash
# attune-data: the summary adds up, examples are shown with what is learned in brackets, no data set steers a terminal.
# $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"
program=("$attune" data)

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
lines 2 '^---' out # as many as asked for
expect 0 '[[<|im_end|>]]' r.yaml --show 1 --tokens
expect 0 '"trained":[0,' r.yaml --show 1 --json
expect 0 'Question' r.yaml --show 1 --eval --eval_split 0.5
expect 1 'the recipe has no evaluation data' r.yaml --show 1 --eval
expect 1 '--first 11 is too high' r.yaml --show 1 --first 11
printf '{"prompt":"a\\u001b[31m","completion":"b\\u009b\\u0007"}\n' >train.jsonl
expect 0 'a\x1B[31m[[b\x9B\x07<|endoftext|>]]' r.yaml --show 1
if grep -q $'\x1b' out; then fail 'no escape gets through'; fi

echo nonsense >>train.jsonl
expect 1 'train.jsonl:2: ' r.yaml
expect 0 '1 bad records skipped; the first: train.jsonl:2: ' r.yaml --on_bad_record skip
expect 2 'did you mean max_length?' r.yaml --max_lenght 8
expect 2 'RECIPE is missing' --json
expect 1 'train.jsonl' r.yaml --dataset.0.path nowhere/train.jsonl

# Rankings of a reward model: counts and pairs, and where the score of each answer is read.
cat >pairs.jsonl <<'END'
{"prompt":"Question 1?","chosen":"Better.","rejected":"Worse."}
{"prompt":"Question 2?","chosen":"Good.","rejected":"Bad\u001b[31m."}
{"prompt":"Question 2?","chosen":"Good.","rejected":"Bad\u001b[31m."}
END
printf 'model_name_or_path: %s\noutput_dir: run\ndataset: pairs.jsonl\nties: half\n' "$ATTUNE_SOURCE/recipes/demo/model" >reward.yaml
expect 0 '2 rankings of 2 prompts: 4 answers, 2 pairs, 0 ties' reward.yaml
expect 0 '1 rankings are there twice and are left out' reward.yaml
expect 0 '2 of 2 answers' reward.yaml
expect 0 '"duplicates": 1' reward.yaml --json
expect 0 '"stage": "reward"' reward.yaml --json
expect 0 '--- ranking 2: pairs.jsonl:2, 2 answers of ranks 1 2' reward.yaml --show 1 --first 2
expect 0 'Good.[[<|im_end|>]]' reward.yaml --show 1 --first 2
expect 0 'Bad\x1B[31m.[[<|im_end|>]]' reward.yaml --show 1 --first 2
lines 2 '^--- rank ' out
expect 0 '[[<|im_end|>]]' reward.yaml --show 1 --tokens
expect 0 '"answers":[{"rank":1,"read_at":' reward.yaml --show 1 --json
expect 0 'eval_split, held back from dataset' reward.yaml --eval_split 0.5
expect 1 'the recipe has no evaluation data' reward.yaml --show 1 --eval
expect 1 '--first 3 is too high: there are 2 rankings' reward.yaml --show 1 --first 3
sed -i '/ties/d' reward.yaml
expect 0 'examples' reward.yaml
expect 0 '2 rankings' reward.yaml --stage reward
"$attune" prefs init prefs.db >out 2>&1 && "$attune" prefs import prefs.db pairs.jsonl >out 2>&1 || fail 'no database could be made'
expect 0 '2 rankings of 2 prompts' reward.yaml --stage reward --dataset.0.path prefs.db

# Prompts of PPO.
printf 'model_name_or_path: %s\noutput_dir: run\ndataset: pairs.jsonl\nreward_model: none\n' "$ATTUNE_SOURCE/recipes/demo/model" >ppo.yaml
expect 0 '3 prompts, ' ppo.yaml
expect 0 'answers each in an iteration' ppo.yaml
expect 0 '"stage": "ppo"' ppo.yaml --json
expect 0 '--- prompt 2: ' ppo.yaml --show 2
says 'Question 2\?' out
expect 0 '"prompt":' ppo.yaml --show 1 --json
expect 1 'so none is left' ppo.yaml --max_length 60
expect 2 'num_generations must be at least 2' ppo.yaml --advantage_estimator grpo --num_generations 1
expect 2 'takes one of sft, reward, ppo' ppo.yaml --stage pp
[ ! -e run ] || fail 'nothing is written'
