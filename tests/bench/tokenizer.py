"""The lines of bench-tokenizer (tests/bench/tokenizer.c) for Hugging Face's tokenizers, on one thread.

    pip install tokenizers==0.23.3; python tests/bench/tokenizer.py <text file> <tokenizer.json>...
"""
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer

PIECE, PASSES = 2000, 5

with open(sys.argv[1], newline="") as file: text = file.read()
size = len(text.encode()) / 1e6
pieces = [text[i:i + PIECE] for i in range(0, len(text), PIECE)]
for path in sys.argv[2:]:
    start = time.process_time()
    tokenizer = Tokenizer.from_file(path)
    opened, passes = time.process_time() - start, []
    for _ in range(PASSES):
        start, tokens = time.process_time(), 0
        for piece in pieces: tokens += len(tokenizer.encode(piece).ids)
        passes.append(time.process_time() - start)
    print(f"{os.path.basename(path)},{opened:.3f},{size / passes[0]:.1f},{size / min(passes):.1f},{tokens}")
