#!/usr/bin/env bash
# The demo as a user runs it, in a copy of recipes/: held-out exact match must rise from nearly nothing to over 80 %.
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
read -r before after < <(sed -n 's/^held-out exact match *\([0-9.]*\) % *\([0-9.]*\) %$/\1 \2/p' "$place/out")
echo "held-out exact match: $before % before, $after % after"
awk -v before="$before" -v after="$after" 'BEGIN { exit !(before < 10 && after > 80) }'

for file in config.json model.safetensors tokenizer.json tokenizer_config.json generation_config.json; do
    [ -s "$place/runs/demo/merged/$file" ] || { echo "the merged model has no $file" >&2; exit 1; }
done
[ "$(wc -l <"$place/runs/demo/after.jsonl")" -eq 200 ]
