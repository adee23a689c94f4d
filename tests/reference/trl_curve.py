"""The learning curve of TRL + PEFT on SmolLM2 and alpaca-1k, from an adapter that needs no file: attune's own curve must follow it.

Makes tests/fixtures/trl_curve.json (log {step, loss, grad_norm, learning_rate}, eval_before, eval_after, seconds, args, versions,
train_records, eval_records) and OUT_DIR/init, OUT_DIR/final (PEFT adapters, not committed).

The adapter. r 16, alpha 32, no dropout, on the seven linear layers of every block. B is zero. A is drawn by a formula: tensors are numbered
j = 7 * layer + module, modules in the order q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; element i of tensor j counts
row-major over A [r, in_features]; then, in unsigned 64-bit arithmetic that wraps,

    x = (j << 32 | i) + 0x9E3779B97F4A7C15              one step of splitmix64 from state j << 32 | i
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9
    x = (x ^ x >> 27) * 0x94D049BB133111EB
    x = x ^ x >> 31
    u = (x >> 11) * 2^-53                               a double in [0, 1), exact
    A[i] = (float)((2 * u - 1) * (1 / sqrt(in_features)))   the product and the quotient in double

which has the bound of PEFT's Kaiming uniform with a = sqrt(5). `first_values` of the fixture holds the first four of some tensors.

The data. Records 0..191 of alpaca-1k.json train in file order, 900..963 evaluate. A record is one user turn (instruction, then "\\n" and input
where there is one) and one assistant turn, rendered by the model's chat template; trained are the tokens from the answer's first through
its end-of-turn token. The data's licence keeps it out of the repository: train_records and eval_records hold [tokens, trained tokens,
hash] of each record after cutting at max_length, the hash being FNV-1a (64 bits, hex) over its ids as little-endian u32.

The loss of a step is the token-mean over its 8 records (TRL divides by the trained tokens of the whole step). eval_before and eval_after are
token-means over the eval records.

usage: trl_curve.py MODEL alpaca-1k.json OUT_DIR      (here: $LAB/smollm2, $LAB/trl_curve)
Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, trl 1.16.0, datasets 5.2.0, 2 threads; MODEL is SmolLM2-135M-Instruct as read back
from its 4-bit GGUF file.
"""
from common import *
import math
import time
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ARGS = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_train_epochs": 1, "learning_rate": 2e-4,
        "lr_scheduler_type": "linear", "weight_decay": 0.0, "max_grad_norm": 1.0, "max_length": 640}
LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0}


def formula(j, shape):
    """A of tensor j, as the docstring says."""
    x = numpy.arange(shape[0] * shape[1], dtype=numpy.uint64) | numpy.uint64(j << 32)
    x += numpy.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> numpy.uint64(30)) * numpy.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> numpy.uint64(27)) * numpy.uint64(0x94D049BB133111EB)
    x = x ^ x >> numpy.uint64(31)
    u = (x >> numpy.uint64(11)).astype(numpy.float64) * 2.0 ** -53
    return torch.from_numpy(((2.0 * u - 1.0) * (1.0 / math.sqrt(shape[1]))).astype(numpy.float32).reshape(shape))


def fill(model):
    """Sets every A and B; returns {name: first four values} of a few."""
    first, seen = {}, 0
    for name, p in model.named_parameters():
        if not p.requires_grad: continue
        seen += 1
        if ".lora_B." in name:
            p.data.zero_()
            continue
        part = name.split(".")
        j = 7 * int(part[part.index("layers") + 1]) + MODULES.index(part[part.index("lora_A") - 1])
        p.data.copy_(formula(j, tuple(p.shape)))
        if j in (0, 6, 209): first[f"{j} {'.'.join(part[-5:-3] + part[-3:-2])}"] = p.data.flatten()[:4].tolist()
    assert seen == 2 * 7 * model.config.num_hidden_layers
    return first


def encode(tokenizer, record):
    user = {"role": "user", "content": record["instruction"] + ("\n" + record["input"] if record.get("input") else "")}
    head = tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    text = tokenizer.apply_chat_template([user, {"role": "assistant", "content": record["output"]}], tokenize=False).rstrip("\n")
    assert text.startswith(head)
    e = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    return {"input_ids": e["input_ids"], "completion_mask": [int(o[0] >= len(head)) for o in e["offset_mapping"]]}


def summary(row):
    ids, mask = row["input_ids"][:ARGS["max_length"]], row["completion_mask"][:ARGS["max_length"]]
    h = 0xCBF29CE484222325
    for b in numpy.asarray(ids, dtype="<u4").tobytes(): h = (h ^ b) * 0x100000001B3 & (1 << 64) - 1
    return [len(ids), sum(mask[1:]), f"{h:016x}"]


def token_mean(model, rows):
    model.eval()
    with torch.no_grad():
        cut = [{"ids": r["input_ids"][:ARGS["max_length"]], "mask": r["completion_mask"][:ARGS["max_length"]]} for r in rows]
        total, count = 0.0, 0
        for row in cut:
            t, c = masked_sum(model, [row])
            total, count = total + t.item(), count + c
    model.train()
    return total / count


class Trainer(SFTTrainer):
    def _get_train_sampler(self, *args, **kwargs): return SequentialSampler(self.train_dataset)


class Log(TrainerCallback):
    def __init__(self): self.log = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.log.append({"step": state.global_step, **{k: float(logs[k]) for k in ("loss", "grad_norm", "learning_rate")}})
            print(self.log[-1], flush=True)


def main():
    model_dir, data, out = sys.argv[1:4]
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(target_modules=MODULES, task_type="CAUSAL_LM", **LORA))
    first = fill(model)
    model.save_pretrained(f"{out}/init")
    with open(data) as f: records = json.load(f)
    train = [encode(tokenizer, r) for r in records[:192]]
    evaluation = [encode(tokenizer, r) for r in records[900:964]]
    log = Log()
    config = SFTConfig(output_dir=f"{out}/run", **ARGS, logging_steps=1, eval_strategy="no", save_strategy="no", report_to=[], use_cpu=True,
                       bf16=False, gradient_checkpointing=False, completion_only_loss=True, seed=7)
    trainer = Trainer(model=model, args=config, train_dataset=Dataset.from_list(train), processing_class=tokenizer, callbacks=[log])
    before = token_mean(model, evaluation)
    start = time.time()
    trainer.train()
    seconds = time.time() - start
    after = token_mean(model, evaluation)
    model.save_pretrained(f"{out}/final")
    path = fixture("trl_curve.json")
    save_json(path, {
        "made_by": "tests/reference/trl_curve.py", "model": "SmolLM2-135M-Instruct (from 4-bit GGUF), f32",
        "versions": versions("torch", "transformers", "peft", "trl", "datasets", "tokenizers"),
        "args": ARGS, "lora": dict(LORA, target_modules=MODULES), "train": "records 0..191", "eval": "records 900..963",
        "first_values": first, "eval_before": before, "eval_after": after, "seconds": round(seconds, 1), "log": log.log,
        "train_records": [summary(r) for r in train], "eval_records": [summary(r) for r in evaluation]})
    print(f"{path}: loss {log.log[0]['loss']:.4f} -> {log.log[-1]['loss']:.4f}, eval {before:.4f} -> {after:.4f}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
