"""Do transformers and PEFT read what attune exports, and do they agree? For developers; CI does not run it.

BASE is the model an adapter was trained on, ADAPTER_DIR a PEFT adapter that attune wrote, MERGED_DIR what `attune export --merge` made of
the two. Compares, in f32 and over a few texts (or random ids where BASE has no tokenizer):
  base + ADAPTER_DIR through PEFT, not merged      against      MERGED_DIR through transformers
  base + ADAPTER_DIR merged by PEFT                against      MERGED_DIR, weight by weight
Prints the largest differences; exits with 1 where logits differ by more than 1e-4 of their scale (their largest magnitude), or where
MERGED_DIR lacks a weight, has one too many, or the adapter does nothing.

usage: export_check.py BASE ADAPTER_DIR MERGED_DIR [TEXT_FILE]
A bf16 MERGED_DIR is rounded and fails at this bound: export in f32 for the check, or say --bound 2e-2.
Written against torch 2.15.0, transformers 5.23.0, peft 0.21.2.
"""
from common import *
import argparse
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["The quick brown fox jumps over the lazy dog, and then it goes home to sleep until the sun comes up again.",
         "In 1969 two people walked on the Moon; 650 million others watched them do it on television.",
         "def add(a, b):\n    return a + b\n\nprint(add(2, 40))  # 42\n",
         "Größe, naïve, 東京, Москва."]


def inputs(base, vocab, texts):
    if os.path.exists(os.path.join(base, "tokenizer.json")):
        tokenizer = AutoTokenizer.from_pretrained(base)
        return [tokenizer(t, add_special_tokens=False)["input_ids"][:512] for t in texts]
    random = numpy.random.Generator(numpy.random.PCG64(0))
    return [random.integers(0, vocab, n).tolist() for n in (1, 12, 60)]


def logits(model, batches):
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0] for ids in batches]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("base", "adapter", "merged"): parser.add_argument(name)
    parser.add_argument("text", nargs="?", help="a text file; its first 6000 characters are used")
    parser.add_argument("--bound", type=float, default=1e-4)
    args = parser.parse_args()
    texts = TEXTS
    if args.text:
        with open(args.text) as f: whole = f.read(6000)
        texts = [whole[i:i + 1500] for i in range(0, len(whole), 1500)]
    torch.set_num_threads(2)

    base = load_model(args.base)
    batches = inputs(args.base, base.config.vocab_size, texts)
    plain = logits(base, batches)
    adapted = PeftModel.from_pretrained(base, args.adapter).eval()
    want = logits(adapted, batches)
    folded = adapted.merge_and_unload()

    merged, report = AutoModelForCausalLM.from_pretrained(args.merged, dtype=torch.float32, output_loading_info=True)
    got = logits(merged.eval(), batches)
    failures = []
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(kind): failures.append(f"{kind}: {sorted(map(str, report[kind]))[:4]}")

    scale = max(w.abs().max().item() for w in want)
    apart = lambda a, b: max((x - y).abs().max().item() for x, y in zip(a, b)) / scale
    print(f"{sum(map(len, batches))} tokens, logits up to {scale:.2f}; the adapter moves them by {apart(want, plain):.2e} of that")
    print(f"merged directory against base + adapter: {apart(got, want):.2e} of the scale")
    if not apart(want, plain) > 0: failures.append("the adapter changes nothing")
    if not apart(got, want) <= args.bound: failures.append(f"logits differ by more than {args.bound:g} of their scale")

    ours, theirs = merged.state_dict(), folded.state_dict()
    if set(ours) != set(theirs): failures.append(f"names differ: {sorted(set(ours) ^ set(theirs))[:4]}")
    worst = max((((ours[k] - theirs[k]).abs().max() / theirs[k].abs().max().clamp(min=1e-30)).item(), k) for k in ours if k in theirs)
    print(f"weight furthest from PEFT's own merge: {worst[1]}, {worst[0]:.2e} of its scale")
    for f in failures: print("FAILED:", f)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
