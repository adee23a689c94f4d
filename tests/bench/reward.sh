#!/usr/bin/env bash
# A step of the reward stage: 4 pairs of 256 + 64 tokens, LoRA of rank 16 on all linear layers, 135M shape; TRL's RewardTrainer in f32, and in
# bf16 too where attune computes in bf16.
. "$(dirname "$0")/common.sh"
bench_begin "$@"
pairs=4 prompt=256 answer=64

# Words that are one token each. An answer is 63 of them and the end-of-turn token; a prompt has more than it may, and loses its
# beginning (on_too_long: keep_end), so that prompt and answer are $prompt + $answer tokens.
awk -v rows=$((pairs * steps)) -v prompt=$((prompt + 64)) -v answer=$((answer - 1)) '
    function words(count, seed,   i, text) {
        for (i = 0; i < count; i++) text = text (i ? " " : "") word[(seed * 7919 + i * i * 31 + i) % known + 1]
        return text
    }
    BEGIN {
        known = split("the of and to in is was for on as with by at from are this that it were an be or which also", word, " ")
        for (r = 1; r <= rows; r++)
            printf "{\"prompt\": \"%d %s\", \"chosen\": \"%s\", \"rejected\": \"%s\"}\n", r, words(prompt, r), words(answer, 2 * r), words(answer, 2 * r + 1)
    }' > "$scratch/pairs.jsonl"

bench_recipe "$scratch/recipe.yaml" "per_device_train_batch_size: $pairs" 'on_too_long: keep_end' 'normalize_scores: false'
sed -i -e "s|$scratch/texts.jsonl|$scratch/pairs.jsonl|" -e '/format: text/d' -e '/^packing/d' -e "s/^max_length: .*/max_length: $((prompt + answer))/" \
    "$scratch/recipe.yaml"
bench_train reward "$scratch/recipe.yaml"
tokens=$(grep -o '"num_tokens": [0-9]*' "$scratch/run/metrics.jsonl" | awk 'NR == 1 { print $2 }')
echo "$tokens tokens in the first step: $((pairs * (prompt + 2 * answer))) where nothing but the prompt is shared"
ours=$(awk -v tokens="$tokens" -v rate="$rate" 'BEGIN { printf "%.3f", tokens / rate }')
for peer_dtype in ${BENCH_PEER_DTYPES:-f32 $([ "$dtype" = f32 ] || echo "$dtype")}; do
    rate=$ours
    bench_peer peer_reward.py "$peer_dtype" "$model" $pairs $prompt $answer "$steps" "$threads" "$scratch/trl"
    BENCH_LESS=1 bench_row reward-lora "trl-$peer_dtype"
done
