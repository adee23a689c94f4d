# tests/bench/generation.sh - prompts, and llama.cpp's side; sourced by the generation rows after common.sh.

# COUNT prompts of TOKENS tokens or a few less (text is cut at a token and may be tokenised in fewer).
generation_prompts() {
    bench_texts "$scratch/texts.jsonl" "$1"
    "$binaries/attune" tokenize "$model" --file "$scratch/texts.jsonl" | jq -c ".[:$2]" > "$scratch/ids.jsonl"
    "$binaries/attune" tokenize "$model" --file "$scratch/ids.jsonl" --decode | jq -c '{prompt: .text}' > "$scratch/prompts.jsonl"
}

# COUNT PROMPT NEW: llama-batched-bench, prompt time included. LLAMA names its folder of binaries, LLAMA_MODEL a GGUF of
# the model in the row's dtype.
llama_batch() {
    local bench=${LLAMA:-$LAB/llama/build/bin}/llama-batched-bench gguf=${LLAMA_MODEL:-$LAB/llama/smol135-$dtype.gguf}
    peer_rate= peer_memory=
    if [ ! -x "$bench" ] || [ ! -f "$gguf" ]; then
        echo "no peer: $bench or $gguf is not there" >&2
        return
    fi
    bench_run "$bench" -m "$gguf" -t "$threads" -tb "$threads" -c $(($1 * ($2 + $3))) -b 2048 -ub 512 -npp "$2" -ntg "$3" -npl "$1"
    # The last row of its table: PP, TG, B, N_KV, T_PP, S_PP, T_TG, S_TG, T, S; new tokens over all of the time.
    peer_rate=$(awk -F'|' -v new=$(($1 * $3)) '$2 + 0 > 0 { seconds = $10 } END { printf "%.1f", new / seconds }' "$scratch/out")
    peer_memory=$(bench_memory)
}
