#!/bin/bash
# attune-tokenize: texts to ids and back, conversations through the template, and what is said of mistakes.
# $1: folder of the binaries.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
model=${ATTUNE_SOURCE:?}/recipes/demo/model
tokenize=$1/attune-tokenize

fail() {
    echo "tokenize: $1"
    exit 1
}

# same <name> <expected file> <got file>
same() {
    cmp -s "$2" "$3" || { diff "$2" "$3" || true; fail "$1"; }
}

# refuse <exit status> <text in the message> <arguments>
refuse() {
    local status=$1 text=$2 got=0
    shift 2
    "$tokenize" "$@" >"$scratch/out" 2>&1 </dev/null || got=$?
    if [ "$got" -ne "$status" ] || ! grep -qF -- "$text" "$scratch/out"; then
        cat "$scratch/out"
        fail "$*: expected exit $status and '$text', got exit $got"
    fi
}

cat >"$scratch/texts" <<'END'
{"text":"The capital of Elland is Morton."}
{"text":""}
{"text":"tabs\tand\nlines, \"quotes\", é, 漢字, 😀"}
END
"$tokenize" "$model" --file "$scratch/texts" >"$scratch/ids"
[ "$(wc -l <"$scratch/ids")" -eq 3 ] || fail 'a line in is a line out'
grep -qvE '^\[([0-9]+(,[0-9]+)*)?\]$' "$scratch/ids" && fail 'a line out is a list of ids'
"$tokenize" "$model" --file "$scratch/ids" --decode >"$scratch/back"
same 'ids come back as the text they were made of' "$scratch/texts" "$scratch/back"
"$tokenize" "$model" --file "$scratch/texts" --decode >"$scratch/back"
same 'texts come back' "$scratch/texts" "$scratch/back"
"$tokenize" "$model/tokenizer.json" --file - <"$scratch/texts" >"$scratch/piped"
same 'a tokenizer.json and standard input will do' "$scratch/ids" "$scratch/piped"

cat >"$scratch/chats" <<'END'
{"messages":[{"role":"user","content":"Hello"}]}
[{"role":"user","content":"Hello"}]
END
cat >"$scratch/expected" <<'END'
{"text":"<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"}
{"text":"<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"}
END
"$tokenize" "$model" --messages "$scratch/chats" --add-generation-prompt --render >"$scratch/rendered"
same 'a conversation is rendered' "$scratch/expected" "$scratch/rendered"
"$tokenize" "$model" --messages "$scratch/chats" --add-generation-prompt >"$scratch/ids"
"$tokenize" "$model" --file "$scratch/rendered" >"$scratch/expected"
same 'its ids are those of what is rendered' "$scratch/expected" "$scratch/ids"

printf '{"text":"good"}\n{"text":7}\n' >"$scratch/bad"
refuse 1 "bad:2: expected {\"text\": \"...\"}" "$model" --file "$scratch/bad"
[ "$(grep -c '^\[' "$scratch/out")" -eq 1 ] || fail 'what came before a bad line is written'
printf '[1,999999999]\n' >"$scratch/bad"
refuse 1 'bad:1: ' "$model" --file "$scratch/bad" --decode
refuse 1 'there is no such file' "$model" --file "$scratch/nowhere"
refuse 1 "$scratch/nowhere" "$scratch/nowhere" --file "$scratch/texts"
refuse 2 'give either --file or --messages' "$model"
refuse 2 'give either --file or --messages' "$model" --file a --messages b
refuse 2 '--render' "$model" --file a --render
refuse 2 'did you mean --messages?' "$model" --mesages a
if [ -w /dev/full ] && "$tokenize" "$model" --file "$scratch/texts" >/dev/full 2>"$scratch/out"; then
    fail 'a full disk is a failure'
fi
