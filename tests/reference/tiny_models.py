"""Three tiny random llama models as Hugging Face directories, and what transformers computes with them.

Makes tests/fixtures/{tiny-llama,tiny-llama3,tiny-sharded}/ with
  config.json, model.safetensors   the model (tiny-sharded: two bf16 shards and model.safetensors.index.json)
  expected.json                    sequences [{ids, mask}], sum_nll, tokens, loss: token t >= 1 counts where mask[t] is 1, and
                                   loss = sum_nll / tokens, token-mean over all sequences together
  expected.safetensors             logits.<i> [T, V]; nll.<i> [T-1], of every next token whatever its mask; hidden.<l> [T, H] of sequence 1,
                                   l = 0 the embeddings, l < layers the output of block l, l = layers the final norm's output;
                                   grad.<name>, the gradient of `loss`, names as in the checkpoint

Weights come from numpy's PCG64, so they do not depend on torch's version. Command: python tests/reference/tiny_models.py
Made with torch 2.15.0, transformers 5.23.0, numpy 2.4.6, safetensors 0.8.0.
"""
from common import *

LENGTHS = [1, 7, 23, 70]
BASE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.02, "use_cache": True}

CONFIGS = {
    # The older dialect: rope_theta, rope_scaling, torch_dtype; head_dim left out; one tied matrix.
    "tiny-llama": dict(BASE, tie_word_embeddings=True, attention_bias=False, mlp_bias=False, rope_theta=10000.0, rope_scaling=None,
                       torch_dtype="float32"),
    # The newer dialect: rope_parameters, dtype. Frequencies of all three llama3 bands, biases everywhere, heads wider than hidden.
    "tiny-llama3": dict(BASE, tie_word_embeddings=False, attention_bias=True, mlp_bias=True, head_dim=24, dtype="float32",
                        eos_token_id=[2, 5],
                        rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                                         "high_freq_factor": 2.0, "original_max_position_embeddings": 16}),
    # Sharded, bf16 on disk, as many key-value heads as heads (said by null, as old configs do).
    "tiny-sharded": dict(BASE, tie_word_embeddings=False, attention_bias=False, mlp_bias=False, rope_theta=500000.0, rope_scaling=None,
                         num_key_value_heads=None, rms_norm_eps=1e-6, torch_dtype="bfloat16"),
}


def shapes(c):
    """Names and shapes of a checkpoint, in the order in which the weights are drawn."""
    hidden, ffn, vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    head_dim = c.get("head_dim") or hidden // c["num_attention_heads"]
    q, kv = c["num_attention_heads"] * head_dim, (c["num_key_value_heads"] or c["num_attention_heads"]) * head_dim
    out = {"model.embed_tokens.weight": [vocab, hidden]}
    for l in range(c["num_hidden_layers"]):
        at = f"model.layers.{l}"
        out[f"{at}.input_layernorm.weight"] = [hidden]
        for name, rows, cols in [("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)]:
            out[f"{at}.self_attn.{name}_proj.weight"] = [rows, cols]
            if c["attention_bias"]: out[f"{at}.self_attn.{name}_proj.bias"] = [rows]
        out[f"{at}.post_attention_layernorm.weight"] = [hidden]
        for name, rows, cols in [("gate", ffn, hidden), ("up", ffn, hidden), ("down", hidden, ffn)]:
            out[f"{at}.mlp.{name}_proj.weight"] = [rows, cols]
            if c["mlp_bias"]: out[f"{at}.mlp.{name}_proj.bias"] = [rows]
    out["model.norm.weight"] = [hidden]
    if not c["tie_word_embeddings"]: out["lm_head.weight"] = [vocab, hidden]
    return out


def draw(config, seed):
    """Norms around 1, everything else with deviation 0.3, so that no distribution comes out flat."""
    random = numpy.random.Generator(numpy.random.PCG64(seed))
    out = {}
    for name, shape in shapes(config).items():
        w = random.standard_normal(shape) * (0.2 if "norm" in name else 0.3) + (1.0 if "norm" in name else 0.0)
        out[name] = torch.from_numpy(w.astype(numpy.float32))
    return out, random


def write_model(path, config, weights):
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")
    if config.get("torch_dtype") != "bfloat16":
        save_file(weights, os.path.join(path, "model.safetensors"), {"format": "pt"})
        return
    weights = {k: v.to(torch.bfloat16) for k, v in weights.items()}
    names, where = list(weights), {}
    half = len(names) // 2                             # the cut falls inside a block, as it does in real shards
    for i, part in enumerate((names[:half], names[half:])):
        file = f"model-{i + 1:05d}-of-00002.safetensors"
        save_file({n: weights[n] for n in part}, os.path.join(path, file), {"format": "pt"})
        where.update({n: file for n in part})
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": sum(2 * w.numel() for w in weights.values())}, "weight_map": where}, f, indent=1)
        f.write("\n")


def main():
    for number, (name, config) in enumerate(CONFIGS.items()):
        path = os.path.dirname(fixture(name, "config.json"))
        weights, random = draw(config, 100 + number)
        write_model(path, config, weights)
        sequences = []
        for length in LENGTHS:
            ids = random.integers(3, config["vocab_size"], length).tolist()
            mask = (random.random(length) < 0.7).astype(int).tolist()
            mask[0] = 0
            sequences.append({"ids": ids, "mask": mask})

        model = load_model(path)
        out = logits_of(model, sequences)
        with torch.no_grad():
            for i, s in enumerate(sequences):
                if len(s["ids"]) > 1: out[f"nll.{i}"] = token_nll(model, s)
            states = model(torch.tensor([sequences[1]["ids"]]), output_hidden_states=True).hidden_states
            out.update({f"hidden.{l}": h[0] for l, h in enumerate(states)})
        total, count = masked_sum(model, sequences)
        (total / count).backward()
        missing = set(weights) - {k for k, _ in model.named_parameters()}
        assert not missing, missing
        out.update({f"grad.{k}": p.grad for k, p in model.named_parameters()})
        save_tensors(os.path.join(path, "expected.safetensors"), out)
        save_json(os.path.join(path, "expected.json"), {
            "made_by": "tests/reference/tiny_models.py", "versions": versions("torch", "transformers", "numpy", "safetensors"),
            "sequences": sequences, "sum_nll": total.item(), "tokens": count, "loss": total.item() / count})
        print(f"{name}: loss {total.item() / count:.6f} over {count} tokens, logits deviate by {out['logits.3'].std():.2f}")


if __name__ == "__main__":
    main()
