"""A plain PyTorch loop, AdamW: LoRA through PEFT, or full tuning.

args: lora|full f32|bf16 MODEL TEXTS ROWS LENGTH STEPS THREADS [checkpointing]
bf16 is autocast over f32 weights, the fastest of PyTorch's ways on this work.
"""
import sys
import time
import torch
from peer_common import median_rate, result, token_rows, use_threads
from transformers import AutoModelForCausalLM

method, dtype, folder, texts = sys.argv[1:5]
rows, length, steps, threads = map(int, sys.argv[5:9])
use_threads(threads)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
if "checkpointing" in sys.argv[9:]:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
if method == "lora":
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
data = token_rows(folder, texts, rows * steps, length)
seconds = []
for step in range(steps):
    ids = data[step * rows : (step + 1) * rows]
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    seconds.append(time.perf_counter() - start)
result(median_rate(seconds, rows * length))
