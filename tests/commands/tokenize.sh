#!/bin/bash
# attune-tokenize: texts to ids and back, conversations through the template, and what is said of mistakes.
# $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"
program=("$attune" tokenize)
model=${ATTUNE_SOURCE:?}/recipes/demo/model

# same <name> <expected file> <got file>
same() {
    cmp -s "$2" "$3" || { diff "$2" "$3" || true; fail "$1"; }
}

cat >texts <<'END'
{"text":"The capital of Elland is Morton."}
{"text":""}
{"text":"tabs\tand\nlines, \"quotes\", é, 漢字, 😀"}
END
"$attune" tokenize "$model" --file texts >ids
lines 3 '' ids
lines 3 '^\[([0-9]+(,[0-9]+)*)?\]$' ids
"$attune" tokenize "$model" --file ids --decode >back
same 'ids come back as the text they were made of' texts back
"$attune" tokenize "$model" --file texts --decode >back
same 'texts come back' texts back
"$attune" tokenize "$model/tokenizer.json" --file - <texts >piped
same 'a tokenizer.json and standard input will do' ids piped

cat >chats <<'END'
{"messages":[{"role":"user","content":"Hello"}]}
[{"role":"user","content":"Hello"}]
END
cat >expected <<'END'
{"text":"<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"}
{"text":"<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"}
END
"$attune" tokenize "$model" --messages chats --add-generation-prompt --render >rendered
same 'a conversation is rendered' expected rendered
"$attune" tokenize "$model" --messages chats --add-generation-prompt >ids
"$attune" tokenize "$model" --file rendered >expected
same 'its ids are those of what is rendered' expected ids

printf '{"text":"good"}\n{"text":7}\n' >bad
expect 1 "bad:2: expected {\"text\": \"...\"}" "$model" --file bad
lines 1 '^\[' out # what came before a bad line
printf '[1,999999999]\n' >bad
expect 1 'bad:1: ' "$model" --file bad --decode
expect 1 'there is no such file' "$model" --file nowhere
expect 1 "/nowhere'" nowhere --file texts
expect 2 'give either --file or --messages' "$model"
expect 2 'give either --file or --messages' "$model" --file a --messages b
expect 2 '--render' "$model" --file a --render
expect 2 'did you mean --messages?' "$model" --mesages a
if [ -w /dev/full ] && "$attune" tokenize "$model" --file texts >/dev/full 2>log; then fail 'a full disk must fail'; fi
