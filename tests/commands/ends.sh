#!/bin/bash
# A base model that knows no end but <|endoftext|>, tuned with ChatML: its answers end at <|im_end|>, in attune generate, eval and ppo, with
# the adapter and merged. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"

cp -r "$ATTUNE_FIXTURES/tiny-text" model
sed -i 's/"eos_token_id": 2/"eos_token_id": 0/' model/config.json
echo '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}' >model/tokenizer_config.json
run init model --deviation 0.2 --seed 11
cat >train.jsonl <<'END'
{"messages": [{"role": "user", "content": "name an animal"}, {"role": "assistant", "content": "a whale"}]}
{"messages": [{"role": "user", "content": "what is four"}, {"role": "assistant", "content": "four is four"}]}
END
printf '{"prompt": "name an animal"}\n{"prompt": "what is four"}\n' >prompts.jsonl
cat >recipe.yaml <<'END'
model_name_or_path: model
output_dir: run
dataset: train.jsonl
chat_template: chatml
max_length: 128
dtype: f32
max_steps: 80
learning_rate: 1.0e-2
lora_r: 8
lora_dropout: 0
per_device_train_batch_size: 2
END
run sft recipe.yaml
run generate model --adapter run --prompts prompts.jsonl --temperature 0 --max-new-tokens 40
lines 1 '"text": "a whale", "tokens": [0-9]+, .*"stopped": true' out
lines 1 '"text": "four is four", "tokens": [0-9]+, .*"stopped": true' out
run eval model --adapter run --data train.jsonl --exact-match --json
near "$(number exact_match out)" 1 0
run export run --merge --to merged
run generate merged --prompts prompts.jsonl --temperature 0 --max-new-tokens 40
lines 2 '"stopped": true' out

cat >ppo.yaml <<'END'
model_name_or_path: model
adapter_name_or_path: run
output_dir: policy
dataset: prompts.jsonl
chat_template: chatml
reward_command: while read -r line; do echo 1; done
max_length: 128
response_length: 40
temperature: 0.2
dtype: f32
max_steps: 1
per_device_train_batch_size: 8
END
run ppo ppo.yaml
says 'answers end at <\|endoftext\|>, <\|im_end\|>$' log
near "$(number val/num_eos_tokens policy/metrics.jsonl)" 8 0
run generate model --adapter policy --prompts prompts.jsonl --temperature 0 --max-new-tokens 40
lines 2 '"stopped": true' out

sed '/^chat_template/d; s/^output_dir: policy/output_dir: other/' ppo.yaml >untold.yaml
mistake 1 'run was trained with chat_template: chatml, and this recipe names none' ppo untold.yaml
# A template whose end of turn is no token here is worth a warning.
run ppo ppo.yaml --chat_template gemma --output_dir other --dry-run
says '^warning: the chat template closes an answer with no special token' log
