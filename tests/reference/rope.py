"""Rotary frequencies of every rope type, from transformers.

Makes tests/fixtures/rope.json: cases [{name, head_dim, max_position_embeddings, rope_parameters, seq_len, inv_freq, attention_factor}].
rope_parameters are as in the newer config.json dialect. inv_freq [rotary_dim / 2] is f32 (rotary_dim = head_dim * partial_rotary_factor);
cos and sin of position * inv_freq are multiplied by attention_factor. seq_len matters to dynamic and longrope alone: null is what a model
starts with. Command: python tests/reference/rope.py        Made with torch 2.15.0, transformers 5.23.0.
"""
from common import *
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

LLAMA31 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 8192}
YARN = {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 32768}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 4096,
        "short_factor": [1.0 + 0.05 * i for i in range(16)], "long_factor": [1.0 + 1.5 * i for i in range(16)]}

CASES = [                              # name, head_dim, max_position_embeddings, rope_parameters, seq_len
    ("default", 64, 2048, {"rope_type": "default", "rope_theta": 10000.0}, None),
    ("default, theta 1e6", 128, 32768, {"rope_type": "default", "rope_theta": 1000000.0}, None),
    ("linear", 64, 8192, {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}, None),
    ("linear, partial", 64, 8192, {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5, "partial_rotary_factor": 0.25}, None),
    ("llama 3.1", 128, 131072, LLAMA31, None),
    ("llama 3.2", 64, 131072, dict(LLAMA31, factor=32.0), None),
    ("tiny-llama3", 24, 128, {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                              "high_freq_factor": 2.0, "original_max_position_embeddings": 16}, None),
    ("dynamic, at the start", 64, 2048, {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}, None),
    ("dynamic, shorter than max", 64, 2048, {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}, 100),
    ("dynamic, 5000 tokens", 64, 2048, {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}, 5000),
    ("yarn, qwen2.5", 128, 131072, YARN, None),
    ("yarn, betas", 64, 8192, dict(YARN, rope_theta=10000.0, factor=2.0, original_max_position_embeddings=4096, beta_fast=16.0,
                                   beta_slow=2.0, attention_factor=1.25), None),
    ("yarn, not truncated", 64, 65536, dict(YARN, rope_theta=150000.0, factor=16.0, original_max_position_embeddings=4096,
                                            truncate=False), None),
    ("yarn, mscale", 64, 163840, dict(YARN, rope_theta=10000.0, factor=40.0, original_max_position_embeddings=4096, mscale=1.0,
                                      mscale_all_dim=0.8), None),
    ("longrope, short", 32, 131072, LONG, None),
    ("longrope, long", 32, 131072, LONG, 5000),
    ("longrope, factor given", 32, 8192, dict(LONG, factor=8.0), 4096),
]


def main():
    cases = []
    for name, head_dim, longest, parameters, seq_len in CASES:
        config = LlamaConfig(hidden_size=4 * head_dim, num_attention_heads=4, head_dim=head_dim, max_position_embeddings=longest,
                             rope_parameters=dict(parameters))
        compute = ROPE_INIT_FUNCTIONS.get(parameters["rope_type"], LlamaRotaryEmbedding.compute_default_rope_parameters)
        inv_freq, attention_factor = compute(config, device=None, seq_len=seq_len)
        assert torch.isfinite(inv_freq).all()
        cases.append({"name": name, "head_dim": head_dim, "max_position_embeddings": longest, "rope_parameters": parameters,
                      "seq_len": seq_len, "inv_freq": [float(f"{x:.9g}") for x in inv_freq.tolist()],
                      "attention_factor": float(attention_factor)})
        print(f"{name}: {len(cases[-1]['inv_freq'])} frequencies, attention factor {attention_factor:.6f}")
    save_json(fixture("rope.json"), {"made_by": "tests/reference/rope.py", "versions": versions("torch", "transformers"), "cases": cases})


if __name__ == "__main__":
    main()
