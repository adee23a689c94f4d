#!/bin/bash
# A disk that is full, at every size of what is left of it: each command that writes ends with a sentence that names a file and what
# is wrong, leaves no half of a file, and once there is room ends with the bytes of one that nothing happened to. The disk is a small
# tmpfs in a namespace of this test; where that is not allowed, the test is skipped. $1: folder of the binaries.
set -euo pipefail
if [ -z "${ATTUNE_DISK_MOUNTED:-}" ]; then
    for namespace in -Urm -m; do # of a user who is root there, or of root
        if reason=$(unshare $namespace mount -t tmpfs tmpfs /mnt 2>&1); then
            ATTUNE_DISK_MOUNTED=1 exec unshare $namespace bash "$0" "$@"
        fi
    done
    echo "skipped: a small file system cannot be mounted here ($reason)"
    exit 77
fi
. "$(dirname "$0")/../support/shell_tests.sh"
disk=$scratch/disk
mkdir "$disk"
mount -t tmpfs -o size=4m tmpfs "$disk"
trap 'umount -l "$disk"; rm -rf "$scratch"' EXIT
tried=0

# Leaves so many blocks of the disk free.
fill() {
    rm -f "$disk/filler"
    head -c $((($(stat -f -c %a "$disk") - $1) * $(stat -f -c %S "$disk"))) /dev/zero >"$disk/filler"
    [ "$(stat -f -c %a "$disk")" -eq "$1" ] || fail "the disk does not have $1 free blocks"
}

# What may be different in two runs: times, which stand last in a record.
without_times() {
    sed -E 's/, "(tokens_per_second|time.eval|seconds|peak_memory_mib)": .*$//' "$1"
}

# same_file <file> <file of the undisturbed command>: the same but for times; with `begun` the first may end earlier, behind a line.
same_file() {
    local begun=${3:-}
    case $1 in
    *.jsonl)
        [ -z "$(tail -c 1 "$1")" ] || fail "$1 ends within a line"
        if [ "$begun" ]; then
            cmp <(without_times "$1") <(without_times "$2" | head -n "$(wc -l <"$1")")
        else
            cmp <(without_times "$1") <(without_times "$2")
        fi
        ;;
    *.html | */events.out.* | */memory.json) ;;
    *) cmp "$1" "$2" ;;
    esac
}

# Every file of <place> is a whole one of <whole>; <begun>: there may be fewer, and lines may be missing.
same_files() { # <place> <whole> [begun]
    local name
    if [ -d "$1" ]; then
        (cd "$1" && find . -type f ! -name 'events.out.*') | sort >names
        (cd "$2" && find . -type f ! -name 'events.out.*') | sort >whole_names
        [ -z "$(comm -23 names whole_names)" ] || fail "$(comm -23 names whole_names | head -n 1) should not be there"
        [ "${3:-}" ] || cmp names whole_names || fail "files are missing in $1"
        while read -r name; do
            same_file "$1/$name" "$2/$name" "${3:-}" || fail "$1/$name is not what it should be"
        done <names
    elif [ -e "$1" ]; then
        same_file "$1" "$2" "${3:-}" || fail "$1 is not what it should be"
    elif [ -z "${3:-}" ]; then
        fail "$1 is missing"
    fi
}

# The message of a command that found no room: its file goes to ./said.
says_why() { # <command>
    grep -E 'No space left on device|disk is full' log >why || fail "$1 does not say what is wrong"
    grep -qE "$disk/|standard output" why || fail "$1 names no file"
    sed -E "s,^.*$disk/([^':]+).*$,\\1,; s/.*\///" why >>said
}

# at_every_size <place> <stride> <arguments of attune>: the command writes <place> on the disk, and is tried with 0, 1, ... blocks left.
# Standard output goes to the file $to, if that is set.
at_every_size() {
    local place=$1 stride=$2 free=0 status
    shift 2
    "$attune" "$@" >"${to:-out}" 2>log || fail "attune $* fails on an empty disk"
    rm -rf whole && mv "$place" whole
    for (( ; ; free += stride)); do
        fill $free
        status=0
        "$attune" "$@" >"${to:-out}" 2>log || status=$?
        [ $status -ne 0 ] || break
        tried=$((tried + 1))
        [ $status -eq 1 ] || fail "attune $* with $free blocks left: exit status $status"
        says_why "attune $* with $free blocks left"
        [ -n "${to:-}" ] || same_files "$place" whole begun
        [ -z "$(find "$disk" -name '*.partial*' -o -name '*~')" ] || fail "$(find "$disk" -name '*.partial*') was left"
        rm "$disk/filler"
        [ ! "${afresh:-}" ] || rm -rf "$place"
        "$attune" "$@" >"${to:-out}" 2>log || fail "attune $* does not go on when there is room"
        same_files "$place" whole
        rm -rf "$place"
        [ $free -lt 1000 ] || fail "attune $* never has room enough"
    done
    same_files "$place" whole
    rm -rf "$place" "$disk/filler"
}
# The names of files that messages spoke of since the last call include these.
were_said() {
    for name in "$@"; do
        grep -qxE "$name" said || fail "no message spoke of $name: $(sort said | uniq -c)"
    done
    : >said
}

cp -r "$ATTUNE_FIXTURES/tiny-text" model
"$attune" init model --deviation 0.2 --seed 11 2>log
for word in sea sun moon four whale seven; do
    echo "{\"messages\": [{\"role\": \"user\", \"content\": \"what is $word\"}, {\"role\": \"assistant\", \"content\": \"the $word\"}]}"
done >train.jsonl
cat >lora.yaml <<END
model_name_or_path: model
output_dir: $disk/run
dataset: train.jsonl
eval_dataset: train.jsonl
max_length: 64
dtype: f32
threads: 1
max_steps: 2
logging_steps: 1
save_steps: 1
per_device_train_batch_size: 2
report_to: tensorboard
sample_prompts: [what is the sea]
sample_max_new_tokens: 4
lora_r: 2
END
sed '/lora_r/d' lora.yaml >full.yaml && echo 'finetuning_type: full' >>full.yaml

# Runs: with a little room left the records fail, with more the checkpoints, at last the result.
at_every_size "$disk/run" 1 sft lora.yaml
were_said recipe.resolved.yaml metrics.jsonl samples.jsonl adapter_model.safetensors optimizer.safetensors adapter_config.json
cp -r whole run
at_every_size "$disk/run" 7 sft full.yaml
were_said recipe.resolved.yaml optimizer.safetensors model.safetensors

# Models and adapters.
afresh=1
at_every_size "$disk/merged" 3 export run --merge --to "$disk/merged"
were_said model.safetensors
at_every_size "$disk/adapter" 1 export run --to "$disk/adapter"
were_said adapter_model.safetensors
at_every_size "$disk/narrow" 3 export model --dtype bf16 --to "$disk/narrow"
afresh=

# Files of results, and standard output.
many() { for ((i = 0; i < $2; i++)); do echo "$1"; done; }
many '{"prompt": "name an animal"}' 60 >prompts.jsonl
many '{"text": "the sea and the sun and the moon and four whales"}' 400 >texts.jsonl
many "$(head -n 1 train.jsonl)" 60 >long.jsonl
at_every_size "$disk/answers.jsonl" 1 generate model --prompts prompts.jsonl --max-new-tokens 8 --out "$disk/answers.jsonl"
at_every_size "$disk/answers.jsonl" 1 eval model --data long.jsonl --exact-match --max-new-tokens 4 --answers "$disk/answers.jsonl"
at_every_size "$disk/ids.jsonl" 1 eval model --data long.jsonl --token-logprobs "$disk/ids.jsonl"
were_said answers.jsonl ids.jsonl
to=$disk/ids.jsonl
at_every_size "$disk/ids.jsonl" 1 tokenize model --file texts.jsonl
at_every_size "$disk/ids.jsonl" 1 generate model --prompts prompts.jsonl --max-new-tokens 8
to=
# Databases: what a command changes is there whole or not at all.
dump() { # <database> <file>
    "$attune" prefs check "$1" >out 2>log || fail "$1 is damaged"
    for format in answers pairs kto; do
        "$attune" prefs export "$1" --format $format 2>log || fail "$1 cannot be exported"
    done >"$2"
}
# The command changes $disk/prefs.db, which is a copy of ./prefs.db at first; ./prefs.db is the changed one afterwards.
database_at_every_size() { # <stride> <arguments of attune>
    local stride=$1 free status
    shift
    dump prefs.db before
    cp prefs.db "$disk/prefs.db"
    "$attune" "$@" >out 2>log || fail "attune $* fails on an empty disk"
    dump "$disk/prefs.db" after
    mv "$disk/prefs.db" changed.db
    for (( free = 0; ; free += stride)); do
        cp prefs.db "$disk/prefs.db"
        fill $free
        status=0
        "$attune" "$@" >out 2>log || status=$?
        [ $status -ne 0 ] || break
        tried=$((tried + 1))
        [ $status -eq 1 ] || fail "attune $* with $free blocks left: exit status $status"
        says_why "attune $* with $free blocks left"
        rm "$disk/filler"
        dump "$disk/prefs.db" now
        cmp now before || fail "attune $* with $free blocks left changed something"
        "$attune" "$@" >out 2>log || fail "attune $* does not go on when there is room"
        dump "$disk/prefs.db" now
        cmp now after || fail "attune $* with $free blocks left ends with something else"
        [ $free -lt 1000 ] || fail "attune $* never has room enough"
    done
    mv changed.db prefs.db
    rm -f "$disk"/prefs.db* "$disk/filler"
}
for ((i = 0; i < 40; i++)); do
    echo "{\"prompt\": \"what is $i\", \"chosen\": \"the answer $i\", \"rejected\": \"none\"}"
done >pairs.jsonl
printf 'name an animal\nname a plant\n' >prompts.txt
{ head -n 1 pairs.jsonl && many '{"prompt": "no answers"}' 200; } >rejected.jsonl
database=$disk/prefs.db
for (( free = 0; ; free += 3)); do
    fill $free
    if "$attune" prefs init "$database" >out 2>log; then break; fi
    tried=$((tried + 1))
    says_why "attune prefs init with $free blocks left"
    [ -z "$(find "$disk" -name 'prefs.db*')" ] || fail 'half a database was left'
    [ $free -lt 1000 ] || fail 'attune prefs init never has room enough'
done
mv "$database" . && rm "$disk/filler"
were_said prefs.db
database_at_every_size 3 prefs import "$database" pairs.jsonl
database_at_every_size 2 prefs sample "$database" --model model --prompts prompts.txt --max-new-tokens 4
database_at_every_size 2 prefs annotator add "$database" ann
were_said prefs.db
at_every_size "$disk/labels.jsonl" 1 prefs export prefs.db --format pairs --out "$disk/labels.jsonl"
at_every_size "$disk/rejects.txt" 1 prefs import prefs.db rejected.jsonl --rejects "$disk/rejects.txt"
for (( free = 0; ; free += 3)); do # a copy has its own time of being made
    fill $free
    if "$attune" prefs backup prefs.db "$disk/copy.db" >out 2>log; then break; fi
    tried=$((tried + 1))
    says_why "attune prefs backup with $free blocks left"
    [ -z "$(find "$disk" -name 'copy.db*')" ] || fail 'half a copy was left'
    [ $free -lt 1000 ] || fail 'attune prefs backup never has room enough'
done
dump prefs.db before && dump "$disk/copy.db" after && cmp before after || fail 'the copy differs'
were_said labels.jsonl rejects.txt copy.db

# Standard output of all that prints.
sed "s,$disk/run,printed," lora.yaml >printed.yaml
for command in 'help' 'help lora_r' 'help --markdown' 'data printed.yaml' 'data printed.yaml --show 2' 'tokenize model --file texts.jsonl' \
    'eval model --data train.jsonl' 'eval model --data train.jsonl --json' 'generate model --prompts prompts.jsonl --max-new-tokens 4' \
    'export run --to exported --json' 'prefs stats prefs.db' 'prefs check prefs.db' 'prefs export prefs.db --format pairs'; do
    status=0
    "$attune" $command >/dev/full 2>log || status=$?
    [ $status -eq 1 ] || fail "attune $command on a full standard output: exit status $status"
    grep -qE 'standard output.*No space left on device' log || fail "attune $command does not say that its output was lost"
    tried=$((tried + 1))
done
echo "$tried times the disk was full: a sentence each time, no half of a file, and the same bytes once there was room"
