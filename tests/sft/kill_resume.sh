#!/bin/bash
# A run that is killed and started again gives the bytes of one that was left alone: adapter or model, metrics.jsonl (but for
# times, which stand last in a record) and samples.jsonl. SIGTERM and SIGINT save and stop. $1: folder of the binaries.
set -euo pipefail
attune=$1/attune
seed=${ATTUNE_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed (ATTUNE_TEST_SEED=$seed repeats the moments)"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

fail() {
    echo "kill_resume: $*"
    cat log 2>/dev/null || true
    exit 1
}

cp -r "$ATTUNE_FIXTURES/tiny-text" model
"$attune" init model --deviation 0.2 --seed 11 2>log
record() { # <number>: answers of very different lengths
    local answer="it is" i
    for ((i = 0; i < $1 * 7 % 19; i++)); do answer+=" the sea"; done
    echo "{\"messages\": [{\"role\": \"user\", \"content\": \"what is $1\"}, {\"role\": \"assistant\", \"content\": \"$answer\"}]}"
}
for ((n = 0; n < 60; n++)); do record $n; done >train.jsonl
for ((n = 60; n < 66; n++)); do record $n; done >eval.jsonl

# Evaluations, records and checkpoints fall on different steps, and the last step is none of theirs.
cat >common.yaml <<'END'
model_name_or_path: model
dataset: train.jsonl
eval_dataset: eval.jsonl
max_length: 250
dtype: f32
threads: 1
per_device_train_batch_size: 2
gradient_accumulation_steps: 2
logging_steps: 3
eval_steps: 7
save_steps: 4
save_total_limit: 2
learning_rate: 3.0e-3
sample_prompts: [what is the sea]
sample_max_new_tokens: 8
END
{ cat common.yaml; echo 'packing: true'; echo 'lora_r: 4'; echo 'lora_dropout: 0.1'; } >lora.yaml
{ cat common.yaml; echo 'finetuning_type: full'; echo 'load_best_model_at_end: true'; } >full.yaml
declare -A steps=([lora]=122 [full]=62) result=([lora]=adapter_model.safetensors [full]=model.safetensors)

sft() { # <method> <output_dir>
    exec "$1" sft "$2.yaml" --output_dir "$3" --max_steps "${steps[$2]}"
}
left_alone() { # <method>
    (sft "$attune" "$1" "$1-alone") 2>log || fail "$1: the run left alone failed"
}
without_times() {
    sed -E 's/, "(tokens_per_second|time.eval|seconds|peak_memory_mib)": .*$//' "$1"
}
same_as_alone() { # <method> <output_dir> <what happened to it>
    cmp "$1-alone/${result[$1]}" "$2/${result[$1]}" || fail "$1 $3: the results differ"
    cmp <(without_times "$1-alone/metrics.jsonl") <(without_times "$2/metrics.jsonl") || fail "$1 $3: metrics.jsonl differs"
    cmp "$1-alone/samples.jsonl" "$2/samples.jsonl" || fail "$1 $3: samples.jsonl differs"
    if compgen -G "$2/*.partial" >/dev/null; then fail "$1 $3: something half-written was left"; fi
}
# Waits until the run <process> has written so many records, or has ended.
wait_for_records() { # <output_dir> <records> <process>
    local there=0
    while kill -0 "$3" 2>/dev/null; do
        there=$(wc -l 2>/dev/null <"$1/metrics.jsonl" || echo 0)
        [ "$there" -lt "$2" ] || return 0
        sleep 0.002
    done
    return 1
}

killed() { # <method>
    local all hits=0 part records process
    all=$(wc -l <"$1-alone/metrics.jsonl")
    for part in 10 35 60; do # percent of the records, and a random bit on top
        records=$((all * (part + RANDOM % 25) / 100))
        (sft "$attune" "$1" "$1-killed") 2>log &
        process=$!
        if wait_for_records "$1-killed" $records $process; then
            sleep "0.0$((RANDOM % 30))"
            if kill -KILL $process 2>/dev/null; then hits=$((hits + 1)); fi
        fi
        wait $process 2>/dev/null || true # it was killed
        echo "$1: killed at record $records of $all; checkpoints: $(cd "$1-killed" 2>/dev/null && echo check*)"
    done
    [ $hits -gt 0 ] || return 1
    (sft "$attune" "$1" "$1-killed") 2>log || fail "$1: the killed run did not go on"
    same_as_alone "$1" "$1-killed" "after three kills"
}

stopped() { # <method> <signal> <its number>
    local status=0 process
    rm -rf stopped
    # Jobs in the background of a script ignore SIGINT; attune must get it as from a terminal.
    env --default-signal=INT "$attune" sft "$1.yaml" --output_dir stopped --max_steps "${steps[$1]}" 2>log &
    process=$!
    wait_for_records stopped 3 $process && kill "-$2" $process 2>/dev/null || { wait $process; return 1; }
    wait $process || status=$?
    [ $status -ne 0 ] || return 1
    [ $status -eq $((128 + $3)) ] || fail "$1: SIG$2 ended with $status"
    grep -q 'goes on from checkpoint-' log || fail "$1: SIG$2: nothing is said about going on"
    [ ! -e stopped/state.json ] || fail "$1: SIG$2: the run says it is finished"
    local last
    last=$(grep -oE 'goes on from checkpoint-[0-9]+' log | grep -oE '[0-9]+$')
    [ -e "stopped/checkpoint-$last/state.json" ] || fail "$1: SIG$2: checkpoint-$last is not there"
    (sft "$attune" "$1" stopped) 2>log || fail "$1: the stopped run did not go on"
    grep -q "resumed from stopped/checkpoint-$last" log || fail "$1: SIG$2: it did not go on from checkpoint-$last"
    same_as_alone "$1" stopped "after SIG$2"
}

# On a busy machine a run may end before the signal reaches it: then once more, a few times.
in_time() { # <what> <method> ...
    local attempt
    for attempt in 1 2 3 4 5; do
        if "$@"; then return 0; fi
        rm -rf "$2-killed" stopped
    done
    fail "$*: no signal came in time in five runs"
}

for method in lora full; do
    left_alone $method
    in_time killed $method
    in_time stopped $method TERM 15
    in_time stopped $method INT 2
done

# A finished run started again does nothing, and says so.
find lora-alone -type f -exec cksum {} + | sort >before
(sft "$attune" lora lora-alone) 2>log || fail "a finished run started again failed"
grep -q 'is finished (122 steps); nothing to do' log || fail "a finished run does not say that it is"
find lora-alone -type f -exec cksum {} + | sort | cmp before - || fail "a finished run was changed"

refused() { # <text in the message> <arguments of attune sft>
    local text=$1 status=0
    shift
    "$attune" sft "$@" 2>log || status=$?
    [ $status -eq 1 ] || fail "attune sft $*: exit status $status instead of 1"
    grep -qF -- "$text" log || fail "attune sft $*: the message lacks '$text'"
    find lora-alone -type f -exec cksum {} + | sort | cmp before - || fail "attune sft $*: the folder was changed"
}
refused 'already holds a finished run' lora.yaml --output_dir lora-alone --max_steps 122 --resume_from_checkpoint never
refused 'learning_rate' lora.yaml --output_dir lora-alone --max_steps 130 --learning_rate 1e-3
sed -i.kept '$d' train.jsonl
refused 'training examples of the run changed' lora.yaml --output_dir lora-alone --max_steps 130
mv train.jsonl.kept train.jsonl
rm lora-alone/state.json
find lora-alone -type f -exec cksum {} + | sort >before
refused 'resume_from_checkpoint: auto' lora.yaml --output_dir lora-alone --max_steps 122 --resume_from_checkpoint never
echo "three kills, two signals and a second start: the same bytes, by LoRA and in full"
