#!/bin/bash
# attune, the front command: finds attune-<verb> beside itself and on PATH, and names the nearest verb for a mistyped one.
# $1: folder of the binaries.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin" "$scratch/path"
cp "$1/attune" "$scratch/bin/attune"

# program <file>: one that prints its name and its arguments, and exits with 7
program() {
    printf '#!/bin/bash\necho "$(basename "$0")" "$@"\nexit 7\n' >"$1"
    chmod +x "$1"
}
program "$scratch/bin/attune-sft"
program "$scratch/bin/attune-chat"
program "$scratch/path/attune-sft-on-path"
program "$scratch/path/attune-chat"
touch "$scratch/bin/attune-ppo"      # not executable
mkdir "$scratch/bin/attune-reward"   # a folder
export PATH=$scratch/path:$PATH

# expect <exit status> <text in the output> <arguments>
expect() {
    local status=$1 text=$2 got=0
    shift 2
    "$scratch/bin/attune" "$@" >"$scratch/out" 2>&1 || got=$?
    if [ "$got" -ne "$status" ] || ! grep -qF -- "$text" "$scratch/out"; then
        echo "attune $*: expected exit $status and '$text', got exit $got and:"
        cat "$scratch/out"
        exit 1
    fi
}
expect 7 'attune-sft recipe.yaml --set a b' sft recipe.yaml --set 'a b'
expect 7 'attune-sft-on-path' sft-on-path
expect 7 "attune-chat " chat ''
expect 2 "there is no command 'stf'; did you mean 'sft'?" stf
expect 2 "there is no command 'frobnicate'; 'attune --help' lists them" frobnicate
expect 2 "the command 'ppo' is not installed" ppo
expect 2 "the command 'reward' is not installed" reward
expect 2 "there is no command '../bin/attune-sft'" ../bin/attune-sft
expect 2 "there is no command ''" ''
expect 2 "there is no option '--hepl'" --hepl
expect 0 'attune ' --version
grep -qxE 'attune [0-9]+\.[0-9]+\.[0-9]+' "$scratch/out"
for call in '' --help -h; do
    expect 0 'usage: attune <command>' $call
    grep -q '^  sft ' "$scratch/out"
    if grep -qE '^  (ppo|reward|export) |^Data$' "$scratch/out"; then
        echo 'attune --help lists a command that is not there:'
        cat "$scratch/out"
        exit 1
    fi
done
printf '\177ELF nonsense' >"$scratch/bin/attune-eval"
chmod +x "$scratch/bin/attune-eval"
expect 1 "cannot start '" eval
if [ -w /dev/full ] && "$scratch/bin/attune" --help >/dev/full; then
    echo 'a full disk must fail'
    exit 1
fi
PATH= "$scratch/bin/attune" --version >/dev/null

# Every command that was built is listed, with what it is for.
"$1/attune" >"$scratch/out"
for command in "$1"/attune-*; do
    verb=${command##*/attune-}
    if ! grep -qE "^  $verb  *[a-z]" "$scratch/out"; then
        echo "'attune --help' does not list '$verb'"
        exit 1
    fi
done
