#!/bin/bash
# A reward run that is killed and started again gives the bytes of one that was left alone: adapter or model with its
# normalised head, metrics.jsonl and figures.json; see tests/support/kill_resume.sh. $1: folder of the binaries.
. "$(dirname "$0")/../support/kill_resume.sh"
kill_resume_begin reward

record() { # <number>: answers of very different lengths
    local chosen="it is" rejected="it" i
    for ((i = 0; i < $1 * 7 % 11; i++)); do chosen+=" the sea"; done
    for ((i = 0; i < $1 * 5 % 13; i++)); do rejected+=" a moon"; done
    echo "{\"prompt\": \"what is $1\", \"chosen\": \"$chosen\", \"rejected\": \"$rejected\"}"
}
for ((n = 0; n < 60; n++)); do record $n; done >train.jsonl
for ((n = 60; n < 72; n++)); do record $n; done >eval.jsonl

common='dataset: train.jsonl
eval_dataset: eval.jsonl
max_length: 250
per_device_train_batch_size: 2
gradient_accumulation_steps: 2
label_smoothing: 0.05'
kill_resume_recipe lora "$common
lora_r: 4
lora_dropout: 0.1"
kill_resume_recipe full "$common
finetuning_type: full
load_best_model_at_end: true"
steps=([lora]=122 [full]=62)
result=([lora]=adapter_model.safetensors [full]=model.safetensors)
compared=(figures.json)

for method in lora full; do kill_resume_method $method; done
kill_resume_finished lora train.jsonl 'training examples'
echo "three kills, two signals and a second start: the same bytes, by LoRA and in full"
