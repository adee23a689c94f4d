"""The demo's tokenizer: byte-level BPE of 1536 tokens, trained on the demo's own text.

usage: demo_tokenizer.py PRETRAIN.jsonl OUT_DIR      (PRETRAIN.jsonl: demo-world pretrain PRETRAIN.jsonl)
Writes tokenizer.json and tokenizer_config.json with a ChatML template. Made with tokenizers 0.23.3.
"""
import json, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

texts, out = sys.argv[1:3]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
# Words of the orders and of the chat template, which the descriptions do not have.
asked = ["What is the Turn these words Say this user assistant\n"] * 50
trainer = trainers.BpeTrainer(vocab_size=1536, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
tokenizer.train_from_iterator([json.loads(line)["text"] for line in open(texts)] + asked, trainer)
tokenizer.save(f"{out}/tokenizer.json")
template = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
with open(f"{out}/tokenizer_config.json", "w") as f:
    json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "chat_template": template}, f, indent=2)
    f.write("\n")
