"""TRL's SFTTrainer with its defaults (gradient checkpointing; bf16 autocast in a bf16 row), LoRA of rank 16.

args: f32|bf16 MODEL TEXTS ROWS LENGTH STEPS THREADS OUTPUT [start]
The result is tokens a second, or with `start` the seconds from the process's start to its first step.
"""
import os
import sys
import time

def process_age():
    ticks = float(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
    return float(open("/proc/uptime").read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")

dtype, folder, texts = sys.argv[1:4]
rows, length, steps, threads = map(int, sys.argv[4:8])
output, start_only = sys.argv[8], "start" in sys.argv[9:]
import torch
from datasets import Dataset
from peft import LoraConfig
from peer_common import median_rate, result, token_rows, use_threads
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

use_threads(threads)


class Clock(TrainerCallback):
    def __init__(self):
        self.begun, self.ended = [], []

    def on_step_begin(self, *args, **kwargs):
        if start_only:
            result(process_age())
            os._exit(0)
        self.begun.append(time.perf_counter())

    def on_step_end(self, *args, **kwargs):
        self.ended.append(time.perf_counter())


clock = Clock()
config = SFTConfig(output_dir=output, max_length=length, per_device_train_batch_size=rows, max_steps=steps, learning_rate=1e-4,
                   logging_steps=1000, save_strategy="no", report_to=[], use_cpu=True, bf16=dtype == "bf16", fp16=False)
trainer = SFTTrainer(model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), args=config,
                     train_dataset=Dataset.from_dict({"input_ids": token_rows(folder, texts, rows * steps, length).tolist()}),
                     processing_class=AutoTokenizer.from_pretrained(folder), callbacks=[clock],
                     peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
trainer.train()
result(median_rate([b - a for a, b in zip(clock.begun, clock.ended)], rows * length))
