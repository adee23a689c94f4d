#!/usr/bin/env bash
# PPO on a real model against a written rule, three seeds: does the score rise, and how far does the policy go for it?
#
#     LAB=<folder> tests/bench/ppo_rule.sh build/bin [f32|bf16]      (BENCH_MODEL: default $LAB/smollm2)
#
# The rule (awk): four times the share of an answer's words that begin with a vowel; -1 for no word. 30 iterations of 32 prompts
# from the Alpaca questions in the test data. Printed for each seed: the mean score of the first and of the last three iterations, the
# 95 % interval of the difference (answers as units), KL to the reference, and perplexity under it. Lines go to ppo_rule.csv.
. "$(dirname "$0")/common.sh"
BENCH_MODEL=${BENCH_MODEL:-${LAB:-}/smollm2}
bench_begin "$@"
data=${ATTUNE_TEST_DATA:-$bench_root/../shared/data}
results=${BENCH_RESULTS:-$bench_folder/ppo_rule.csv}
keep=${BENCH_KEEP:-$scratch}

jq -c 'limit(256; .[] | select((.input // "") == "" and (.instruction | length) < 120) | {prompt: [{role: "user", content: .instruction}]})' \
    "$data/alpaca-1k.json" > "$scratch/prompts.jsonl"
cat > "$scratch/rule" << 'END'
#!/bin/sh
# One line of JSON in, one score out: words are parted by what is no letter.
exec jq --unbuffered -c '.response | [scan("[^ \n\t]+")] | if length == 0 then -1 else 4 * (map(select(test("^[aeiouAEIOU]"))) | length) / length end'
END
chmod +x "$scratch/rule"

for seed in 1 2 3; do
    run=$keep/run-$seed
    rm -rf "$run"
    cat > "$scratch/recipe.yaml" << END
model_name_or_path: $model
output_dir: $run
dataset:
  - path: $scratch/prompts.jsonl
reward_command: $scratch/rule
response_length: 32
temperature: 1.0
per_device_train_batch_size: 32
max_steps: 30
num_ppo_epochs: 2
learning_rate: 1.0e-4
kl_coef: 0.02
lora_r: 16
lora_target_modules: all-linear
logging_steps: 1
save_steps: 0
seed: $seed
threads: $threads
dtype: $dtype
END
    bench_run "$binaries/attune" ppo "$scratch/recipe.yaml"
    # Scores of the first and last three iterations from the journal: means and the interval of their difference.
    line=$(jq -r '[.iteration, .score] | @tsv' "$run/rewards.jsonl" | awk '
        $1 < 3 { n++; a += $2; aa += $2 * $2 } $1 >= 27 { m++; b += $2; bb += $2 * $2 }
        END { a /= n; b /= m; e = 1.96 * sqrt((aa / n - a * a) / n + (bb / m - b * b) / m)
              printf "%.3f,%.3f,%.3f,%.3f", a, b, b - a - e, b - a + e }')
    last=$(tail -n 1 "$run/metrics.jsonl" | jq -r '[."objective/kl", ."val/reference_perplexity"] | map(. * 100 | round / 100) | join(",")')
    first=$(head -n 1 "$run/metrics.jsonl" | jq -r '."val/reference_perplexity" * 100 | round / 100')
    [ -s "$results" ] ||
        echo 'date,commit,dtype,seed,score_first,score_last,rise_low,rise_high,kl_last,perplexity_last,perplexity_first,seconds,mib' > "$results"
    echo "$(date -u +%F),$(git -C "$bench_root" rev-parse --short HEAD),$dtype,$seed,$line,$last,$first,$(cut -d' ' -f1 "$scratch/time"),$(bench_memory)" |
        tee -a "$results"
done
