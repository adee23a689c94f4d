"""Hashes of the ids that Hugging Face's tokenizers gives for 2 MB of mixed text: tests/fixtures/tokenizer/blocks.json.

    pip install tokenizers==0.23.3
    python tests/reference/tokenizer_ids.py ../shared/data > tests/fixtures/tokenizer/blocks.json
    python tests/reference/tokenizer_ids.py ../shared/data smollm2 5      # the ids of one block, to see where another result differs

The text is built anew by tests/text/test_tokenizer_parity.c: parts of four files of the data folder and made-up text from the
generator below (white space, letters, contractions, control characters, emoji, any code point), cut into blocks of 64 KB.
A hash is FNV-1a, 64 bits: of the ids, four bytes each, least first; of the decoded text, its bytes.
"""
import json
import os
import sys

import tokenizers
from tokenizers import Tokenizer

NAMES = ["gpt2", "llama2", "llama3", "smollm2"]
PARTS = [("wiki-text.txt", 400000), ("scripts.txt", 1000000), ("tinyshakespeare.txt", 150000), ("alpaca-1k.json", 200000)]
MADE_UP_BYTES = 450000
BLOCK = 65536
WORDS = ["'s", "'LL", "'ve", " don't", " the", "  ", "\n\n", " \n ", "\r\n", "\t", "\u017f", "'\u017f", "\u180e", "\u0085", "\u3000", "\u00a0",
         "<|endoftext|>", "<|begin_of_text|>", "<|im_start|>", "<s>", "</s>", "\u2581", "\u2581\u2581", "\ufffd", "<0x41>", "3.14", "2024",
         "e\u0301", "\U0001f469\u200d\U0001f4bb", "\U0001f1e9\U0001f1ea", "\u4f60\u597d", "\uac00", "\u0e01\u0e33"]
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0x00, 0x20), (0x80, 0x2FF), (0x300, 0x3100), (0x3040, 0x9FFF), (0x1F300, 0x1FAFF),
          (0xE000, 0x10FFFF), (0x30, 0x39), (0x00, 0xD7FF)]


class Random:
    """splitmix64"""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = self.state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & (2**64 - 1)
        return (z ^ (z >> 31)) % n


def made_up(size, seed):
    """Runs of 1 to 12 characters of one range, or of words of the list, until there are `size` bytes."""
    random, out = Random(seed), bytearray()
    while len(out) < size:
        kind = random.below(len(RANGES) + 2)
        for _ in range(1 + random.below(12)):
            if kind >= len(RANGES):
                out += WORDS[random.below(len(WORDS))].encode()
            else:
                low, high = RANGES[kind]
                out += chr(low + random.below(high - low + 1)).encode()
    return bytes(out)


def cut(text, size):
    """The longest start of whole characters in `size` bytes."""
    if size >= len(text): return text
    while text[size] & 0xC0 == 0x80: size -= 1
    return text[:size]


def blocks(folder):
    text = b""
    for name, size in PARTS:
        with open(os.path.join(folder, name), "rb") as file: text += cut(file.read(), size)
    text += made_up(MADE_UP_BYTES, 7)
    while text:
        block = cut(text, BLOCK)
        text = text[len(block):]
        yield block.decode()


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data: value = (value ^ byte) * 0x100000001B3 & (2**64 - 1)
    return f"{value:016x}"


def main():
    folder = sys.argv[1]
    tokenizer = {n: Tokenizer.from_file(os.path.join(folder, "tokenizers", n + ".json")) for n in NAMES}
    if len(sys.argv) > 3:
        print(*tokenizer[sys.argv[2]].encode(list(blocks(folder))[int(sys.argv[3])]).ids)
        return
    out = {"made_by": "tests/reference/tokenizer_ids.py", "tokenizers": tokenizers.__version__, "blocks": []}
    for block in blocks(folder):
        entry = {"text": fnv(block.encode())}
        for name in NAMES:
            ids = tokenizer[name].encode(block).ids
            entry[name] = [len(ids), fnv(b"".join(i.to_bytes(4, "little") for i in ids)),
                           fnv(tokenizer[name].decode(ids, skip_special_tokens=False).encode())]
        out["blocks"].append(entry)
    print(json.dumps(out).replace('{"text"', '\n{"text"').replace("]}]}", "]}\n]}"))


if __name__ == "__main__":
    main()
