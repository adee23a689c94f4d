"""transformers.generate: all prompts in one batch, drawn at temperature 1, exactly NEW tokens each; the better of two runs.

args: f32|bf16 MODEL PROMPTS LENGTH NEW THREADS
"""
import json
import sys
import time
import torch
from peer_common import result, use_threads
from transformers import AutoModelForCausalLM, AutoTokenizer

dtype, folder, prompts = sys.argv[1:4]
length, new, threads = map(int, sys.argv[4:7])
use_threads(threads)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if dtype == "bf16" else torch.float32).eval()
with open(prompts) as lines:
    ids = [tokenizer(json.loads(line)["prompt"], add_special_tokens=False)["input_ids"][:length] for line in lines]
ids = torch.tensor([(row * length)[:length] for row in ids])  # a row that came out shorter begins anew
seconds = []
for _ in range(2):
    start = time.perf_counter()
    with torch.no_grad():
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                       do_sample=True, top_k=0, temperature=1.0, pad_token_id=tokenizer.eos_token_id)
    seconds.append(time.perf_counter() - start)
result(len(ids) * new / min(seconds))
