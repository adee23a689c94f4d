"""TRL's PPOTrainer: LoRA of rank 16 on the policy, reward and value models of the same shape beside it, random prompts.

args: f32|bf16 MODEL PROMPTS PROMPT RESPONSE ITERATIONS THREADS OUTPUT
TRL 0.24 is the last release that has PPO; it wants transformers 4.57. The model is loaded in the dtype, which is the faster of
the two ways there are. Prompts of an iteration go in four pieces, or memory would be short. The result is seconds an iteration.
"""
import sys
import time
import torch
from datasets import Dataset
from peer_common import result, use_threads
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast, TrainerCallback
from trl import PPOConfig, PPOTrainer

dtype, folder = sys.argv[1:3]
prompts, prompt, response, iterations, threads = map(int, sys.argv[3:8])
output = sys.argv[8]
use_threads(threads)
PIECES, EPOCHS = 4, 4


class Clock(TrainerCallback):
    def __init__(self):
        self.ended = []

    def on_step_end(self, *args, **kwargs):
        self.ended.append(time.perf_counter())


def load(kind, **more):
    return kind.from_pretrained(folder, dtype=torch.bfloat16 if dtype == "bf16" else torch.float32, **more)


torch.manual_seed(1)
clock = Clock()
tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")
data = Dataset.from_dict({"input_ids": torch.randint(5, 40000, (prompts * iterations, prompt)).tolist()})
config = PPOConfig(output_dir=output, per_device_train_batch_size=prompts // PIECES, gradient_accumulation_steps=PIECES, num_mini_batches=1,
                   num_ppo_epochs=EPOCHS, total_episodes=prompts * iterations, response_length=response, stop_token=None,
                   local_rollout_forward_batch_size=prompts, learning_rate=1e-5, report_to=[], use_cpu=True, bf16=False, save_strategy="no",
                   num_sample_generations=0, logging_steps=1, gradient_checkpointing=False)
trainer = PPOTrainer(args=config, processing_class=tokenizer, model=load(AutoModelForCausalLM), ref_model=None,
                     reward_model=load(AutoModelForSequenceClassification, num_labels=1),
                     value_model=load(AutoModelForSequenceClassification, num_labels=1), train_dataset=data, eval_dataset=data,
                     peft_config=LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM",
                                            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
                     callbacks=[clock])
trainer.train()
seconds = sorted(b - a for a, b in zip(clock.ended, clock.ended[1:]))
result(seconds[(len(seconds) - 1) // 2])
