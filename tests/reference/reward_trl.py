"""20 steps of TRL's RewardTrainer on 64 pairs and a tiny model: attune's reward stage must follow them.

Makes tests/fixtures/reward-trl/ with
  model/                 a reward model of the shape of tiny-text: config.json, model.safetensors (bf16, with score.weight). The test puts
                         tiny-text's tokenizer beside them
  adapter/               a PEFT adapter of task SEQ_CLS on it: all-linear, r 4, alpha 8, B drawn too, score saved
  pairs.jsonl            {"prompt", "chosen", "rejected"}, lists of messages
  expected.json          ids: [chosen, rejected] of each pair, as TRL was given them; full and lora: {args, log: [{step, loss, grad_norm,
                         learning_rate, accuracy, margin, min_reward, mean_reward, max_reward}]}
  full.safetensors       gradient of the first step's loss (the mean over its 8 pairs, before clipping) for every weight of the model
  lora.safetensors       the same for every tensor of the adapter, named as in adapter_model.safetensors

The ids are those of the rendered chat through the <|im_end|> that closes the answer; the newline that the template writes behind it is left
out, since attune scores the end-of-turn token. Batches are of 8 pairs in the order of the file; 64 pairs are 8 steps, so the 20 steps
are two epochs and a half.

Command, after tiny_text.py: python tests/reference/reward_trl.py
Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, trl 1.16.0, datasets 5.2.0, numpy 2.4.6.
"""
from common import *
import shutil
import tempfile
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import SequentialSampler
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
from trl import RewardConfig, RewardTrainer

PAIRS, BATCH, STEPS = 64, 8, 20
WORDS = ["sea", "whale", "the sun", "seven", "moon", "and", "four", "an animal", "turns"]
ARGS = {"per_device_train_batch_size": BATCH, "max_steps": STEPS, "lr_scheduler_type": "linear", "warmup_steps": 0, "weight_decay": 0.0,
        "max_grad_norm": 1.0, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}
RATES = {"full": 1e-3, "lora": 2e-3}
FOLDER = os.path.dirname(fixture("reward-trl", "expected.json"))


def draw_model(random):
    """The model's folder: norms around 1, everything else with deviation 0.2, a score head with N(0, 1 / (hidden + 1))."""
    with open(fixture("tiny-text", "config.json")) as f: config = json.load(f)
    config.update(architectures=["LlamaForSequenceClassification"], num_labels=1, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    hidden, kv = config["hidden_size"], config["hidden_size"] * config["num_key_value_heads"] // config["num_attention_heads"]
    inner, weights = config["intermediate_size"], {}

    def add(name, *shape):
        w = random.standard_normal(shape) * 0.2 + (1.0 if "norm" in name else 0.0)
        weights[name] = torch.from_numpy(w).to(torch.bfloat16)

    add("model.embed_tokens.weight", config["vocab_size"], hidden)
    for l in range(config["num_hidden_layers"]):
        at = f"model.layers.{l}."
        for name, shape in {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (kv, hidden), "self_attn.v_proj": (kv, hidden),
                            "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
                            "mlp.down_proj": (hidden, inner), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}.items():
            add(f"{at}{name}.weight", *shape)
    add("model.norm.weight", hidden)
    weights["score.weight"] = torch.from_numpy(random.standard_normal((1, hidden)) / (hidden + 1) ** 0.5).to(torch.bfloat16)
    path = os.path.dirname(fixture("reward-trl", "model", "config.json"))
    with open(os.path.join(path, "config.json"), "w") as f: f.write(json.dumps(dict(config, torch_dtype="bfloat16"), indent=2) + "\n")
    save_file(weights, os.path.join(path, "model.safetensors"), {"format": "pt"})
    os.chmod(os.path.join(path, "model.safetensors"), 0o644)


def draw_adapter(random):
    model = get_peft_model(load(), LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear", task_type="SEQ_CLS",
                                              modules_to_save=["score"]))
    for name, p in sorted(model.named_parameters()):
        if not p.requires_grad: continue
        if ".lora_A." in name: w = random.uniform(-1, 1, p.shape) / p.shape[1] ** 0.5
        elif ".lora_B." in name: w = random.standard_normal(p.shape) * 0.1
        else: w = random.standard_normal(p.shape) / (p.shape[1] + 1) ** 0.5
        p.data.copy_(torch.from_numpy(w))
    path = os.path.dirname(fixture("reward-trl", "adapter", "adapter_config.json"))
    for config in model.peft_config.values(): config.base_model_name_or_path = "reward-trl/model"
    model.save_pretrained(path, save_embedding_layers=False)
    os.chmod(os.path.join(path, "adapter_model.safetensors"), 0o644)
    with open(os.path.join(path, "adapter_config.json")) as f: config = json.load(f)
    config["target_modules"].sort()                    # PEFT keeps a set: its order changes from run to run
    with open(os.path.join(path, "adapter_config.json"), "w") as f: f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if os.path.exists(os.path.join(path, "README.md")): os.remove(os.path.join(path, "README.md"))


def draw_pairs(random):
    """Answers of different lengths to prompts of different lengths; some pairs' answers share their beginning."""
    def some(most): return " ".join(random.choice(WORDS) for _ in range(1 + random.integers(most)))

    pairs = []
    for i in range(PAIRS):
        start = "it is " + (some(4) + " " if i % 3 == 0 else "")
        chosen, rejected = start + some(9), start + some(9)
        if chosen == rejected: rejected += " and"
        pairs.append({"prompt": [{"role": "user", "content": "what is " + some(12)}], "chosen": [{"role": "assistant", "content": chosen}],
                      "rejected": [{"role": "assistant", "content": rejected}]})
    with open(os.path.join(FOLDER, "pairs.jsonl"), "w") as f: f.writelines(json.dumps(p) + "\n" for p in pairs)
    return pairs


def load(adapter=False):
    """In f32."""
    from transformers import logging
    logging.disable_progress_bar()
    model = AutoModelForSequenceClassification.from_pretrained(os.path.join(FOLDER, "model"), num_labels=1, dtype=torch.float32)
    return PeftModel.from_pretrained(model, os.path.join(FOLDER, "adapter"), is_trainable=True) if adapter else model


class Trainer(RewardTrainer):
    losses = []

    def _get_train_sampler(self, *args, **kwargs): return SequentialSampler(self.train_dataset)

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append(loss.item())
        return loss


class Log(TrainerCallback):
    def __init__(self): self.log = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        names = ("grad_norm", "learning_rate", "accuracy", "margin", "min_reward", "mean_reward", "max_reward")
        if "loss" in logs: self.log.append({"step": state.global_step, **{k: float(logs[k]) for k in names}})


def first_gradients(method, ids):
    """d (mean over the first batch of -log sigmoid(chosen - rejected)), one sequence at a time, without padding."""
    model = load(method == "lora")
    model.config.pad_token_id = 3
    def score(row): return model(torch.tensor([row])).logits[0, 0]
    sum(-torch.nn.functional.logsigmoid(score(c) - score(r)) for c, r in ids[:BATCH]).div(BATCH).backward()
    return {k.replace(".modules_to_save.default", "").replace(".default", ""): p.grad for k, p in model.named_parameters() if p.requires_grad}


def train(method, tokenizer, ids, scratch):
    rows = Dataset.from_list([{"chosen_ids": c, "rejected_ids": r} for c, r in ids])
    log, Trainer.losses = Log(), []
    config = RewardConfig(output_dir=scratch, **ARGS, learning_rate=RATES[method], max_length=256, logging_steps=1, eval_strategy="no",
                          save_strategy="no", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, seed=7)
    Trainer(model=load(method == "lora"), args=config, train_dataset=rows, processing_class=tokenizer, callbacks=[log]).train()
    assert len(log.log) == len(Trainer.losses) == STEPS
    print(f"{method}: loss {Trainer.losses[0]:.4f} -> {Trainer.losses[-1]:.4f}")
    return {"args": dict(ARGS, learning_rate=RATES[method]), "log": [dict(e, loss=l) for e, l in zip(log.log, Trainer.losses)]}


def main():
    random = numpy.random.Generator(numpy.random.PCG64(64))
    draw_model(random)
    draw_adapter(random)
    pairs = draw_pairs(random)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("tokenizer.json", "tokenizer_config.json"): shutil.copy(fixture("tiny-text", name), scratch)
        shutil.copy(os.path.join(FOLDER, "model", "config.json"), scratch)
        tokenizer = AutoTokenizer.from_pretrained(scratch)
        ids = [[tokenizer(tokenizer.apply_chat_template(p["prompt"] + p[side], tokenize=False).rstrip("\n"), add_special_tokens=False)["input_ids"]
                for side in ("chosen", "rejected")] for p in pairs]
        for method in ("full", "lora"): save_tensors(os.path.join(FOLDER, f"{method}.safetensors"), first_gradients(method, ids))
        curves = {method: train(method, tokenizer, ids, scratch) for method in ("full", "lora")}
    save_json(os.path.join(FOLDER, "expected.json"), {
        "made_by": "tests/reference/reward_trl.py", "versions": versions("torch", "transformers", "peft", "trl", "datasets", "numpy"),
        "ids": ids, **curves})


if __name__ == "__main__":
    main()
