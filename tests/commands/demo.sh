#!/usr/bin/env bash
# The demo as a user runs it, in a copy of recipes/: SFT must learn the orders, and PPO raise the score of the rule behind the labels.
. "$(dirname "$0")/../support/shell_tests.sh"
cp -r "${ATTUNE_SOURCE:?the folder of the sources}/recipes" .
PATH=$(dirname "$attune"):$PATH recipes/demo/run >out 2>log || fail "the demo ended with $?"
# The numbers of the table's line that begins with $1.
line() { grep -F "$1" out | tail -n 1 | sed "s/^.*$2//" | tr -d '%'; }
read -r base sft ppo < <(line 'exact match  ' 'exact match')
read -r sft_score ppo_score < <(line 'mean score by the rule' '(0 to 1)')
echo "exact match: base $base, SFT $sft, PPO $ppo; score by the rule: $sft_score, after PPO $ppo_score"
awk -v base="$base" -v sft="$sft" -v ppo="$ppo" 'BEGIN { exit !(base < 10 && sft > 80 && ppo > 70) }' || fail 'the orders were not learned'
awk -v sft="$sft_score" -v ppo="$ppo_score" 'BEGIN { exit !(ppo > sft + 0.08) }' || fail 'PPO did not raise the score'

for file in config.json model.safetensors tokenizer.json tokenizer_config.json generation_config.json; do
    [ -s runs/demo/merged/$file ] || fail "the merged model has no $file"
done
for run in sft reward ppo; do [ -s runs/demo/$run/report.html ] || fail "no report of $run"; done
[ "$(wc -l <runs/demo/merged.jsonl)" -eq 200 ] || fail 'the merged model was to answer 200 orders'
