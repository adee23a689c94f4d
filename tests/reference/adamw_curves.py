"""Twenty AdamW steps on tiny-llama, all weights and LoRA, from torch.optim.AdamW.

Makes tests/fixtures/adamw/
  curves.json              steps: for each of 20 steps its 4 sequences {ids, mask}, used by both runs;
                           full, lora: {base, adapter, optimizer, decayed, not_decayed, log [{step, loss, grad_norm, tokens}]}
  full.safetensors         step1.<name> and final.<name>: every weight after step 1 and after step 20, named as in the checkpoint
  lora.safetensors         the same for the adapter started from tiny-lora-init, named as in adapter_model.safetensors

A step: loss = sum of the NLL of its trained tokens / their number (token-mean over all 4 sequences), backward, gradients clipped by their
global norm as torch.nn.utils.clip_grad_norm_ does (times min(1, max_grad_norm / (norm + 1e-6))), AdamW. grad_norm is the norm before
clipping, loss the loss before the update. Decay is decoupled (w -= lr * weight_decay * w) and falls on matrices alone. lr is constant.
The full run is clipped at every step, the LoRA run at some.

Command, after tiny_models.py and adapters.py: python tests/reference/adamw_curves.py
Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, numpy 2.4.6, safetensors 0.8.0.
"""
from common import *
from adapters import file_name, load_adapter

STEPS, PER_STEP, VOCAB = 20, 4, 96
ADAMW = {"betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}


def draw_steps():
    """Sequences with something to learn: mostly the next id is 5 * id + 7 mod 96. The first third of each is a prompt, not trained."""
    random = numpy.random.Generator(numpy.random.PCG64(42))
    steps = []
    for _ in range(STEPS):
        step = []
        for _ in range(PER_STEP):
            ids = [int(random.integers(VOCAB))]
            for _ in range(int(random.integers(5, 24)) - 1):
                ids.append((5 * ids[-1] + 7) % VOCAB if random.random() < 0.9 else int(random.integers(VOCAB)))
            step.append({"ids": ids, "mask": [int(t >= len(ids) // 3 and t > 0) for t in range(len(ids))]})
        steps.append(step)
    return steps


def run(model, lr, max_norm, steps):
    """Returns what goes into curves.json, and the tensors."""
    named = {file_name(k): p for k, p in model.named_parameters() if p.requires_grad}
    decayed = [k for k, p in named.items() if p.dim() >= 2]
    rest = [k for k, p in named.items() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": [named[k] for k in decayed], "weight_decay": ADAMW["weight_decay"]},
                                   {"params": [named[k] for k in rest], "weight_decay": 0.0}],
                                  lr=lr, betas=tuple(ADAMW["betas"]), eps=ADAMW["eps"])
    log, tensors = [], {}
    for number, step in enumerate(steps, 1):
        optimizer.zero_grad()
        total, count = masked_sum(model, step)
        (total / count).backward()
        norm = torch.nn.utils.clip_grad_norm_(list(named.values()), max_norm)
        optimizer.step()
        log.append({"step": number, "loss": total.item() / count, "grad_norm": norm.item(), "tokens": count})
        if number in (1, STEPS):
            tensors.update({("step1." if number == 1 else "final.") + k: p.detach().clone() for k, p in named.items()})
    return {"optimizer": dict(ADAMW, lr=lr, max_grad_norm=max_norm), "decayed": decayed, "not_decayed": rest, "log": log}, tensors


def main():
    steps = draw_steps()
    curves = {"made_by": "tests/reference/adamw_curves.py",
              "versions": versions("torch", "transformers", "peft", "numpy", "safetensors"), "steps": steps}
    for name, model, lr, max_norm in (("full", load_model(fixture("tiny-llama")), 1e-3, 1.0),
                                      ("lora", load_adapter("tiny-llama", fixture("tiny-lora-init")), 5e-3, 2.3)):
        curve, tensors = run(model, lr, max_norm, steps)
        curves[name] = {"base": "tiny-llama", "adapter": "tiny-lora-init" if name == "lora" else None, **curve}
        save_tensors(fixture("adamw", f"{name}.safetensors"), tensors)
        log = curve["log"]
        print(f"{name}: loss {log[0]['loss']:.4f} -> {log[-1]['loss']:.4f}, norm {min(l['grad_norm'] for l in log):.2f} "
              f".. {max(l['grad_norm'] for l in log):.2f}")
    save_json(fixture("adamw", "curves.json"), curves)


if __name__ == "__main__":
    main()
