"""Tokens and trained tokens of alpaca-1k.json in three forms, as transformers and TRL make them: text/dataset must do the same.

Makes tests/fixtures/dataset_masks.json. Each form is a list of [tokens, trained tokens, hash], one entry a record of
alpaca-1k.json in file order. The hash is FNV-1a (64 bits, hex) over the ids as little-endian u32, then over trained as bytes 0 and 1. The
first token of an example is never trained: nothing stands before it. Nothing is cut.

    alpaca      one user turn (instruction, then "\\n" and input where there is one) and the assistant's output, through the model's chat
                template; trained from the answer's first character through its end-of-turn token
    text        output + eos; all trained
    completion  instruction + " " + input as the prompt, output + eos as the completion, one text; trained is what follows the tokens that
                it has in common with the encoded prompt (trl.trainer.sft_trainer, SFTTrainer._prepare_dataset)
    bfd_rows    rows that TRL's pack_dataset(strategy "bfd") makes of the alpaca form, {max_length: rows}; records longer than max_length
                are cut first

The data's licence keeps it out of the repository; the fixture holds hashes only.

usage: dataset_masks.py MODEL alpaca-1k.json      (MODEL: a folder with SmolLM2-135M-Instruct's tokenizer)
Made with transformers 5.23.0, tokenizers 0.23.3, trl 1.16.0, datasets 5.2.0.
"""
import json
import os
import struct
import sys
from datasets import Dataset
from transformers import AutoTokenizer
from trl import pack_dataset

FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "dataset_masks.json")


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def entry(ids, trained):
    trained = [0] + [int(mark) for mark in trained[1:]]
    return [len(ids), sum(trained), fnv(struct.pack(f"<{len(ids)}I", *ids) + bytes(trained))]


def alpaca(tokenizer, record):
    user = {"role": "user", "content": record["instruction"] + ("\n" + record["input"] if record.get("input") else "")}
    answer = {"role": "assistant", "content": record["output"]}
    head = tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    text = tokenizer.apply_chat_template([user, answer], tokenize=False)
    assert text.startswith(head)
    end = len(text.rstrip("\n"))
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    return encoded["input_ids"], [len(head) <= start < end for start, _ in encoded["offset_mapping"]]


def text(tokenizer, record):
    ids = tokenizer(record["output"] + tokenizer.eos_token)["input_ids"]
    return ids, [1] * len(ids)


def completion(tokenizer, record):
    head = record["instruction"] + " " + record["input"]
    prompt = tokenizer(head)["input_ids"]
    ids = tokenizer(head + record["output"] + tokenizer.eos_token)["input_ids"]
    common = 0
    while common < min(len(prompt), len(ids)) and prompt[common] == ids[common]:
        common += 1
    return ids, [i >= common for i in range(len(ids))]


def bfd_rows(examples, max_length):
    rows = Dataset.from_dict({"input_ids": [ids[:max_length] for ids, _ in examples]})
    return len(pack_dataset(rows, max_length, "bfd"))


def main():
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    records = json.load(open(sys.argv[2]))
    forms = {form.__name__: [form(tokenizer, record) for record in records] for form in (alpaca, text, completion)}
    out = {name: [entry(*example) for example in examples] for name, examples in forms.items()}
    out["bfd_rows"] = {str(length): bfd_rows(forms["alpaca"], length) for length in (512, 640, 1024, 4096)}
    with open(FIXTURE, "w") as file:
        file.write("{\n")
        for i, (name, value) in enumerate(out.items()):
            lines = [f"{json.dumps(name)}: "]
            if isinstance(value, list):
                lines.append("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) + "]")
            else:
                lines.append(json.dumps(value))
            file.write("".join(lines) + (",\n" if i + 1 < len(out) else "\n"))
        file.write("}\n")


main()
