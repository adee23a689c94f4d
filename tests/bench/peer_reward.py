"""TRL's RewardTrainer on pairs with a shared prompt, LoRA of rank 16 and the score head; random tokens, without checkpointing.

args: f32|bf16 MODEL PAIRS PROMPT ANSWER STEPS THREADS OUTPUT
The model is loaded in the dtype, which is the faster of the two ways there are. The result is seconds a step.
"""
import sys
import time
import torch
from datasets import Dataset
from peft import LoraConfig
from peer_common import result, use_threads
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import RewardConfig, RewardTrainer

dtype, folder = sys.argv[1:3]
pairs, prompt, answer, steps, threads = map(int, sys.argv[3:8])
output = sys.argv[8]
use_threads(threads)


class Clock(TrainerCallback):
    def __init__(self):
        self.begun, self.ended = [], []

    def on_step_begin(self, *args, **kwargs):
        self.begun.append(time.perf_counter())

    def on_step_end(self, *args, **kwargs):
        self.ended.append(time.perf_counter())


def rows(length):
    return torch.randint(5, 40000, (pairs * steps, length)).tolist()


torch.manual_seed(1)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1,
                                                           dtype=torch.bfloat16 if dtype == "bf16" else torch.float32)
prompts, clock = rows(prompt), Clock()
data = Dataset.from_dict({f"{side}_ids": [p + a for p, a in zip(prompts, rows(answer))] for side in ("chosen", "rejected")})
config = RewardConfig(output_dir=output, max_length=prompt + answer, per_device_train_batch_size=pairs, max_steps=steps, logging_steps=1000,
                      save_strategy="no", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False)
trainer = RewardTrainer(model=model, args=config, train_dataset=data, processing_class=AutoTokenizer.from_pretrained(folder),
                        callbacks=[clock], peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="SEQ_CLS",
                                                                  modules_to_save=["score"]))
trainer.train()
seconds = sorted(b - a for a, b in zip(clock.begun, clock.ended))[: max(1, steps - 1)]
result(seconds[(len(seconds) - 1) // 2])
