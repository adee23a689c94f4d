# tests/support/kill_resume.sh - a run that is killed and started again gives the bytes of one that was left alone; SIGTERM and
# SIGINT save and stop; a finished run is left as it is. Sourced by tests/<stage>/kill_resume.sh:
#
#   kill_resume_begin STAGE             works in a scratch folder that holds `model`, tiny-text with random weights
#   (the stage writes its data)
#   kill_resume_recipe METHOD LINES     a recipe of it with these lines
#   steps[METHOD]=..                    max_steps; result[METHOD]: the file of the trained tensors
#   compared=(FILE ..)                  further files of the run's folder that must have the same bytes
#   kill_resume_method METHOD           three kills, SIGTERM, SIGINT
#   kill_resume_finished METHOD         a second start, and recipes that would not go on; call it after kill_resume_method.
#                                       DATA is a file of the recipe whose last line can be taken away
#
# metrics.jsonl is compared without times, which stand last in a record.
. "$(dirname "${BASH_SOURCE[0]}")/shell_tests.sh"
declare -A steps result
compared=()

kill_resume_begin() { # <stage>
    stage=$1
    seed=${ATTUNE_TEST_SEED:-$RANDOM}
    RANDOM=$seed
    echo "seed $seed (ATTUNE_TEST_SEED=$seed repeats the moments)"
    cp -r "$ATTUNE_FIXTURES/tiny-text" model
    run init model --deviation 0.2 --seed 11
}

# Evaluations, records and checkpoints fall on different steps, and the last step should be none of theirs.
kill_resume_recipe() { # <method> <lines of the recipe>
    cat >"$1.yaml" <<END_OF_RECIPE
model_name_or_path: model
dtype: f32
threads: 1
logging_steps: 3
eval_steps: 7
save_steps: 4
save_total_limit: 2
learning_rate: 3.0e-3
$2
END_OF_RECIPE
}

train() { # <method> <output_dir>; in a subshell, which it becomes
    exec "$attune" "$stage" "$1.yaml" --output_dir "$2" --max_steps "${steps[$1]}"
}
without_times() {
    sed -E 's/, "(tokens_per_second|time\/[a-z_]*|seconds|peak_memory_mib)": .*$//' "$1"
}
same_as_alone() { # <method> <output_dir> <what happened to it>
    local file
    for file in "${result[$1]}" "${compared[@]}"; do
        cmp "$1-alone/$file" "$2/$file" || fail "$1 $3: $file differs"
    done
    cmp <(without_times "$1-alone/metrics.jsonl") <(without_times "$2/metrics.jsonl") || fail "$1 $3: metrics.jsonl differs"
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
        (train "$1" "$1-killed") 2>log &
        process=$!
        if wait_for_records "$1-killed" $records $process; then
            sleep "0.0$((RANDOM % 30))"
            if kill -KILL $process 2>/dev/null; then hits=$((hits + 1)); fi
        fi
        wait $process 2>/dev/null || true # it was killed
        echo "$1: killed at record $records of $all; checkpoints: $(cd "$1-killed" 2>/dev/null && echo check*)"
    done
    [ $hits -gt 0 ] || return 1
    (train "$1" "$1-killed") 2>log || fail "$1: the killed run did not go on"
    same_as_alone "$1" "$1-killed" "after three kills"
}

stopped() { # <method> <signal> <its number>
    local status=0 process
    rm -rf stopped
    # Jobs in the background of a script ignore SIGINT; attune must get it as from a terminal.
    env --default-signal=INT "$attune" "$stage" "$1.yaml" --output_dir stopped --max_steps "${steps[$1]}" 2>log &
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
    (train "$1" stopped) 2>log || fail "$1: the stopped run did not go on"
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

kill_resume_method() { # <method>
    (train "$1" "$1-alone") 2>log || fail "$1: the run left alone failed"
    in_time killed "$1"
    in_time stopped "$1" TERM 15
    in_time stopped "$1" INT 2
}

sums_of() {
    find "$1" -type f -exec cksum {} + | sort
}

refused() { # <method> <text in the message> <arguments>
    local method=$1 text=$2 status=0
    shift 2
    "$attune" "$stage" "$method.yaml" --output_dir "$method-alone" "$@" 2>log || status=$?
    [ $status -eq 1 ] || fail "attune $stage $*: exit status $status instead of 1"
    grep -qF -- "$text" log || fail "attune $stage $*: the message lacks '$text'"
    sums_of "$method-alone" | cmp before - || fail "attune $stage $*: the folder was changed"
}

kill_resume_finished() { # <method> <DATA> <what a changed file of it is called>
    local last=${steps[$1]} further=$((${steps[$1]} + 8))
    sums_of "$1-alone" >before
    (train "$1" "$1-alone") 2>log || fail "a finished run started again failed"
    grep -q "is finished ($last steps); nothing to do" log || fail "a finished run does not say that it is"
    sums_of "$1-alone" | cmp before - || fail "a finished run was changed"
    refused "$1" 'already holds a finished run' --max_steps "$last" --resume_from_checkpoint never
    refused "$1" 'learning_rate' --max_steps $further --learning_rate 1e-3
    sed -i.kept '$d' "$2"
    refused "$1" "$3 of the run changed" --max_steps $further
    mv "$2.kept" "$2"
    rm "$1-alone/state.json"
    sums_of "$1-alone" >before
    refused "$1" 'resume_from_checkpoint: auto' --max_steps "$last" --resume_from_checkpoint never
}
