#!/usr/bin/env bash
# Two builds beside each other: every row of this folder is run with one folder of binaries and then with the other, in turn, and the best
# run of each counts, since a busy neighbour only ever makes a run slower. Peers are left out.
#
#     tests/bench/compare.sh BEFORE AFTER [ROUNDS [ROW...]]      a ROW is a script and perhaps a dtype: "sft_lora f32"
#
# Prints a line a row: the two rates, their ratio (above 1: AFTER is faster), and the peak memory of both, and appends it to compare.csv
# (COMPARE_RESULTS). Needs LAB or BENCH_MODEL (README.md).
set -euo pipefail
if [ $# -lt 2 ] || [ ! -x "$1/attune" ] || [ ! -x "$2/attune" ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
before=$(cd "$1" && pwd) after=$(cd "$2" && pwd) rounds=${3:-3}
shift $(($# < 3 ? $# : 3))
[ $# -gt 0 ] || set -- 'sft_lora f32' 'sft_lora bf16' 'sft_dropout f32' 'sft_full f32' 'sft_checkpointing f32' 'reward f32' 'reward bf16' \
    'ppo f32' 'generate_batch f32' 'generate_stream f32' 'start f32'
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
# Peers are looked for under LAB: an empty folder has none.
export BENCH_MODEL=${BENCH_MODEL:-${LAB:?LAB or BENCH_MODEL must name a model, see README.md}/smol135} LAB=$results BENCH_PEER_DTYPES=none

table=${COMPARE_RESULTS:-$folder/compare.csv}
[ -s "$table" ] || echo 'date,cpu,before,after,row,unit,rate before,rate after,ratio,MiB before,MiB after,rounds,load' > "$table"
cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo | tr -d ',')
commit_of() { git -C "$1" rev-parse --short HEAD 2> /dev/null || echo none; }

# <build> <row>: one run, its line goes to the build's results.
run() {
    local binaries=$before
    [ "$1" = before ] || binaries=$after
    # shellcheck disable=SC2086 # a row is a script and its dtype
    set -- "$1" $2
    BENCH_RESULTS=$results/$1.csv "$folder/$2.sh" "$binaries" "${3:-f32}" > /dev/null 2> "$results/err" || {
        tail -n 5 "$results/err" >&2
        return 1
    }
}

# <build>: "<unit> <best> <least MiB>" over the lines of its results.
best() {
    awk -F, 'NR > 1 { less = $7 == "s"; if (!n++ || (less ? $8 < rate : $8 > rate)) rate = $8; if (n == 1 || $9 < mib) mib = $9; unit = $7 }
             END { print unit, rate, mib }' "$results/$1.csv"
}

printf '%-22s %10s %10s %-9s %6s %8s %8s\n' row before after unit ratio 'MiB' 'MiB'
for row in "$@"; do
    rm -f "$results"/*.csv
    for ((round = 0; round < rounds; round++)); do
        run before "$row"
        run after "$row"
    done
    read -r unit old old_mib < <(best before)
    read -r _ new new_mib < <(best after)
    ratio=$(awk -v old="$old" -v new="$new" -v unit="$unit" 'BEGIN { printf "%.3f", unit == "s" ? old / new : new / old }')
    printf '%-22s %10s %10s %-9s %6s %8s %8s\n' "$row" "$old" "$new" "$unit" "$ratio" "$old_mib" "$new_mib"
    echo "$(date -u +%F),$cpu,$(commit_of "$before"),$(commit_of "$after"),$row,$unit,$old,$new,$ratio,$old_mib,$new_mib,$rounds,$(cut -d' ' -f1 /proc/loadavg)" >> "$table"
done
