"""Learning rates of transformers' schedules, step by step.

usage: python tests/reference/schedule.py

schedule.json: "curves" is a list of {"type", "learning_rate", "min_lr_rate", "warmup_steps", "total_steps", "rates"}, rates[s] being what
optimizer step s (from 0) is made with; `linear` with a minimum is transformers' polynomial schedule of power 1. "warmups" is a list of
{"warmup_steps", "total_steps", "steps"} as TrainingArguments.get_warmup_steps() counts them. "versions" says what made it.
"""
import json

import torch
from common import fixture, versions
from transformers import TrainingArguments, get_scheduler

CASES = [  # type, min_lr_rate, warmup_steps, total_steps
    ("constant", 0.0, 0, 12),
    ("constant_with_warmup", 0.0, 5, 12),
    ("linear", 0.0, 0, 24),
    ("linear", 0.0, 3, 24),
    ("linear", 0.1, 4, 20),
    ("cosine", 0.0, 0, 24),
    ("cosine", 0.0, 3, 25),
    ("cosine_with_min_lr", 0.1, 3, 25),
    ("cosine_with_min_lr", 0.25, 0, 7),
    ("linear", 0.0, 1, 1),
    ("cosine", 0.0, 1, 2),
]
PEAK = 2e-4


def rates(kind, min_lr_rate, warmup_steps, total_steps):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    extra = {}
    if kind == "linear" and min_lr_rate > 0:
        kind, extra = "polynomial", {"power": 1.0, "lr_end": PEAK * min_lr_rate}
    elif kind == "cosine_with_min_lr":
        extra = {"min_lr_rate": min_lr_rate}
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup_steps, num_training_steps=total_steps, scheduler_specific_kwargs=extra)
    out = []
    for _ in range(total_steps):
        out.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return out


curves = [
    {"type": kind, "learning_rate": PEAK, "min_lr_rate": least, "warmup_steps": warmup, "total_steps": total, "rates": rates(kind, least, warmup, total)}
    for kind, least, warmup, total in CASES
]
warmups = [
    {"warmup_steps": steps, "total_steps": total, "steps": TrainingArguments(output_dir="x", warmup_steps=steps, use_cpu=True).get_warmup_steps(total)}
    for steps, total in [(0, 10), (0.03, 100), (0.03, 101), (0.1, 24), (0.5, 3), (0.999, 10), (1, 10), (7, 10), (7.9, 10)]
]
with open(fixture("schedule.json"), "w") as file:
    json.dump({"versions": versions("torch", "transformers"), "curves": curves, "warmups": warmups}, file, indent=1)
    file.write("\n")
