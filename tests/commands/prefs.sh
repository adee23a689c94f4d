#!/bin/bash
# attune prefs from the command line: imports, exports that round-trip, the terminal mode, exit codes.
set -eu
prefs=$1/attune-prefs
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() {
    echo "prefs.sh: $*" >&2
    exit 1
}
expect() { # expect CODE WORD COMMAND...: the exit code, and a word on standard error or output
    local code=$1 word=$2 got=0
    shift 2
    "$@" >out.txt 2>&1 </dev/null || got=$?
    test "$got" = "$code" || fail "'$*' ended with $got instead of $code: $(cat out.txt)"
    grep -q -- "$word" out.txt || fail "'$*' does not say '$word': $(cat out.txt)"
}
says() { # says TEXT COMMAND...: the whole of standard output
    local text=$1 got
    shift
    got=$("$@" 2>/dev/null </dev/null) || fail "'$*' failed"
    test "$got" = "$text" || fail "'$*' says '$got' instead of '$text'"
}

# Usage.
expect 2 usage: "$prefs"
expect 0 leaderboard "$prefs" --help
expect 2 "did you mean 'import'" "$prefs" imprt x
for command in init import annotator serve label set gold stats export check backup; do
    expect 0 "usage: attune prefs $command" "$prefs" $command --help
    expect 2 usage: "$prefs" $command
done
expect 2 "did you mean '--overlap'" "$prefs" set p.db --overlp 2
expect 2 "1 to 99" "$prefs" set p.db --overlap 100
expect 2 "trl-implicit" "$prefs" export p.db --format csv
expect 2 "known are" "$prefs" import p.db x --format csv
expect 2 "allow-remote" "$prefs" serve p.db --listen 0.0.0.0
expect 1 "attune prefs init" "$prefs" stats p.db

# Every format that is written is read again and gives the same labels.
cat >pairs.jsonl <<'END'
{"prompt":[{"role":"user","content":"Say \"hi\"\n\nplease"}],"chosen":"hi","rejected":"<b>no</b>","tie":false,"rank_gap":1,"strength":3,"annotator":"ann"}
{"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"ünïcode 🙂"}],"chosen":"x","rejected":"y","tie":false,"annotator":"ben"}
{"prompt":[{"role":"user","content":"tied"}],"chosen":"one","rejected":"two","tie":true,"strength":0,"annotator":"ann"}
{"prompt":[{"role":"user","content":"both say"}],"chosen":"p","rejected":"q","tie":false,"annotator":"ann"}
{"prompt":[{"role":"user","content":"both say"}],"chosen":"q","rejected":"p","tie":false,"annotator":"ben"}
END
expect 0 "made with project" "$prefs" init p.db
expect 1 "exists already" "$prefs" init p.db
expect 0 "5 records: 4 new items, 5 new labels" "$prefs" import p.db pairs.jsonl
expect 0 "5 records: 0 new items, 0 new labels, 5 known" "$prefs" import p.db pairs.jsonl
expect 0 clean "$prefs" check p.db
pick='s/"judgment":[0-9]*/"judgment":0/'
for format in trl trl-implicit hh oasst pairs; do
    "$prefs" export p.db --format $format --out $format.jsonl 2>/dev/null
    test -s $format.jsonl || fail "nothing was exported as $format"
    rm -f again.db
    "$prefs" init again.db >/dev/null
    "$prefs" import again.db $format.jsonl --format $format >/dev/null 2>err.txt || fail "$format is not read again: $(cat err.txt)"
    "$prefs" export again.db --format $format 2>/dev/null >again.jsonl
    diff <(sed "$pick; s/judgment-[0-9]*/judgment-0/g" $format.jsonl) <(sed "$pick; s/judgment-[0-9]*/judgment-0/g" again.jsonl) >diff.txt ||
        fail "$format does not round-trip: $(cat diff.txt)"
    expect 0 clean "$prefs" check again.db
done
test "$(wc -l <trl.jsonl)" = 4 || fail "trl holds no ties"
test "$(wc -l <pairs.jsonl)" = 5 || fail "pairs hold ties"
says "$(grep -c . <(grep ben pairs.jsonl))" bash -c "'$prefs' export p.db --format pairs --annotators ben 2>/dev/null | grep -c ."
says 3 bash -c "'$prefs' export p.db --format pairs --min-agreement 0.9 2>/dev/null | grep -c ."

# Thumbs.
printf '%s\n' '{"prompt":"Hi","completion":"ok","label":true}' '{"prompt":"Hi","completion":"go away","label":false}' >kto.jsonl
"$prefs" init kto.db >/dev/null
expect 0 "format kto, 2 records: 2 new items, 2 new labels" "$prefs" import kto.db kto.jsonl
says 1 bash -c "'$prefs' export kto.db --format kto 2>/dev/null | grep -c '\"label\":false'"

# Rejected lines are reported, the rest is read.
printf '%s\n' '{"prompt":"Hi","chosen":"a","rejected":"a"}' 'nonsense' '{"prompt":"Hi","chosen":"a","rejected":"b"}' >bad.jsonl
"$prefs" init bad.db >/dev/null
expect 0 "bad.jsonl:1: two answers are the same" "$prefs" import bad.db bad.jsonl --rejects rejects.txt --format trl
test "$(wc -l <rejects.txt)" = 2 || fail "rejects.txt should list two lines"
head -2 bad.jsonl >worse.jsonl
expect 1 "every record was left out" "$prefs" import bad.db worse.jsonl --format trl
expect 1 "is a pipe" "$prefs" import bad.db <(cat bad.jsonl)

# Tokens are shown once and end when revoked.
token=$("$prefs" annotator add bad.db ann 2>/dev/null)
test ${#token} = 64 || fail "a token has 64 digits"
! grep -q "$token" bad.db || fail "the token lies in the file"
expect 0 "1 token revoked" "$prefs" annotator revoke bad.db ann
expect 1 "no annotator" "$prefs" annotator revoke bad.db nobody

# The terminal mode: a ranking with a tie, a comment, an undo, a skip, a thumb.
printf '%s\n' '{"instruction":"Rank","completions":[{"response":"r1"},{"response":"r2"},{"response":"\u001b[31mr3"}]}' >items.jsonl
"$prefs" init tty.db >/dev/null
"$prefs" import tty.db items.jsonl --as items >/dev/null
"$prefs" import tty.db kto.jsonl --as items >/dev/null
"$prefs" annotator add tty.db ann >/dev/null 2>&1
printf '%s\n' 'a' 'b' 'zz' 'b a=c # fine' 'u' 'c b' '+' 's dull' | "$prefs" label tty.db ann >tty.txt || fail "label failed"
grep -q "Nothing is left" tty.txt || fail "label did not come to the end: $(cat tty.txt)"
grep -q "<U+001B>" tty.txt || fail "an escape sequence reached the terminal"
expect 0 clean "$prefs" check tty.db
"$prefs" stats tty.db >stats.txt
grep -Eq "^ann +2 +1 " stats.txt || fail "stats: $(cat stats.txt)"
says 1 bash -c "'$prefs' export tty.db --format oasst 2>/dev/null | grep -c '\"rank\":1'"

# Gold, scores, settings, projects, backup.
expect 0 "overlap          2" "$prefs" set tty.db --overlap 2 --ties no --gold 1000
expect 1 "has no item 99" "$prefs" gold add tty.db 99 --better 0 --worse 1
"$prefs" gold add tty.db 1 --better 0 --worse 1
expect 0 "item 1  answer 0 beats 1" "$prefs" gold list tty.db
"$prefs" export tty.db --format answers 2>/dev/null >answers.jsonl
test "$(wc -l <answers.jsonl)" = 3 || fail "answers: $(cat answers.jsonl)"
printf '%s\n' '{"answer":1,"score":0.5}' '{"answer":2,"score":0.25}' '{"answer":3,"score":-1}' >scores.jsonl
expect 0 "1 open items ordered" "$prefs" score tty.db scores.jsonl
echo '{"answer":1}' >scores.jsonl
expect 1 "scores.jsonl:1" "$prefs" score tty.db scores.jsonl
expect 0 "added project 'two'" "$prefs" init tty.db --project two
expect 1 "say which with --project: 'default', 'two'" "$prefs" stats tty.db
expect 0 "0 open" "$prefs" stats tty.db --project two
expect 0 "copy.db: a copy" "$prefs" backup tty.db copy.db
expect 0 clean "$prefs" check copy.db
expect 1 "exists already" "$prefs" backup tty.db copy.db

# A path is the name of a file, whatever SQLite would make of it.
mkdir folder
for path in folder/../up.db "$PWD/what?mode=ro 1%20#.db" :memory: file:plain.db; do
    expect 0 "made with project" "$prefs" init "$path"
    test -s "$path" || fail "'$path' is no file"
    expect 0 "2 new items" "$prefs" import "$path" kto.jsonl
    expect 0 clean "$prefs" check "$path"
done
expect 0 "2 with labels" "$prefs" stats folder/../up.db
echo "prefs.sh: all is well"
