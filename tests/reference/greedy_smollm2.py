"""Greedy answers of a real model.

Makes tests/fixtures/greedy_smollm2.json: answers [{prompt, prompt_ids, new_ids, gaps}]. `prompt` is one user turn; prompt_ids are the ids of
the model's chat template with add_generation_prompt (the template puts its own system turn in front); new_ids are up to 48 greedy tokens,
the end-of-turn token included where it comes; gaps[i] is the difference of the two largest logits where new_ids[i] was chosen: after a
small gap another f32 implementation may rightly go another way, and nothing behind it can be compared.

usage: greedy_smollm2.py MODEL      ($LAB/smollm2)
Made with torch 2.15.0, transformers 5.23.0, f32; MODEL is SmolLM2-135M-Instruct (Apache-2.0) as read back from its 4-bit GGUF file.
The prompts are our own: the licence of alpaca-1k keeps its records out of the repository.
"""
from common import *
from transformers import AutoTokenizer

NEW = 48
PROMPTS = [
    "Name three fruits that grow on trees.",
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Explain in two sentences why the sky is blue.",
    "Turn this sentence into the past tense.\nShe walks to school every day.",
    "Sort these numbers from small to large.\n17, 4, 256, 31",
    "Give me a short recipe for pancakes.",
    "Write a Python function that adds two numbers.",
    "Translate into Spanish: Good morning, my friend.",
    "Is a whale a fish? Answer yes or no, then say why.",
    "Describe a café in Zürich — in 日本語 if you can. 🙂",
    "List the days of the week,   with three spaces kept\n\n\tand a tab.",
]


def answer(model, prompt_ids, eos):
    """Each step computes the whole sequence anew: no cache to be wrong about."""
    ids, gaps = list(prompt_ids), []
    with torch.no_grad():
        for _ in range(NEW):
            top = model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1].topk(2)
            ids.append(int(top.indices[0]))
            gaps.append(round((top.values[0] - top.values[1]).item(), 5))
            if ids[-1] == eos: break
    return ids[len(prompt_ids):], gaps


def main():
    torch.set_num_threads(2)
    tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), load_model(sys.argv[1])
    answers = []
    for prompt in PROMPTS:
        text = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
        prompt_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        new_ids, gaps = answer(model, prompt_ids, tokenizer.eos_token_id)
        answers.append({"prompt": prompt, "prompt_ids": prompt_ids, "new_ids": new_ids, "gaps": gaps})
        print(f"{min(gaps):.4f} {prompt!r} -> {tokenizer.decode(new_ids)!r}", flush=True)
    save_json(fixture("greedy_smollm2.json"), {
        "made_by": "tests/reference/greedy_smollm2.py", "model": "SmolLM2-135M-Instruct (from 4-bit GGUF), f32",
        "versions": versions("torch", "transformers", "tokenizers"), "eos_id": tokenizer.eos_token_id, "answers": answers})


if __name__ == "__main__":
    main()
