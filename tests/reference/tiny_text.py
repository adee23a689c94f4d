"""A model folder without weights, for tests of whole runs: the tests fill it with random ones (model_write_random).

Makes tests/fixtures/tiny-text/ with
  config.json              llama: hidden 32, 2 layers, 4 heads over 2 key-value heads, tied head, 256 positions, 320 tokens
  tokenizer.json           byte-level BPE: 256 bytes, 60 merges learned from the sentences below, 4 special tokens
  tokenizer_config.json    a ChatML template; answers end with <|im_end|>

Command: python tests/reference/tiny_text.py
Made with tokenizers 0.23.3.
"""
import json
import os
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
VOCABULARY = len(SPECIAL) + 256 + 60
SENTENCES = ["user and assistant speak in turns", "what is the sum of three and four", "the answer is seven",
             "name an animal that lives in the sea", "a whale lives in the sea", "the sun is larger than the moon"]
TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": VOCABULARY, "hidden_size": 32,
          "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
          "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "attention_bias": False,
          "mlp_bias": False, "tie_word_embeddings": True, "torch_dtype": "float32", "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 3}


def write(folder, name, value):
    with open(os.path.join(folder, name), "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def main():
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "tiny-text")
    os.makedirs(folder, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, min_frequency=1, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(SENTENCES, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    write(folder, "config.json", CONFIG)
    write(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": "<|im_end|>",
                                            "pad_token": "<|pad|>", "chat_template": TEMPLATE})


if __name__ == "__main__":
    main()
