"""What the reference scripts share: loading, the loss, and writing fixtures. Everything runs in f32 on one CPU thread."""
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy
import torch
from safetensors.torch import save_file

torch.set_num_threads(1)

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures")


def fixture(*parts):
    """A path under tests/fixtures, its folder made."""
    path = os.path.join(FIXTURES, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def versions(*names):
    import importlib.metadata
    return {n: importlib.metadata.version(n) for n in names}


def save_json(path, value):
    """JSON with one line for each entry of the top level and of the lists directly in it."""
    def line(v):
        return json.dumps(v, ensure_ascii=False)

    parts = []
    for key, v in value.items():
        if isinstance(v, list) and v and isinstance(v[0], (dict, list)):
            parts.append(f" {line(key)}: [\n" + ",\n".join("  " + line(x) for x in v) + "\n ]")
        else:
            parts.append(f" {line(key)}: {line(v)}")
    with open(path, "w") as f:
        f.write("{\n" + ",\n".join(parts) + "\n}\n")


def save_tensors(path, tensors):
    save_file({k: v.detach().to(torch.float32).contiguous().clone() for k, v in tensors.items()}, path, {"format": "pt"})
    os.chmod(path, 0o644)


def load_model(path):
    from transformers import AutoModelForCausalLM, logging
    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def sequences_of(model_dir):
    with open(os.path.join(model_dir, "expected.json")) as f:
        return json.load(f)["sequences"]


def logits_of(model, sequences):
    """{"logits.<i>": [T, V]}, one sequence at a time, no padding."""
    with torch.no_grad():
        return {f"logits.{i}": model(torch.tensor([s["ids"]])).logits[0] for i, s in enumerate(sequences)}


def token_nll(model, sequence):
    """[T-1]: -log p(ids[t+1] | ids[..t])."""
    ids = torch.tensor(sequence["ids"])
    logp = torch.log_softmax(model(ids[None]).logits[0, :-1], -1)
    return -logp.gather(1, ids[1:, None])[:, 0]


def masked_sum(model, sequences):
    """(sum of the NLL of the tokens t >= 1 whose mask is 1, how many they are) over all sequences."""
    total, count = torch.zeros(()), 0
    for s in sequences:
        mask = torch.tensor(s["mask"][1:], dtype=torch.bool)
        total = total + token_nll(model, s)[mask].sum()
        count += int(mask.sum())
    return total, count
