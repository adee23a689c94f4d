#!/bin/bash
# The spine through the built commands, with the tiny-text model: sft, export --merge, eval, generate, chat; what they print, how
# they end, and what the usual mistakes are answered with. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"

cp -r "$ATTUNE_FIXTURES/tiny-text" model
run init model --deviation 0.2 --seed 11
mistake 1 'model/model.safetensors is already there' init model
cat >train.jsonl <<'END'
{"messages": [{"role": "user", "content": "what is the sea"}, {"role": "assistant", "content": "the sea is the sea"}]}
{"messages": [{"role": "user", "content": "name an animal"}, {"role": "assistant", "content": "a whale"}]}
{"messages": [{"role": "user", "content": "what is four"}, {"role": "assistant", "content": "four is four"}]}
END
printf '{"prompt": "name an animal"}\n{"prompt": "what is four"}\n' >prompts.jsonl
cat >recipe.yaml <<'END'
model_name_or_path: model
output_dir: run
dataset: train.jsonl
eval_dataset: train.jsonl
max_length: 128
dtype: f32
max_steps: 60
learning_rate: 1.0e-2
lora_r: 8
lora_dropout: 0
per_device_train_batch_size: 3
END

# A dry run prints data and plan, and leaves nothing behind.
ls -A >before
run sft recipe.yaml --dry-run
says '^ +total +[0-9.]+ MiB' log
says '3 examples, ' log
ls -A | grep -vxE 'out|log|before' | cmp - <(grep -vxE 'out|log|before' before) || fail 'a dry run left something behind'

# The run, its evaluation, and the merged model agree.
run sft recipe.yaml
[ ! -s out ] || fail 'attune sft printed to standard output'
for file in adapter_config.json adapter_model.safetensors metrics.jsonl recipe.resolved.yaml state.json; do
    [ -s run/$file ] || fail "the run has no $file"
done
trained=$(grep '"step": 60,.*"eval_loss"' run/metrics.jsonl >last && number eval_loss last)
run eval model --data train.jsonl --json --dtype f32
near "$(number eval_loss out)" "$(head -n 1 run/metrics.jsonl >first && number eval_loss first)" 1e-5
run eval model --adapter run --data train.jsonl --json --dtype f32
near "$(number eval_loss out)" "$trained" 1e-5
near "$(number examples out)" 3 0
near "$(number tokens out)" 17 0
run export run --merge --to merged --dtype f32 --json
[ "$(cat out)" = '{"to": "merged"}' ] || fail 'attune export --json prints something else'
run eval merged --data train.jsonl --json --dtype f32 --token-logprobs logprobs.jsonl
near "$(number eval_loss out)" "$trained" 1e-5
lines 3 '' logprobs.jsonl
lines 3 '^\{"ids":\[[0-9]+(,[0-9]+)+\],"logprobs":\[null(,-?[0-9.]+(e-?[0-9]+)?)+\]\}$' logprobs.jsonl
# As many log-probabilities as ids; those of the answers have the mean that was printed.
awk -F'[][]' '{ if (split($2, a, ",") != split($4, b, ",")) exit 1 }' logprobs.jsonl || fail 'ids and logprobs differ in number'
run eval merged --data train.jsonl
says '^loss [0-9.]+  perplexity [0-9.]+  token accuracy 1\.000  \(3 examples, 17 tokens\)$' out
run eval merged --data train.jsonl --exact-match --json --answers answers.jsonl
near "$(number exact_match out)" 1 0
says '"expected": "four is four", "answer": "four is four", "equal": true' answers.jsonl

# Exports: the adapter itself, a checkpoint, a model in another dtype; a folder in use is refused.
run export run --to adapter
cmp run/adapter_model.safetensors adapter/adapter_model.safetensors || fail 'the exported adapter differs from the run'"'"'s'
run export run/checkpoint-60 --merge --to from-checkpoint --dtype f32
cmp merged/model.safetensors from-checkpoint/model.safetensors || fail 'the last checkpoint merges to something else'
run export merged --dtype bf16 --to narrow
says '"torch_dtype": "bfloat16"' narrow/config.json
run eval narrow --data train.jsonl --json
near "$(number eval_loss out)" "$trained" 0.1
mistake 1 "'merged' is not empty" export run --merge --to merged
mistake 1 "'adapter' already holds an adapter" export run --to adapter
mistake 1 "'prompts.jsonl' is a file" export run --merge --to prompts.jsonl

# Answers: greedy ones are what was learned; samples depend on the seed, not on what else is in the batch.
run generate merged --prompts prompts.jsonl --temperature 0 --max-new-tokens 16
says '^\{"prompt": "name an animal", "answers": \[\{"text": "a whale", "tokens": [0-9]+, "logprob": -[0-9.]+, "stopped": true\}\]\}$' out
says '"text": "four is four"' out
run generate model --adapter run --prompts prompts.jsonl --n 3 --seed 3 --max-new-tokens 16 --out together.jsonl
[ ! -s out ] || fail 'attune generate --out printed to standard output'
run generate model --adapter run --prompts prompts.jsonl --n 3 --seed 3 --max-new-tokens 16 --batch-size 1 --out alone.jsonl
cmp together.jsonl alone.jsonl || fail 'answers depend on the batch size'
run generate model --adapter run --prompts prompts.jsonl --n 3 --seed 4 --max-new-tokens 16 --out other.jsonl
if cmp -s together.jsonl other.jsonl; then fail 'another seed gives the same answers'; fi
printf 'name an animal\nwhat is four\n/reset\nname an animal\n/exit\n' |
    "$attune" chat merged --temperature 0 --max-new-tokens 16 >out 2>log || fail 'attune chat failed'
[ "$(sed -n '1p;3p' out)" = $'a whale\na whale' ] || fail 'attune chat answers something else'

# Full tuning ends in a model folder.
run sft recipe.yaml --output_dir full --finetuning_type full --lora_r null --lora_dropout null --max_steps 30 --learning_rate 3e-3
run eval full --data train.jsonl --json --dtype f32
grep '"step": 30,.*"eval_loss"' full/metrics.jsonl >last
near "$(number eval_loss out)" "$(number eval_loss last)" 1e-5
run export full --to full-exported
cmp full/model.safetensors full-exported/model.safetensors || fail 'exporting a tuned model changed its weights'

# Mistakes.
cp -r model other && rm other/model.safetensors && run init other --deviation 0.2 --seed 12
cp -r model small && rm small/model.safetensors
sed -i 's/"vocab_size": 320/"vocab_size": 300/' small/config.json && run init small
cp -r adapter moved && sed -i 's/"base_model_name_or_path": "model"/"base_model_name_or_path": "gone"/' moved/adapter_config.json
printf '{"text": "%s"}\n' "$(yes 'the sea' | head -n 200 | tr '\n' ' ')" >long.jsonl
mistake 1 "'nowhere' is no folder" sft recipe.yaml --model_name_or_path nowhere --output_dir none
mistake 1 "makes the id 317, but the model's vocabulary has 300" sft recipe.yaml --model_name_or_path small --output_dir none
mistake 1 'are allowed (max_memory_mib)' sft recipe.yaml --max_memory_mib 1 --output_dir none
mistake 1 'max_position_embeddings' sft recipe.yaml --max_length 4096 --dataset.0.path long.jsonl --output_dir none
mistake 1 "there is no such file" sft recipe.yaml --dataset.0.path nowhere.jsonl --output_dir none
[ ! -e none ] || fail 'a run that could not begin left its folder behind'
mistake 2 'did you mean learning_rate?' sft recipe.yaml --leraning_rate 1
mistake 2 "there is no such file" sft nowhere.yaml
mistake 2 'dtype must be one of auto, f32, bf16' sft recipe.yaml --dtype bf17
mistake 2 'RECIPE is missing' sft
for command in 'eval --data train.jsonl' 'generate --prompts prompts.jsonl --max-new-tokens 8' 'chat --max-new-tokens 8'; do
    verb=${command%% *} options=${command#"$verb"}
    mistake 1 "'nowhere' is no folder" $verb nowhere $options
    mistake 1 'trained on other weights' $verb other $options --adapter run
    mistake 1 'is no adapter' $verb model $options --adapter model
    mistake 1 'built without CUDA' $verb model $options --device cuda
    mistake 2 'MODEL is' $verb
    mistake 2 'did you mean --dtype?' $verb model $options --dtpye f32
    mistake 2 'takes one of auto, f32, bf16' $verb model $options --dtype f64
    if [ "$verb" != chat ]; then mistake 1 "but the model's vocabulary has 300" $verb small $options; fi
done
if echo 'what is the sea' | "$attune" chat small --max-new-tokens 8 >out 2>log; then fail 'ids that a model does not have'; fi
says "but the model's vocabulary has 300" log
mistake 1 'trained on other weights' export run --base other --merge --to none
mistake 1 'is neither a run nor an adapter nor a model' export nowhere --to none
mistake 1 'no folder here; give the base' export moved --to none
mistake 2 '--to DIR is needed' export run
mistake 2 '--data FILE is needed' eval model
mistake 1 'there is no such file' eval model --data nowhere.jsonl
mistake 2 '--prompts FILE is needed' generate model
mistake 2 'must be from 1 to 1024' generate model --prompts prompts.jsonl --n 0
mistake 1 'leaves no room for a prompt' generate model --prompts prompts.jsonl --max-new-tokens 256
mistake 1 'leaves no room for a conversation' chat model --max-new-tokens 256
[ ! -e none ] || fail 'a failing export left its folder behind'
echo 'tuned, exported, evaluated and asked; every mistake was answered'
