# tests/bench/common.sh - what the benchmark scripts share; sourced by each, see README.md.
#
#   bench_begin "$@"            arguments and environment; a scratch folder $scratch that goes at the end
#   bench_texts FILE ROWS       ROWS texts, each of more than $length tokens
#   bench_recipe FILE KEY: ...  a recipe for $model over such texts, further lines from the arguments
#   bench_train STAGE RECIPE    runs attune STAGE; sets rate (tokens/s, median of the steps but the first) and memory (MiB)
#   bench_sft RECIPE            the same for sft
#   bench_generate FILE ...     runs attune generate; sets rate (new tokens/s) and memory
#   bench_peer SCRIPT ...       runs a peer; sets peer_rate and peer_memory, or peer_rate= where it cannot run
#   bench_row ROW PEER          prints the row and appends it to results.csv
set -euo pipefail

bench_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bench_root=$(cd "$bench_folder/../.." && pwd)
results=${BENCH_RESULTS:-$bench_folder/results.csv}

bench_begin() {
    if [ $# -lt 1 ] || [ ! -x "$1/attune" ]; then
        echo "usage: $0 FOLDER-OF-BINARIES [f32|bf16]     (for example build/bin; LAB names the folder of the peers)" >&2
        exit 2
    fi
    binaries=$(cd "$1" && pwd)
    : "${LAB:?LAB must name a folder with a virtual environment venv and the model smol135, see README.md}"
    model=${BENCH_MODEL:-$LAB/smol135}
    python=$LAB/venv/bin/python
    threads=${BENCH_THREADS:-2}
    steps=${BENCH_STEPS:-4}
    length=512
    if [ -n "${2:-}" ]; then
        dtype=$2
    elif grep -q amx_bf16 /proc/cpuinfo; then
        dtype=bf16
    else
        dtype=f32
        echo "this CPU has no AMX: f32 is compared with f32"
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=$threads
    cd "$bench_folder"
}

# Words of the project's own sources: long texts of ordinary symbols, the same ones at the same commit.
bench_texts() {
    cat "$bench_root"/*/*.h "$bench_root"/*/*.c | tr -cs 'A-Za-z0-9.,;:()' ' ' | fold -w 4000 |
        awk -v rows="$2" 'NR <= rows { print "{\"text\": \"" $0 "\"}" }' > "$1"
    [ "$(wc -l < "$1")" -eq "$2" ]
}

bench_recipe() {
    local recipe=$1
    shift
    cat > "$recipe" <<END
model_name_or_path: $model
output_dir: $scratch/run
dataset:
  - path: $scratch/texts.jsonl
    format: text
max_length: $length
packing: false
max_steps: $steps
lora_r: 16
lora_alpha: 32
lora_dropout: 0.0
learning_rate: 1.0e-4
logging_steps: 1
save_steps: 0
threads: $threads
dtype: $dtype
END
    printf '%s\n' "$@" >> "$recipe"
}

# Reads "<seconds> <KiB>" that time left in $scratch/time.
bench_memory() {
    awk 'END { printf "%.0f", $2 / 1024 }' "$scratch/time"
}

bench_median() {
    sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

bench_run() {
    if ! /usr/bin/time -o "$scratch/time" -f '%e %M' "$@" > "$scratch/out" 2> "$scratch/err"; then
        echo "$1 failed:" >&2
        tail -n 5 "$scratch/err" >&2
        return 1
    fi
}

bench_train() {
    rm -rf "$scratch/run"
    bench_run "$binaries/attune" "$1" "$2"
    rate=$(grep -o '"tokens_per_second": [0-9.e+]*' "$scratch/run/metrics.jsonl" | awk 'NR > 1 { printf "%.1f\n", $2 }' | bench_median)
    memory=$(bench_memory)
}

bench_sft() {
    bench_train sft "$1"
}

bench_generate() {
    bench_run "$binaries/attune" generate "$model" --prompts "$@" --threads "$threads" --dtype "$dtype" --out "$scratch/answers"
    rate=$(grep -o '[0-9.]* tok/s' "$scratch/err" | awk 'END { print $1 }')
    memory=$(bench_memory)
}

bench_peer() {
    peer_rate= peer_memory=
    if [ ! -x "$python" ]; then
        echo "no peer: $python is not there" >&2
        return
    fi
    if bench_run "$python" "$@"; then
        peer_rate=$(awk '$1 == "RESULT" { print $2 }' "$scratch/out")
        peer_memory=$(bench_memory)
    fi
}

# BENCH_LESS=1: a row of seconds, where less is better.
bench_row() {
    local ratio= cpu commit unit=tokens/s
    cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo | tr -d ',')
    commit=$(git -C "$bench_root" rev-parse --short HEAD 2> /dev/null || true)
    [ -z "$(git -C "$bench_root" status --porcelain 2> /dev/null)" ] || commit=${commit:-none}+
    if [ -n "$peer_rate" ]; then
        ratio=$(awk -v ours="$rate" -v peer="$peer_rate" -v less="${BENCH_LESS:-}" \
            'BEGIN { printf "%.2f", less ? peer / ours : ours / peer }')
    fi
    [ -z "${BENCH_LESS:-}" ] || unit=s
    printf '%-34s %-8s attune %8s %s %6s MiB   %s %s %s, %s MiB   ratio %s\n' "$1" "$dtype" "$rate" "$unit" "$memory" \
        "$2" "${peer_rate:-absent}" "$unit" "${peer_memory:--}" "${ratio:--}"
    [ -s "$results" ] ||
        echo 'date,cpu,threads,commit,row,dtype,unit,ours,our_mib,peer,theirs,their_mib,ratio,load' > "$results"
    echo "$(date -u +%F),$cpu,$threads,$commit,$1,$dtype,$unit,$rate,$memory,$2,$peer_rate,$peer_memory,$ratio,$(cut -d' ' -f1 /proc/loadavg)" >> "$results"
}
