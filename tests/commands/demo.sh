#!/usr/bin/env bash
# The demo as a user runs it, in a copy of recipes/: SFT must learn the orders, and PPO raise the score of the rule behind the labels.
set -euo pipefail
bin=$1
source=${ATTUNE_SOURCE:?the folder of the sources}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

cp -r "$source/recipes" "$place/"
PATH=$bin:$PATH "$place/recipes/demo/run" >"$place/out" 2>"$place/log" || {
    cat "$place/out" "$place/log" >&2
    exit 1
}
# The numbers of the table's line that begins with $1.
line() { grep -F "$1" "$place/out" | tail -n 1 | sed "s/^.*$2//" | tr -d '%'; }
read -r base sft ppo < <(line 'exact match  ' 'exact match')
read -r sft_score ppo_score < <(line 'mean score by the rule' '(0 to 1)')
echo "exact match: base $base, SFT $sft, PPO $ppo; score by the rule: $sft_score, after PPO $ppo_score"
awk -v base="$base" -v sft="$sft" -v ppo="$ppo" 'BEGIN { exit !(base < 10 && sft > 80 && ppo > 70) }'
awk -v sft="$sft_score" -v ppo="$ppo_score" 'BEGIN { exit !(ppo > sft + 0.08) }'

for file in config.json model.safetensors tokenizer.json tokenizer_config.json generation_config.json; do
    [ -s "$place/runs/demo/merged/$file" ] || { echo "the merged model has no $file" >&2; exit 1; }
done
for run in sft reward ppo; do [ -s "$place/runs/demo/$run/report.html" ] || { echo "no report of $run" >&2; exit 1; }; done
[ "$(wc -l <"$place/runs/demo/merged.jsonl")" -eq 200 ]
