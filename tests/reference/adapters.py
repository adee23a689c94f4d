"""Tiny PEFT adapters, and what PEFT computes with them.

Makes tests/fixtures/tiny-lora*/ with adapter_config.json and adapter_model.safetensors as PEFT writes them (base_model_name_or_path holds
the base's name only), and beside them, all but tiny-lora-init:
  expected.json          base, loss, sum_nll, tokens (sequences and masks are those of the base's expected.json; the loss is defined there)
  expected.safetensors   logits.<i> [T, V] of base + adapter; merged_logits.<i> of the merged model; merged.<name>, every weight that merging
                         changed or added, named as in a checkpoint; grad.<name>, the gradient of `loss` for every trainable tensor,
                         named as in adapter_model.safetensors

  tiny-lora-init         tiny-llama, all-linear, r 4, alpha 8, B zero: where adamw_curves.py starts
  tiny-lora              the same with B drawn too
  tiny-rslora            tiny-lora's tensors with use_rslora
  tiny-lora-pattern      q, v and down only, with rank_pattern and alpha_pattern
  tiny-lora-head         lm_head saved whole over a tied base: the head unties, the embedding stays the base's
  tiny-lora-embed-head   embed_tokens and lm_head both saved whole over a tied base, with different values
  tiny-lora-llama3       tiny-llama3 (untied, biases): all-linear, embed_tokens and lm_head saved whole

Command, after tiny_models.py: python tests/reference/adapters.py
Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, numpy 2.4.6, safetensors 0.8.0.
"""
from common import *
import warnings
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

ALL = dict(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
ADAPTERS = {                           # name: (base, options of LoraConfig, seed)
    "tiny-lora-init": ("tiny-llama", ALL, 1),
    "tiny-lora": ("tiny-llama", ALL, 1),
    "tiny-rslora": ("tiny-llama", dict(ALL, use_rslora=True), 1),
    "tiny-lora-pattern": ("tiny-llama", dict(ALL, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"down_proj": 2},
                                             alpha_pattern={"layers.1.self_attn.v_proj": 12}), 2),
    "tiny-lora-head": ("tiny-llama", dict(ALL, modules_to_save=["lm_head"]), 3),
    "tiny-lora-embed-head": ("tiny-llama", dict(ALL, modules_to_save=["embed_tokens", "lm_head"]), 4),
    "tiny-lora-llama3": ("tiny-llama3", dict(ALL, modules_to_save=["embed_tokens", "lm_head"]), 5),
}


def file_name(parameter):
    """base_model.model.x.lora_A.default.weight, or x.modules_to_save.default.weight, as the adapter's file calls it."""
    return parameter.replace(".modules_to_save.default", "").replace(".default", "")


def fill(model, seed, zero_b):
    """Draws the trainable tensors in order of their file names: A like PEFT's (uniform, 1/sqrt(in)), B smaller than the weights it
    joins, whole modules near the base's values."""
    random = numpy.random.Generator(numpy.random.PCG64(seed))
    trainable = {file_name(k): p for k, p in model.named_parameters() if p.requires_grad}
    for name in sorted(trainable):
        p = trainable[name]
        if ".lora_A." in name: w = random.uniform(-1, 1, p.shape) / p.shape[1] ** 0.5
        elif ".lora_B." in name: w = random.standard_normal(p.shape) * (0.0 if zero_b else 0.15)
        else: w = p.detach().numpy() + random.standard_normal(p.shape) * 0.1
        p.data.copy_(torch.from_numpy(numpy.asarray(w, dtype=numpy.float32)))


def save_adapter(model, path, base):
    for config in model.peft_config.values(): config.base_model_name_or_path = base
    model.save_pretrained(path, save_embedding_layers=False)
    os.chmod(os.path.join(path, "adapter_model.safetensors"), 0o644)
    with open(os.path.join(path, "adapter_config.json")) as f: config = json.load(f)
    config["target_modules"].sort()                    # PEFT keeps a set: its order changes from run to run
    with open(os.path.join(path, "adapter_config.json"), "w") as f: f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if os.path.exists(os.path.join(path, "README.md")): os.remove(os.path.join(path, "README.md"))


def load_adapter(base, path):
    """Base and adapter from their files, trainable."""
    return PeftModel.from_pretrained(load_model(fixture(base)), path, is_trainable=True).eval()


def main():
    warnings.simplefilter("ignore")
    for name, (base, options, seed) in ADAPTERS.items():
        path = os.path.dirname(fixture(name, "x"))
        model = get_peft_model(load_model(fixture(base)), LoraConfig(**options)).eval()
        fill(model, seed, zero_b=name == "tiny-lora-init")
        before = logits_of(model, sequences_of(fixture(base)))
        save_adapter(model, path, base)
        if name == "tiny-lora-init": continue

        sequences = sequences_of(fixture(base))
        model = load_adapter(base, path)
        out = logits_of(model, sequences)
        assert all(torch.equal(out[k], before[k]) for k in out), "what was saved is not what was loaded"
        total, count = masked_sum(model, sequences)
        (total / count).backward()
        grads = {file_name(k): p.grad for k, p in model.named_parameters() if p.requires_grad}
        stored = load_file(os.path.join(path, "adapter_model.safetensors"))
        assert set(grads) == set(stored), set(grads) ^ set(stored)
        out.update({f"grad.{k}": g for k, g in grads.items()})

        merged = model.merge_and_unload()
        out.update({f"merged_{k}": v for k, v in logits_of(merged, sequences).items()})
        plain = load_file(fixture(base, "model.safetensors"))
        for k, p in merged.named_parameters():
            if k not in plain or not torch.equal(plain[k], p): out[f"merged.{k}"] = p
        worst = max((out[f"logits.{i}"] - out[f"merged_logits.{i}"]).abs().max().item() for i in range(len(sequences)))
        moved = max((out[k] - v).abs().max().item() for k, v in logits_of(load_model(fixture(base)), sequences).items())
        save_tensors(os.path.join(path, "expected.safetensors"), out)
        save_json(os.path.join(path, "expected.json"), {
            "made_by": "tests/reference/adapters.py", "versions": versions("torch", "transformers", "peft", "numpy", "safetensors"),
            "base": base, "sum_nll": total.item(), "tokens": count, "loss": total.item() / count})
        print(f"{name}: loss {total.item() / count:.6f}, away from the base by {moved:.2f}, merged differs by {worst:.1e}, "
              f"changed {sorted(k for k in out if k.startswith('merged.') and 'proj' not in k)}")


if __name__ == "__main__":
    main()
