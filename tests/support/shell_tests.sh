# tests/support/shell_tests.sh - what tests of the built commands share. Sourced by a test whose $1 is the folder of the binaries, and which
# works in a scratch folder from then on:
#
#   $attune                       the front command; $program, an array, is what the functions below run, and is that one at first
#   run ARGUMENTS                 it must succeed; standard output goes to ./out, standard error to ./log
#   expect STATUS TEXT ARGUMENTS  it must end with the status and print the text, on standard output or standard error; both go to ./out
#   mistake STATUS TEXT ARGUMENTS the same, but the text is on standard error, and nothing on standard output
#   says REGEX FILE               the extended regular expression matches in the file
#   lines COUNT REGEX FILE        it matches in so many lines of the file
#   number KEY FILE               prints the first number behind "KEY": in JSON
#   near A B BOUND                two numbers are no more than that apart
#   fail TEXT                     ends the test, and shows the ends of ./out and ./log
set -euo pipefail
attune=$(cd "$1" && pwd)/attune
program=("$attune")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

fail() {
    echo "$(basename "$0"): $*"
    local file
    for file in out log; do
        [ ! -s $file ] || { echo "--- $file" && tail -n 50 $file; }
    done
    exit 1
}

run() {
    "${program[@]}" "$@" >out 2>log </dev/null || fail "${program[*]##*/} $* ended with $?"
}

expect() {
    local expected=$1 text=$2 status=0
    shift 2
    "${program[@]}" "$@" >out 2>&1 </dev/null || status=$?
    [ $status -eq "$expected" ] || fail "${program[*]##*/} $*: exit status $status instead of $expected"
    grep -qF -- "$text" out || fail "${program[*]##*/} $*: '$text' is missing"
}

mistake() {
    local expected=$1 text=$2 status=0
    shift 2
    "${program[@]}" "$@" >out 2>log </dev/null || status=$?
    [ $status -eq "$expected" ] || fail "${program[*]##*/} $*: exit status $status instead of $expected"
    grep -qF -- "$text" log || fail "${program[*]##*/} $*: the message lacks '$text'"
    [ ! -s out ] || fail "${program[*]##*/} $*: a failing command printed to standard output"
}

says() {
    grep -qE -- "$1" "$2" || fail "'$1' is not in $2"
}

lines() {
    local count
    count=$(grep -cE -- "$2" "$3") || true # none, to grep, is a failure
    [ "$count" = "$1" ] || fail "'$2' is in $count lines of $3, not in $1"
}

number() {
    grep -oE "\"$1\": -?[0-9.]+(e-?[0-9]+)?" "$2" | head -n 1 | sed 's/.*: //'
}

near() {
    awk -v a="$1" -v b="$2" -v bound="$3" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d <= bound && d >= -bound) }' ||
        fail "'$1' and '$2' are more than $3 apart"
}
