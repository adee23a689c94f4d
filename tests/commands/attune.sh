#!/bin/bash
# attune, the front command: finds attune-<verb> beside itself and on PATH, and names the nearest verb for a mistyped one.
# $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"
mkdir bin path
cp "$attune" bin/attune

# make_program <file>: one that prints its name and its arguments, and exits with 7
make_program() {
    printf '#!/bin/bash\necho "$(basename "$0")" "$@"\nexit 7\n' >"$1"
    chmod +x "$1"
}
make_program bin/attune-sft
make_program bin/attune-chat
make_program path/attune-sft-on-path
make_program path/attune-chat
touch bin/attune-ppo      # not executable
mkdir bin/attune-reward   # a folder
export PATH=$scratch/path:$PATH

program=(bin/attune)
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
says '^attune [0-9]+\.[0-9]+\.[0-9]+$' out
for call in '' --help -h; do
    expect 0 'usage: attune <command>' $call
    says '^  sft ' out
    if grep -qE '^  (ppo|reward|export) |^Data$' out; then fail 'attune --help lists a command that is not there'; fi
done
printf '\177ELF nonsense' >bin/attune-eval
chmod +x bin/attune-eval
expect 1 "cannot start '" eval
if [ -w /dev/full ] && bin/attune --help >/dev/full; then fail 'a full disk must fail'; fi
PATH= bin/attune --version >out

# Every command that was built is listed, with what it is for.
"$attune" >out
for command in "$attune"-*; do
    says "^  ${command##*/attune-}  *[a-z]" out
done
