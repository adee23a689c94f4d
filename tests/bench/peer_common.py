"""What the peers share: threads, the same tokens as attune's, and the line that the scripts read."""
import json
import torch


def use_threads(count):
    torch.set_num_threads(count)


def token_rows(model, texts, rows, length):
    """The first `rows` texts of a JSONL file, each cut to `length` tokens: [rows, length]."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(model)
    with open(texts) as lines:
        ids = [tokenizer(json.loads(line)["text"], add_special_tokens=False)["input_ids"][:length] for line in lines][:rows]
    assert len(ids) == rows and all(len(row) == length for row in ids), "a text is too short"
    return torch.tensor(ids)


def median_rate(seconds, tokens):
    """Tokens a second by the median of all steps but the first."""
    seconds = sorted(seconds[1:] or seconds)
    return tokens / seconds[(len(seconds) - 1) // 2]


def result(value):
    print(f"RESULT {value:.2f}", flush=True)
