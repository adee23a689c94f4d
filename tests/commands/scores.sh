#!/bin/bash
# Reward models through the built commands, with the tiny-score fixture: eval --reward, export, prefs score, generate --best-of; what they
# print, how they end, and what the usual mistakes are answered with. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"

# The adapter names its base "base". Its scores of these answers are those of tests/fixtures/tiny-score/expected.json.
cp -r "$ATTUNE_FIXTURES/tiny-score/base" base
cp "$ATTUNE_FIXTURES"/tiny-text/tokenizer*.json base/
cp -r "$ATTUNE_FIXTURES/tiny-score/adapter" reward
cat >pairs.jsonl <<'END'
{"prompt":[{"role":"user","content":"what is the sum of three and four"}],"chosen":"seven","rejected":"the answer is seven"}
{"prompt":[{"role":"user","content":"what is the sum of three and four"}],"chosen":"seven","rejected":"a whale"}
{"prompt":[{"role":"user","content":"ünïcode?"}],"chosen":"a","rejected":"b","tie":true}
END
cat >models.jsonl <<'END'
{"instruction":"name an animal","completions":[{"response":"a whale","model":"one"},{"response":"seven","model":"two"}]}
{"instruction":"name the sea","completions":[{"response":"the sea","model":"one"},{"response":"in the sea","model":"two"}]}
END
cat >messages.jsonl <<'END'
{"messages":[{"role":"user","content":"what is the sum of three and four"},{"role":"assistant","content":"seven"}]}
END
echo '{"prompt":"what is the sum of three and four","completion":"seven"}' >completion.jsonl

# Scores and their summary: one pair in the right order, one not, one tied; whatever form the answers lie in.
run eval --reward reward pairs.jsonl --format pairs --out scores.jsonl --dtype f32
says '^6 answers to 3 prompts: mean score' out
says '^right order in 50.0 % of 2 pairs' out
says '^1 pairs of equal rank left out' out
lines 3 '' scores.jsonl # one of each prompt
near "$(number score scores.jsonl)" -0.29968 1e-4
says '^\{"line": 1, "prompt": \[\{"role": "user", .*"text": "seven", "rank": 1, "score": -0\.2996' scores.jsonl
run eval --reward reward --data pairs.jsonl --format pairs --json --dtype f32
near "$(number accuracy out)" 0.5 0
near "$(number answers out)" 6 0
for form in messages completion; do
    run eval --reward reward $form.jsonl --json --dtype f32
    near "$(number mean out)" -0.29968 1e-4
    near "$(number answers out)" 1 0
done
run eval --reward reward models.jsonl
says '2 answers  one$' out
says '2 answers  two$' out
run eval --reward reward pairs.jsonl --format pairs --max-length 20 --json
near "$(number too_long out)" 0 0 # the prompt loses its beginning
run eval --reward reward pairs.jsonl --format pairs --max-length 3 --json --out short.jsonl
says '"score": null' short.jsonl

# The mistakes that are made.
mistake 2 'FILE is missing' eval --reward reward
mistake 2 'MODEL is missing' eval --data pairs.jsonl
mistake 2 'no other model' eval base --reward reward --data pairs.jsonl
mistake 2 'what --reward names' eval --reward reward --adapter reward pairs.jsonl
mistake 2 'makes no tokens' eval --reward reward pairs.jsonl --exact-match
mistake 2 '--out goes with --reward' eval base --data pairs.jsonl --out x
mistake 1 'without a score head' eval --reward base pairs.jsonl
mistake 1 'give it as --reward' eval base --adapter reward --data pairs.jsonl
mistake 1 'neither a run nor an adapter nor a model' eval --reward nowhere pairs.jsonl
echo '{"text":"the sea"}' >text.jsonl
mistake 1 'text.jsonl:1: the record has no answer' eval --reward reward text.jsonl
echo '{"messages":[{"role":"user","content":"hello"}]}' >question.jsonl
mistake 1 'no answer of an assistant' eval --reward reward question.jsonl
mistake 1 'longer than --max-length' eval --reward reward messages.jsonl --max-length 2
mkdir elsewhere
(cd elsewhere && mistake 1 'is no folder here' eval --reward ../reward ../pairs.jsonl)
(cd elsewhere && run eval --reward ../reward --reward-base ../base ../messages.jsonl --json --dtype f32 &&
    near "$(number mean out)" -0.29968 1e-4)

# Merged, and merged again in another dtype: the same scores, and no pad token that ends an answer.
run export reward --merge --to merged
says '^pad token 3 ' log
says '"pad_token_id": 3' merged/config.json
says 'LlamaForSequenceClassification' merged/config.json
says '"pad_token": "<\|pad\|>"' merged/tokenizer_config.json
run eval --reward merged messages.jsonl --json --dtype f32
near "$(number mean out)" -0.29968 1e-4
run export merged --to half --dtype bf16
run eval --reward half messages.jsonl --json --dtype f32
near "$(number mean out)" -0.29968 0.1
mistake 1 'is a reward model' eval merged --data messages.jsonl
run export reward --to copy
run eval --reward copy messages.jsonl --json --dtype f32
near "$(number mean out)" -0.29968 1e-4

# Trained runs, an adapter or all weights, with a template that is not the model's own: the run, and the folder that export makes of it, give
# the scores that training normalised, and the folder says how to render and to pad.
head -n 2 pairs.jsonl >train.jsonl
sed -n 3p pairs.jsonl | sed 's/,"tie":true//' >held-out.jsonl
cat >recipe.yaml <<'END'
model_name_or_path: base
dataset: train.jsonl
eval_dataset: held-out.jsonl
chat_template: phi3
max_steps: 3
learning_rate: 1.0e-2
dtype: f32
END
run reward recipe.yaml --output_dir lora --lora_r 4
run export lora --merge --to lora-out
run reward recipe.yaml --output_dir full --finetuning_type full
says '^pad token 3 ' log
run export full --to full-out
for folder in lora lora-out full full-out; do
    run eval --reward $folder held-out.jsonl --json --dtype f32
    near "$(number mean out)" 0 1e-4
    near "$(number deviation out)" 1 1e-4
    run eval --reward $folder train.jsonl --format pairs --json --dtype f32
    cp out $folder.json
done
near "$(number mean lora.json)" "$(number mean lora-out.json)" 1e-3
near "$(number mean full.json)" "$(number mean full-out.json)" 0
for folder in lora-out full full-out; do
    says 'phi3|<\|end\|>' $folder/chat_template.jinja
    says '"pad_token_id": 3' $folder/config.json
done
run eval --reward lora train.jsonl --format pairs --json --dtype f32 --chat-template chatml
[ "$(number mean lora.json)" != "$(number mean out)" ] || fail 'another template gives other texts'

# Into a database: all answers, then only what is new; the least sure items come first.
run prefs init p.db
run prefs import p.db pairs.jsonl --format pairs --as items
run prefs score p.db --reward reward --dtype f32
says '^6 answers scored by reward [0-9a-f]{8}, mean -.*; 3 open items ordered$' out
run prefs score p.db --reward reward/ --dtype f32
says '^0 answers scored by reward [0-9a-f]{8}; 3 open items ordered$' out
run prefs import p.db models.jsonl --as items
run prefs score p.db --reward reward --dtype f32
says '^4 answers scored .*; 5 open items ordered$' out
run prefs score p.db --reward merged --dtype f32
says '^10 answers scored by merged ' out
run prefs score p.db --reward reward --scorer mine --max-length 3
says 'by mine, .*left out: longer than --max-length' out
run prefs check p.db
run prefs export p.db --format answers
grep -oE '"answer":[0-9]+' out | sed 's/"answer":\(.*\)/{"answer":\1,"score":0}/' >theirs.jsonl
run prefs score p.db theirs.jsonl --scorer theirs
says ' answers scored by theirs; 5 open items ordered$' out
echo '{"answer":999,"score":1}' >theirs.jsonl
mistake 1 'no answer 999' prefs score p.db theirs.jsonl
mistake 2 'either --reward R' prefs score p.db
mistake 2 'either --reward R' prefs score p.db theirs.jsonl --reward reward
mistake 1 'without a score head' prefs score p.db --reward base
mistake 2 "did you mean 'score'" prefs scores p.db

# Killed, it goes on where it stopped.
for i in $(seq 2000); do echo "{\"prompt\":[{\"role\":\"user\",\"content\":\"what is $i\"}],\"chosen\":\"seven\",\"rejected\":\"four\"}"; done >many.jsonl
run prefs init many.db
run prefs import many.db many.jsonl --as items
timeout -s KILL 0.3 "$attune" prefs score many.db --reward reward >killed 2>&1 || true
run prefs check many.db
run prefs score many.db --reward reward
says '; 2000 open items ordered$' out
run prefs score many.db --reward reward
says '^0 answers scored' out

# The best of several answers is the first of all of them by score, and one that was asked for alone.
printf '%s\n' '{"prompt":"name an animal"}' '{"prompt":[{"role":"user","content":"what is four"}]}' >prompts.jsonl
run generate base --prompts prompts.jsonl --best-of 5 --reward reward --max-new-tokens 8 --json --dtype f32
says 'mean score -?[0-9.]+; of the best of 5 ' log
[ "$(grep -o '"score"' out | wc -l)" -eq 10 ] || fail 'ten answers were made'
cp out all
while read -r line; do
    grep -oE '"score": -?[0-9.e-]+' <<<"$line" | sed 's/.*: //' >given
    sort -gr given | cmp -s - given || fail 'the answers are not in the order of their scores'
done <all
run generate base --prompts prompts.jsonl --best-of 5 --reward reward --max-new-tokens 8 --dtype f32
[ "$(grep -o '"score"' out | wc -l)" -eq 2 ] || fail 'one answer to each of two prompts'
while read -r best <&3 && read -r line <&4; do
    case $line in "${best%]\}}"*) ;; *) fail 'the best answer is not the first of all' ;; esac
done 3<out 4<all
run generate base --prompts prompts.jsonl --n 2 --reward merged --max-new-tokens 4
[ "$(grep -o '"score"' out | wc -l)" -eq 4 ] || fail 'each answer gets a score'
mistake 2 'needs --reward' generate base --prompts prompts.jsonl --best-of 2
mistake 2 'give one of them' generate base --prompts prompts.jsonl --best-of 2 --n 2 --reward reward
mistake 2 '--json goes with --best-of' generate base --prompts prompts.jsonl --json
mistake 1 'is a reward model' generate merged --prompts prompts.jsonl
echo "scores: all is well"
