#!/bin/bash
# attune prefs sample: answers of the tiny-text model with random weights become items that can be labelled; what is there
# already is not added again; mistakes leave the database as it is. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"

answers() { # <DB> <file>: every item's answers, without their numbers in the database
    "$attune" prefs export "$1" --format answers 2>log | sed -E 's/"(item|answer)": ?[0-9]+/"\1":0/g' >"$2"
}

for model in model second; do
    cp -r "$ATTUNE_FIXTURES/tiny-text" $model
    run init $model --deviation 0.2 --seed ${#model}
done
printf '%s\n' '{"prompt": "name an animal"}' '{"prompt": [{"role": "user", "content": "hello"}, {"role": "assistant",
    "content": "hi"}, {"role": "user", "content": "what is \"four\""}]}' | tr -d '\n' | sed 's/}{/}\n{/' >prompts.jsonl
echo >>prompts.jsonl
printf 'name a plant\nname a stone\n' >prompts.txt
run prefs init prefs.db

# Items of four answers; the same again adds nothing, whatever was answered at once; another seed does.
sample=(prefs sample prefs.db --model model --prompts prompts.jsonl --n 4 --max-new-tokens 12)
run "${sample[@]}"
says 'prompts.jsonl: 2 prompts: 2 new items, 0 known already, 0 answers dropped' out
run prefs check prefs.db
run prefs stats prefs.db
says '2 open' out
answers prefs.db first
lines 2 '' first
[ "$(grep -o '"answer":0' first | wc -l)" = 8 ] || fail "eight answers were to be stored: $(cat first)"
run "${sample[@]}" --batch-size 1
says '0 new items, 2 known already' out
answers prefs.db again
cmp first again || fail 'the same command again changed the items'
run "${sample[@]}" --seed 43
says '2 new items, 0 known already' out

# They can be ranked, and the models that wrote the answers are remembered.
run prefs annotator add prefs.db ann
printf 'a b c d\nd c b a\n' | "$attune" prefs label prefs.db ann >out 2>log || fail 'label failed'
run prefs stats prefs.db
says '2 open' out
says '^ann +2 ' out
run prefs export prefs.db --format trl
lines 12 '' out # two rankings of four are twelve pairs
run prefs check prefs.db

# The answers are those of attune generate.
run generate model --prompts prompts.jsonl --n 4 --max-new-tokens 12
while read -r text; do
    grep -qF -- "$text" first || fail "attune generate says $text, attune prefs sample does not"
done < <(grep -oE '"text": "([^"\\]|\\.)*"' out | sed 's/"text": //')

# Two models take turns, from another folder and into a project of a database with a space in its name.
mkdir 'a folder' && cd 'a folder'
run prefs init './two models.db' --project pairs
run prefs init './two models.db' --project rest
turns=(prefs sample './two models.db' --project pairs --prompts ../prompts.txt --max-new-tokens 12)
run "${turns[@]}" --model ../model/ --model ../second --n 5
says '2 new items' out
run prefs annotator add 'two models.db' ann
printf 'a b c d e\na b c d e\n' | "$attune" prefs label './two models.db' ann --project pairs >out 2>log || fail 'label failed'
run prefs stats './two models.db' --project pairs
says '../model ' out
says '../second ' out
run prefs stats './two models.db' --project rest
says '0 open' out
run "${turns[@]}" --model ../model --model ../model --n 2
says '2 new items' out
run prefs check "$PWD/two models.db"
cd ..

# A model against its own tuning; --adapter is for the models that name none.
cat >recipe.yaml <<'END'
model_name_or_path: model
output_dir: run
dataset: train.jsonl
dtype: f32
max_steps: 2
lora_r: 4
END
echo '{"messages": [{"role": "user", "content": "what"}, {"role": "assistant", "content": "a whale"}]}' >train.jsonl
run sft recipe.yaml
run prefs init tuned.db
run prefs sample tuned.db --model model --model model+run/ --prompts prompts.txt --max-new-tokens 12
says '2 new items' out
run prefs sample tuned.db --model model --adapter run --prompts prompts.txt --n 3 --max-new-tokens 12 --seed 1
says '2 new items' out
run prefs annotator add tuned.db ann
printf 'a b\na b\na b c\na b c\n' | "$attune" prefs label tuned.db ann >out 2>log || fail 'label failed'
run prefs stats tuned.db
says 'model ' out
says 'model\+run ' out
run prefs check tuned.db

# One answer is a thumb; the same answer twice is one, and no item.
run prefs sample prefs.db --model model --prompts prompts.txt --n 1 --max-new-tokens 12
says '2 new items' out
run prefs sample prefs.db --model model --model second --prompts prompts.txt --n 4 --temperature 0 --max-new-tokens 12
says '2 new items, 0 known already, 4 answers dropped' out
run prefs check prefs.db
if "$attune" prefs sample prefs.db --model model --prompts prompts.txt --temperature 0 --max-new-tokens 12 >out 2>log; then
    fail 'no item was made, and that was no failure'
fi
says '0 new items, 0 known already, 2 answers dropped as said before, 2 prompts left out because all answers were the same' out
says 'higher --temperature' log
run prefs check prefs.db

# Mistakes.
cp prefs.db before.db
mistake 1 "'nowhere' is no folder" prefs sample prefs.db --model nowhere --prompts prompts.txt --max-new-tokens 12
mistake 1 "'nowhere' is no folder" prefs sample prefs.db --model model --model nowhere --prompts prompts.txt
mistake 1 'is no adapter' prefs sample prefs.db --model model --model model+second --prompts prompts.txt
mistake 1 'is no adapter' prefs sample prefs.db --model model --adapter second --prompts prompts.txt
mistake 1 'there is no such file' prefs sample prefs.db --model model --prompts nowhere.txt --max-new-tokens 12
mistake 1 'leaves no room for a prompt' prefs sample prefs.db --model model --prompts prompts.txt --max-new-tokens 256
mistake 1 "no project 'other'" prefs sample prefs.db --project other --model model --prompts prompts.txt
mistake 1 'attune prefs init' prefs sample nowhere.db --model model --prompts prompts.txt
mistake 2 'at most 200 bytes' prefs sample prefs.db --model "$(printf 'x%.0s' {1..201})" --prompts prompts.txt
mistake 2 'DB is missing' prefs sample
mistake 2 '--model DIR is needed' prefs sample prefs.db --prompts prompts.txt
mistake 2 '--prompts FILE is needed' prefs sample prefs.db --model model
mistake 2 'MODEL+ADAPTER' prefs sample prefs.db --model model+ --prompts prompts.txt
mistake 2 'must be from 1 to 16' prefs sample prefs.db --model model --prompts prompts.txt --n 17
mistake 2 'give --n 2 or more' prefs sample prefs.db --model model --model second --prompts prompts.txt --n 1
mistake 2 'did you mean --prompts?' prefs sample prefs.db --model model --promts prompts.txt
cmp prefs.db before.db || fail 'the database was changed'
[ ! -e nowhere.db ] || fail 'a database was made'
run prefs sample --help
says 'usage: attune prefs sample DB' out
echo 'sampled, ranked and sampled again; every mistake left the database as it was'
