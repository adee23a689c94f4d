#!/bin/bash
# Benchmarks of the preference database: bash tests/bench/prefs.sh BUILD-FOLDER
# Appends to tests/bench/prefs.csv: date, CPU, measure, value. Takes some minutes and 2 GB below /tmp (or $ATTUNE_BENCH_FOLDER).
#   load_*      8 annotators, 10,000 judgments over HTTP, the server killed ten times (every judgment is one commit on the disk)
#   million_*   a database of 1 million comparisons: next task, statistics, iteration over the pairs
#   disk_*      what the disk gives: commits a second of one row by one writer, journal TRUNCATE, synchronous FULL
set -e
build=${1:?usage: bash tests/bench/prefs.sh BUILD-FOLDER}
csv=$(dirname "$0")/prefs.csv
ATTUNE_DATE=$(date +%F)
ATTUNE_MACHINE=$(lscpu | sed -n 's/^Model name: *//p' | head -1 | tr , ' ')
export ATTUNE_DATE ATTUNE_MACHINE
test -s "$csv" || echo "date,cpu,measure,value" >"$csv"
ATTUNE_LOAD=10000 ATTUNE_LOAD_CSV=$csv "$build/bin/test-prefs-db-kill"
"$build/bin/bench-prefs" "$csv"
tail -n 12 "$csv"
