"""A tiny reward model as PEFT and transformers write it, and the scores they give.

Makes tests/fixtures/tiny-score/ with
  base/            a causal llama of tiny-text's tokens, with hidden 16; the test puts tiny-text's tokenizer beside it. Its config pads
                   with <|im_end|>, the token that ends an answer, as many chat models do
  adapter/         a PEFT adapter of task SEQ_CLS on it: all-linear, r 4, alpha 8, B drawn too, score saved
  merged/          base + adapter, merged by PEFT and written by transformers: LlamaForSequenceClassification
  expected.json    records [{messages, answers, ids, scores}]: ids are those of the rendered chat through the <|im_end|> that closes the
                   answer, as the base's tokenizer makes them; scores come from base + adapter, all texts in one batch padded on the
                   right with <|pad|>. merged_difference: how far the scores of merged/ are from those

Command, after tiny_text.py: python tests/reference/tiny_score.py
Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, numpy 2.4.6.
"""
from common import *
import shutil
import warnings
from adapters import ALL, fill, save_adapter
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

PAD, END = 3, 2                        # <|pad|>, <|im_end|>
RECORDS = [
    ([{"role": "user", "content": "what is the sum of three and four"}], ["seven", "the answer is seven", "", "a whale"]),
    ([{"role": "system", "content": "speak in turns"}, {"role": "user", "content": "name an animal"},
      {"role": "assistant", "content": "a whale"}, {"role": "user", "content": "where does it live"}],
     ["it lives in the sea", "in the sea", "in the sea that is larger than the moon and the sun"]),
    ([{"role": "user", "content": "ünïcode?"}], ["the <sun> & \"moon\"\n\n"]),
]


def draw(shape_of, random):
    """Norms around 1, everything else with deviation 0.3."""
    return {k: torch.from_numpy((random.standard_normal(s) * (0.2 if "norm" in k else 0.3) + (1.0 if "norm" in k else 0.0))
                                .astype(numpy.float32)) for k, s in shape_of.items()}


def write_base(path):
    from tiny_models import shapes
    with open(fixture("tiny-text", "config.json")) as f: config = json.load(f)
    config.update(hidden_size=16, intermediate_size=24, num_attention_heads=2, num_key_value_heads=1, pad_token_id=END)
    weights = draw(shapes(config), numpy.random.Generator(numpy.random.PCG64(300)))
    with open(os.path.join(path, "config.json"), "w") as f: f.write(json.dumps(config, indent=2) + "\n")
    save_file(weights, os.path.join(path, "model.safetensors"), {"format": "pt"})
    os.chmod(os.path.join(path, "model.safetensors"), 0o644)


def classifier(path):
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=1, dtype=torch.float32).eval()
    model.config.pad_token_id = PAD
    return model


def encode(tokenizer, messages, answer):
    text = tokenizer.apply_chat_template(messages + [{"role": "assistant", "content": answer}], tokenize=False)
    end = text.rindex("<|im_end|>") + len("<|im_end|>")
    return tokenizer(text[:end], add_special_tokens=False)["input_ids"]


def scores_of(model, rows):
    """One batch, padded on the right."""
    length = max(map(len, rows))
    ids = torch.tensor([r + [PAD] * (length - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (length - len(r)) for r in rows])
    with torch.no_grad(): return model(ids, attention_mask=mask).logits[:, 0].tolist()


def main():
    warnings.simplefilter("ignore")
    folder = os.path.dirname(fixture("tiny-score", "x"))
    for part in ("base", "adapter", "merged"): os.makedirs(os.path.join(folder, part), exist_ok=True)
    base = os.path.join(folder, "base")
    write_base(base)
    tokenizer = AutoTokenizer.from_pretrained(fixture("tiny-text"))

    model = get_peft_model(classifier(base), LoraConfig(**dict(ALL, task_type="SEQ_CLS", modules_to_save=["score"])))
    fill(model, 6, zero_b=False)
    save_adapter(model, os.path.join(folder, "adapter"), "base")
    model = PeftModel.from_pretrained(classifier(base), os.path.join(folder, "adapter")).eval()

    rows = [[encode(tokenizer, messages, a) for a in answers] for messages, answers in RECORDS]
    flat = [r for record in rows for r in record]
    assert all(r[-1] == END for r in flat)
    scores = scores_of(model, flat)
    merged = model.merge_and_unload()
    merged.save_pretrained(os.path.join(folder, "merged"))
    os.chmod(os.path.join(folder, "merged", "model.safetensors"), 0o644)
    worst = max(abs(a - b) for a, b in zip(scores_of(classifier(os.path.join(folder, "merged")), flat), scores))

    left, records = iter(scores), []
    for (messages, answers), ids in zip(RECORDS, rows):
        records.append({"messages": messages, "answers": answers, "ids": ids, "scores": [next(left) for _ in answers]})
    save_json(os.path.join(folder, "expected.json"), {
        "made_by": "tests/reference/tiny_score.py", "versions": versions("torch", "transformers", "peft", "numpy"),
        "merged_difference": worst, "records": records})
    print(f"{len(flat)} scores from {min(scores):.3f} to {max(scores):.3f}; merged differs by {worst:.1e}")


if __name__ == "__main__":
    main()
