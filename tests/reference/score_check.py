"""Whether the reward models that attune writes give attune's scores in transformers and PEFT.

attune scores every answer of FILE (attune eval --reward, in f32), with ADAPTER, a run of attune reward or a PEFT adapter of task SEQ_CLS, and with
MERGED, what `attune export ADAPTER --merge --dtype f32` wrote. The same texts, in batches padded on the right, go through
  MERGED             AutoModelForSequenceClassification, its own tokenizer and pad token
  base + ADAPTER     PeftModel over AutoModelForSequenceClassification(num_labels=1), pad_token_id set by the caller
Prints the largest differences after the offset was added, relative to the scores' deviation; exits with 1 where one is above the bound, where the
pad token ends a text, or where config.json and the tokenizer name different ones. Also said: how far scores are off with the base's own pad
token, which for many chat models is the one that ends an answer.

usage: score_check.py ATTUNE ADAPTER MERGED FILE [--base DIR] [--bound 1e-4]
FILE: preferences or conversations of a model with a chat template. Written against torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""
from common import *
import argparse
import subprocess
import tempfile
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH = 6
OFFSET = "attune.score_offset"


def attune_scores(attune, reward, file, more):
    """[(messages with the answer, score)]"""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "scores.jsonl")
        subprocess.run([attune, "eval", "--reward", reward, file, "--out", out, "--dtype", "f32", *more], check=True, stdout=subprocess.DEVNULL)
        with open(out) as f: records = [json.loads(line) for line in f]
    return [(r["prompt"] + [{"role": "assistant", "content": a["text"]}], a["score"]) for r in records for a in r["answers"]]


def encode(tokenizer, messages):
    """Through the token that closes the answer: what a template writes behind it (ChatML's newline) is not scored."""
    ids = tokenizer(tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False)["input_ids"]
    end = max(i for i, t in enumerate(ids) if t == tokenizer.eos_token_id)
    return ids[:end + 1]


def scores_of(model, tokenizer, rows, pad):
    model.config.pad_token_id = pad
    out = []
    for at in range(0, len(rows), BATCH):
        part = rows[at:at + BATCH]
        length = max(map(len, part))
        ids = torch.tensor([r + [pad] * (length - len(r)) for r in part])
        mask = torch.tensor([[1] * len(r) + [0] * (length - len(r)) for r in part])
        with torch.no_grad(): out += model(ids, attention_mask=mask).logits[:, 0].tolist()
    return out


def load(path):
    return AutoModelForSequenceClassification.from_pretrained(path, num_labels=1, dtype=torch.float32).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("attune", "adapter", "merged", "file"): parser.add_argument(name)
    parser.add_argument("--base")
    parser.add_argument("--bound", type=float, default=1e-4)
    args = parser.parse_args()
    torch.set_num_threads(2)
    failures = []

    tokenizer = AutoTokenizer.from_pretrained(args.merged)
    with open(os.path.join(args.merged, "config.json")) as f: config = json.load(f)
    with safe_open(os.path.join(args.adapter, "adapter_model.safetensors"), "pt") as f: offset = float((f.metadata() or {}).get(OFFSET, 0))
    with open(os.path.join(args.adapter, "adapter_config.json")) as f: adapter = json.load(f)
    base = args.base or adapter["base_model_name_or_path"]
    more = ["--reward-base", args.base] if args.base else []

    ours = attune_scores(args.attune, args.adapter, args.file, more)
    ours_merged = [s for _, s in attune_scores(args.attune, args.merged, args.file, [])]
    rows = [encode(tokenizer, messages) for messages, _ in ours]
    ours = [s for _, s in ours]
    pad = config["pad_token_id"]
    if pad is None or pad != tokenizer.pad_token_id: failures.append(f"config.json pads with {pad}, the tokenizer with {tokenizer.pad_token_id}")
    if any(r[-1] == pad for r in rows): failures.append("a text ends with the pad token")
    if adapter["task_type"] != "SEQ_CLS" or config["architectures"][0].endswith("ForCausalLM"): failures.append("not written as a classifier")

    deviation = float(numpy.std(ours))
    apart = lambda a, b: max(abs(x - y) for x, y in zip(a, b)) / deviation
    merged, report = AutoModelForSequenceClassification.from_pretrained(args.merged, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind): failures.append(f"{kind}: {sorted(map(str, report[kind]))[:4]}")
    if merged.config.num_labels != 1: failures.append(f"{merged.config.num_labels} labels")
    theirs = [s + config[OFFSET] for s in scores_of(merged.eval(), tokenizer, rows, pad)]
    usual = load(base).config.pad_token_id
    wrong = None
    if usual is not None: wrong = [s + config[OFFSET] for s in scores_of(merged, tokenizer, rows, usual)]
    peft = PeftModel.from_pretrained(load(base), args.adapter).eval()
    adapted = [s + offset for s in scores_of(peft, tokenizer, rows, pad)]

    print(f"{len(rows)} texts of {min(map(len, rows))} to {max(map(len, rows))} tokens, scores {numpy.mean(ours):.4f} +- {deviation:.4f}, offset {offset:g}")
    print(f"pad token {pad} {tokenizer.pad_token!r}; texts end with {sorted({tokenizer.convert_ids_to_tokens(r[-1]) for r in rows})}")
    if wrong: print(f"with the base's own pad token {usual} scores would be off by {apart(wrong, ours_merged):.2g} deviations")
    for name, difference in {"transformers on the merged folder": apart(theirs, ours_merged), "PEFT on the base": apart(adapted, ours),
                             "merged against unmerged, in attune": apart(ours_merged, ours)}.items():
        print(f"{name}: {difference:.2e} of the deviation")
        if not difference <= args.bound: failures.append(f"{name} is off by more than {args.bound:g}")
    for f in failures: print("FAILED:", f)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
