#!/bin/bash
# A PPO run that is killed and started again gives the bytes of one that was left alone: policy and critic, KL coefficient and
# statistics, metrics.jsonl, samples.jsonl and the journal of scores; see tests/support/kill_resume.sh. An iteration is rollout, scoring,
# update and record, so a kill falls into any of them. $1: folder of the binaries.
. "$(dirname "$0")/../support/kill_resume.sh"
kill_resume_begin ppo

for ((n = 0; n < 40; n++)); do
    echo "{\"prompt\": [{\"role\": \"user\", \"content\": \"what is $((n * 7919))\"}]}"
done >prompts.jsonl

# The score of an answer: the letters e in its request, which are no others than those of the answer.
cat >score.sh <<'END_OF_PROGRAM'
while IFS= read -r line; do
    response=${line#*\"response\"}
    response=${response%\"completion\"*}
    letters=${response//[^e]/}
    echo "{\"score\": ${#letters}}"
done
END_OF_PROGRAM

common='dataset: prompts.jsonl
eval_split: 0.2
max_length: 100
reward_command: bash score.sh
response_length: 10
per_device_train_batch_size: 6
sample_max_new_tokens: 8
num_ppo_epochs: 2
num_mini_batches: 2'
kill_resume_recipe gae "$common
lora_r: 4
adaptive_kl: true
kl_target: 0.5
kl_horizon: 100
use_score_norm: true"
kill_resume_recipe grpo "$common
lora_r: 4
advantage_estimator: grpo
num_generations: 3
kl_coef: 0.1"
kill_resume_recipe full "$common
finetuning_type: full"
steps=([gae]=62 [grpo]=50 [full]=38)
result=([gae]=adapter_model.safetensors [grpo]=adapter_model.safetensors [full]=model.safetensors)

for method in gae grpo full; do
    case $method in
    gae) compared=(samples.jsonl rewards.jsonl critic/adapter_model.safetensors) ;;
    grpo) compared=(samples.jsonl rewards.jsonl) ;;
    full) compared=(samples.jsonl rewards.jsonl critic/model.safetensors) ;;
    esac
    kill_resume_method $method
done
kill_resume_finished gae prompts.jsonl 'training examples'
echo "three kills, two signals and a second start: the same bytes, by gae, grpo and in full"
