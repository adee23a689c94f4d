#!/usr/bin/env bash
# An iteration of PPO: 16 prompts of 64 tokens, 128 new ones each, 4 epochs of one mini-batch, LoRA of rank 16 on all linear layers, 135M
# shape; policy, reference, critic and reward model of the same base. TRL 0.24's PPOTrainer (in $LAB/ppovenv, see README.md) in bf16, which
# is its faster one, and in f32. Prints where attune's time goes too.
. "$(dirname "$0")/common.sh"
BENCH_STEPS=${BENCH_STEPS:-3}
bench_begin "$@"
prompts=16 prompt=64 answer=128

# A reward model to score with: one step is enough, its numbers do not matter.
echo '{"prompt": "what is the sea", "chosen": "it is deep and wide", "rejected": "it is a number"}' > "$scratch/pairs.jsonl"
cat > "$scratch/reward.yaml" << END
model_name_or_path: $model
output_dir: $scratch/reward
dataset:
  - path: $scratch/pairs.jsonl
max_steps: 1
lora_r: 16
lora_dropout: 0.0
normalize_scores: false
save_steps: 0
threads: $threads
dtype: $dtype
END
bench_run "$binaries/attune" reward "$scratch/reward.yaml"

write_prompts() { # <words of each>: words that are one token
    awk -v rows=$((prompts * steps)) -v words="$1" 'BEGIN {
        known = split("the of and to in is was for on as with by at from are this that it were an be or which also", word, " ")
        for (r = 1; r <= rows; r++) {
            text = "the"
            for (i = 2; i <= words; i++) text = text " " word[(r * 7919 + i * i * 31 + i) % known + 1]
            printf "{\"prompt\": \"%s\"}\n", text
        }
    }' > "$scratch/prompts.jsonl"
}
cat > "$scratch/recipe.yaml" << END
model_name_or_path: $model
output_dir: $scratch/run
dataset:
  - path: $scratch/prompts.jsonl
reward_model: $scratch/reward
response_length: $answer
per_device_train_batch_size: $prompts
max_steps: $steps
num_ppo_epochs: 4
learning_rate: 1.0e-5
temperature: 0.7
lora_r: 16
lora_target_modules: all-linear
sample_prompts: [the]
sample_max_new_tokens: 1
save_steps: 0
threads: $threads
dtype: $dtype
END
# The template puts tokens around the words: as many words less.
write_prompts $prompt
bench_run "$binaries/attune" ppo "$scratch/recipe.yaml" --dry-run
longest=$(grep -o 'the longest of [0-9]* tokens' "$scratch/err" | grep -o '[0-9]*')
write_prompts $((2 * prompt - longest))

# What LoRA SFT takes at the same tokens, to compare memory with.
length=$((prompt + answer))
bench_texts "$scratch/texts.jsonl" $((prompts * 2))
bench_recipe "$scratch/sft.yaml" "per_device_train_batch_size: $prompts" 'num_train_epochs: 1'
sed -i 's/^max_steps: .*/max_steps: 2/' "$scratch/sft.yaml"
bench_sft "$scratch/sft.yaml"
sft_memory=$memory

rm -rf "$scratch/run"
bench_run "$binaries/attune" ppo "$scratch/recipe.yaml"
memory=$(bench_memory)
awk -v ours="$memory" -v sft="$sft_memory" 'BEGIN { printf "memory: %d MiB, LoRA SFT at the same tokens %d MiB, ratio %.2f\n", ours, sft, ours / sft }'
phases='."time/rollout", ."time/scoring", ."time/forward", ."time/update"'
ours=$(jq -r "select(.[\"time/update\"]) | [$phases] | add" "$scratch/run/metrics.jsonl" | awk 'NR > 1 { printf "%.2f\n", $1 }' | bench_median)
jq -r "select(.[\"time/update\"]) | [$phases] | map(. * 100 | round / 100) | \"rollout, scoring, forward, update: \" + join(\", \") + \" s\"" \
    "$scratch/run/metrics.jsonl"
new=$(jq -r 'select(."time/rollout") | ."objective/response_length" * '$prompts' / ."time/rollout"' "$scratch/run/metrics.jsonl" | bench_median)
printf 'rollouts: %.0f new tokens/s\n' "$new"
python=$LAB/ppovenv/bin/python
for peer_dtype in ${BENCH_PEER_DTYPES:-bf16 f32}; do
    rate=$ours
    bench_peer peer_ppo.py "$peer_dtype" "${BENCH_PEER_MODEL:-$LAB/smol135-old}" $prompts $prompt $answer "$steps" "$threads" "$scratch/trl"
    BENCH_LESS=1 bench_row ppo-lora "trl-$peer_dtype"
done
