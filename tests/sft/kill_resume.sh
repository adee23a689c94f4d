#!/bin/bash
# An SFT run that is killed and started again gives the bytes of one that was left alone: adapter or model, metrics.jsonl and
# samples.jsonl; see tests/support/kill_resume.sh. $1: folder of the binaries.
. "$(dirname "$0")/../support/kill_resume.sh"
kill_resume_begin sft

record() { # <number>: answers of very different lengths
    local answer="it is" i
    for ((i = 0; i < $1 * 7 % 19; i++)); do answer+=" the sea"; done
    echo "{\"messages\": [{\"role\": \"user\", \"content\": \"what is $1\"}, {\"role\": \"assistant\", \"content\": \"$answer\"}]}"
}
for ((n = 0; n < 60; n++)); do record $n; done >train.jsonl
for ((n = 60; n < 66; n++)); do record $n; done >eval.jsonl

common='dataset: train.jsonl
eval_dataset: eval.jsonl
max_length: 250
per_device_train_batch_size: 2
gradient_accumulation_steps: 2
sample_prompts: [what is the sea]
sample_max_new_tokens: 8'
kill_resume_recipe lora "$common
packing: true
lora_r: 4
lora_dropout: 0.1"
kill_resume_recipe full "$common
finetuning_type: full
load_best_model_at_end: true"
steps=([lora]=122 [full]=62)
result=([lora]=adapter_model.safetensors [full]=model.safetensors)
compared=(samples.jsonl)

for method in lora full; do kill_resume_method $method; done
kill_resume_finished lora train.jsonl 'training examples'
echo "three kills, two signals and a second start: the same bytes, by LoRA and in full"
