#!/bin/bash
# attune prefs from the command line: imports, exports that round-trip, the terminal mode, exit codes. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"
program=("$attune" prefs)

# Usage.
expect 2 usage:
expect 0 leaderboard --help
expect 2 "did you mean 'import'" imprt x
for command in init import annotator serve label set gold stats export check backup; do
    expect 0 "usage: attune prefs $command" $command --help
    expect 2 usage: $command
done
expect 2 "did you mean --overlap?" set p.db --overlp 2
expect 2 "1 to 99" set p.db --overlap 100
expect 2 "trl-implicit" export p.db --format csv
expect 2 "known are" import p.db x --format csv
expect 2 "allow-remote" serve p.db --listen 0.0.0.0
expect 1 "attune prefs init" stats p.db

# Every format that is written is read again and gives the same labels.
cat >pairs.jsonl <<'END'
{"prompt":[{"role":"user","content":"Say \"hi\"\n\nplease"}],"chosen":"hi","rejected":"<b>no</b>","tie":false,"rank_gap":1,"strength":3,"annotator":"ann"}
{"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"ünïcode 🙂"}],"chosen":"x","rejected":"y","tie":false,"annotator":"ben"}
{"prompt":[{"role":"user","content":"tied"}],"chosen":"one","rejected":"two","tie":true,"strength":0,"annotator":"ann"}
{"prompt":[{"role":"user","content":"both say"}],"chosen":"p","rejected":"q","tie":false,"annotator":"ann"}
{"prompt":[{"role":"user","content":"both say"}],"chosen":"q","rejected":"p","tie":false,"annotator":"ben"}
END
expect 0 "made with project" init p.db
expect 1 "exists already" init p.db
expect 0 "5 records: 4 new items, 5 new labels" import p.db pairs.jsonl
expect 0 "5 records: 0 new items, 0 new labels, 5 known" import p.db pairs.jsonl
expect 0 clean check p.db
pick='s/"judgment":[0-9]*/"judgment":0/'
for format in trl trl-implicit hh oasst pairs; do
    run export p.db --format $format --out $format.jsonl
    test -s $format.jsonl || fail "nothing was exported as $format"
    rm -f again.db
    run init again.db
    run import again.db $format.jsonl --format $format
    run export again.db --format $format
    diff <(sed "$pick; s/judgment-[0-9]*/judgment-0/g" $format.jsonl) <(sed "$pick; s/judgment-[0-9]*/judgment-0/g" out) >differences ||
        fail "$format does not round-trip: $(cat differences)"
    expect 0 clean check again.db
done
lines 4 '' trl.jsonl # which holds no ties
lines 5 '' pairs.jsonl
run export p.db --format pairs --annotators ben
lines "$(grep -c ben pairs.jsonl)" '' out
run export p.db --format pairs --min-agreement 0.9
lines 3 '' out

# Thumbs.
printf '%s\n' '{"prompt":"Hi","completion":"ok","label":true}' '{"prompt":"Hi","completion":"go away","label":false}' >kto.jsonl
run init kto.db
expect 0 "format kto, 2 records: 2 new items, 2 new labels" import kto.db kto.jsonl
run export kto.db --format kto
lines 1 '"label":false' out

# Rejected lines are reported, the rest is read.
printf '%s\n' '{"prompt":"Hi","chosen":"a","rejected":"a"}' 'nonsense' '{"prompt":"Hi","chosen":"a","rejected":"b"}' >bad.jsonl
run init bad.db
expect 0 "bad.jsonl:1: two answers are the same" import bad.db bad.jsonl --rejects rejects.txt --format trl
lines 2 '' rejects.txt
head -2 bad.jsonl >worse.jsonl
expect 1 "every record was left out" import bad.db worse.jsonl --format trl
expect 1 "is a pipe" import bad.db <(cat bad.jsonl)

# Tokens are shown once and end when revoked.
run annotator add bad.db ann
token=$(cat out)
test ${#token} = 64 || fail "a token has 64 digits"
if grep -q "$token" bad.db; then fail "the token lies in the file"; fi
expect 0 "1 token revoked" annotator revoke bad.db ann
expect 1 "no annotator" annotator revoke bad.db nobody

# The terminal mode: a ranking with a tie, a comment, an undo, a skip, a thumb.
printf '%s\n' '{"instruction":"Rank","completions":[{"response":"r1"},{"response":"r2"},{"response":"\u001b[31mr3"}]}' >items.jsonl
run init tty.db
run import tty.db items.jsonl --as items
run import tty.db kto.jsonl --as items
run annotator add tty.db ann
printf '%s\n' 'a' 'b' 'zz' 'b a=c # fine' 'u' 'c b' '+' 's dull' | "$attune" prefs label tty.db ann >out 2>log || fail "label failed"
says 'Nothing is left' out
says '<U\+001B>' out
expect 0 clean check tty.db
run stats tty.db
says '^ann +2 +1 ' out
run export tty.db --format oasst
lines 1 '"rank":1' out

# Gold, scores, settings, projects, backup.
expect 0 "overlap          2" set tty.db --overlap 2 --ties no --gold 1000
expect 1 "has no item 99" gold add tty.db 99 --better 0 --worse 1
run gold add tty.db 1 --better 0 --worse 1
expect 0 "item 1  answer 0 beats 1" gold list tty.db
run export tty.db --format answers
lines 3 '' out
printf '%s\n' '{"answer":1,"score":0.5}' '{"answer":2,"score":0.25}' '{"answer":3,"score":-1}' >scores.jsonl
expect 0 "1 open items ordered" score tty.db scores.jsonl
echo '{"answer":1}' >scores.jsonl
expect 1 "scores.jsonl:1" score tty.db scores.jsonl
expect 0 "added project 'two'" init tty.db --project two
expect 1 "say which with --project: 'default', 'two'" stats tty.db
expect 0 "0 open" stats tty.db --project two
expect 0 "copy.db: a copy" backup tty.db copy.db
expect 0 clean check copy.db
expect 1 "exists already" backup tty.db copy.db

# A path is the name of a file, whatever SQLite would make of it.
mkdir folder
for path in folder/../up.db "$PWD/what?mode=ro 1%20#.db" :memory: file:plain.db; do
    expect 0 "made with project" init "$path"
    test -s "$path" || fail "'$path' is no file"
    expect 0 "2 new items" import "$path" kto.jsonl
    expect 0 clean check "$path"
done
expect 0 "2 with labels" stats folder/../up.db
