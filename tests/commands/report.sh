#!/bin/bash
# attune report: the page of a run, the comparison of several, and what it says to mistakes. Where there is a Chromium, its
# parser reads the pages, and the script shows the values under the pointer. $1: folder of the binaries.
. "$(dirname "$0")/../support/shell_tests.sh"
program=("$attune" report)

mkdir -p runs/one runs/two broken
for step in 0 10 20 30; do
    echo "{\"step\": $step, \"epoch\": 0.5, \"loss\": $((40 - step)).25, \"objective/kl\": 0.$step, \"time/update\": 1.5}" >>runs/one/metrics.jsonl
    echo "{\"step\": $step, \"epoch\": 0.5, \"loss\": $((50 - step)).25}" >>runs/two/metrics.jsonl
done
echo '{"step": 0, "prompt": "<script>document.title = \"caught\"</script>", "answer": "</div><b>x"}' >runs/one/samples.jsonl
echo 'nonsense' >broken/metrics.jsonl

expect 0 'runs/one/report.html' runs/one
says 'objective/kl' runs/one/report.html
cp runs/one/report.html before.html
expect 0 'runs/one/report.html' "$scratch/runs/one"
cmp runs/one/report.html before.html || fail 'the same run gives another page'
expect 0 'report.html' runs/one runs/two
says 'Runs compared' report.html
expect 0 'compared.html' runs/one runs/two --out compared.html
cmp report.html compared.html || fail 'the same runs give another page'
expect 1 'broken/metrics.jsonl:1' broken
[ ! -e broken/report.html ] || fail 'a page was made of a broken run'
expect 1 "there is no folder 'nowhere'" nowhere
expect 1 '--out is for comparing several runs' runs/one --out x.html
expect 2 'RUN'
expect 0 'usage: attune report' --help

if ! chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome); then
    echo 'no Chromium: the page was not opened in a browser'
    exit 0
fi

# What a browser makes of a page after the pointer was moved over a chart; the page's own script alone may run.
nonce=$(grep -o "nonce-[0-9a-f]*" runs/one/report.html | head -n 1)
move='const chart = document.querySelector("[data-name=loss]").closest("svg"), box = chart.getBoundingClientRect();
chart.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width * 0.7, clientY: box.top + 50, bubbles: true}));'
sed "s|^</body>\$|<script nonce=\"${nonce#nonce-}\">${move//$'\n'/ }</script></body>|" runs/one/report.html >moved.html
"$chromium" --headless --no-sandbox --disable-gpu --user-data-dir="$scratch/profile" --virtual-time-budget=2000 --dump-dom "file://$scratch/moved.html" >dom.html 2>chromium.log || {
    echo 'Chromium cannot run here:'
    tail -n 3 chromium.log
    exit 0
}
says '<title>Run</title>' dom.html
grep -o '<div id="tip".*' dom.html >tip || fail 'there is no place for the values under the pointer'
for text in '>step 20<' '>loss<' '>20.25<'; do
    says "$text" tip
done
