"""One update of PPO, GRPO and RLOO on tiny-llama in plain PyTorch: the equations of Ziegler et al. 2019 and its code, Schulman et al. 2016
(GAE) and 2017 (PPO), Shao et al. 2024 (GRPO) and Ahmadian et al. 2024 (RLOO), written down once more to compare with.

Makes tests/fixtures/ppo/
  policy/, critic/     PEFT adapters on tiny-llama as they are before the update, r 4, alpha 8, all-linear, B drawn; the critic's is of task
                       SEQ_CLS with its score head (no bias)
  rollout.json         base, group_size, temperature; episodes [{prompt, answer (token ids), stopped, score}], group_size neighbours to a
                       prompt; by token, answers end to end: old_logprobs, reference_logprobs, values (as when they were sampled), and
                       logprobs, entropies, new_values: what policy/ and critic/ give now
                       cases [{name, recipe (keys as in a recipe), statistics (count, mean, squares of all scores before), expected}]:
                       expected has scores after clipping and penalty, rewards, advantages, returns, kl and rlhf_reward (means over
                       answers), equal_groups; loss, objective, kl_loss, approx_kl, clip_fraction, ratio, ratio_variance; dlogprobs,
                       dentropies (d loss / d logprobs, entropies); for gae value_loss (without vf_coef), value_clip_fraction, dvalues
                       (d vf_coef value_loss / d values), explained_variance
                       optimizer: of all updates
                       updates {name of a case: {policy_grad_norm, critic_grad_norm}} before clipping
  <case>.safetensors   of the cases with an update: policy.grad.<name>, critic.grad.<name> before clipping, policy.step.<name>,
                       critic.step.<name> after one AdamW step; named as in adapter_model.safetensors

The log-probability of a token is that of logits / temperature. Sequences go through the model one at a time, so no padding is ever seen
there; from there on everything is a padded matrix [answers, longest answer] with a mask. Means are masked, and over the whole rollout,
which is one mini-batch. Policy and critic have gradients, clipping and AdamW of their own. The model computes in f32, the equations in f64.

Where TRL 0.24's PPOTrainer differs:
  - it whitens with the unbiased variance (n / (n - 1))
  - on answers shorter than the longest it adds the score one place past the last token (sequence_lengths_p1), takes the value there for
    real (V after the last token is not 0, and value loss and reward whitening count one token more), and the KL of that place is that
    of two equal constants, 0
  - old log-probabilities are those of the decoding forward
  - a mini-batch's loss is the mean of its micro-batches' means, whatever their numbers of tokens
  - policy and critic share one gradient norm for clipping, and one AdamW
  - approx-KL, ratio and entropy are means over padding too; objective/entropy counts -1 for each padded place
  - the log ratio is not clamped; logits are divided by temperature + 1e-7
  - no entropy bonus, no score clipping, no k2
GRPO and RLOO are those of TRL 1.16, but for RLOO's ratio: one for a whole answer there, one a token here.

Command, after tiny_models.py: python tests/reference/ppo_update.py
Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, numpy 2.4.6, safetensors 0.8.0.
"""
from common import *
import warnings
from adapters import ALL, file_name, fill, save_adapter
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification

VOCAB, END, GROUP, TEMPERATURE = 96, 2, 4, 0.7
OPTIMIZER = {"learning_rate": 1e-3, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-5, "weight_decay": 0.0, "max_grad_norm": 1.0}
DEFAULTS = dict(advantage_estimator="gae", scale_rewards="group", loss_type="dapo", kl_estimator="k1", kl_coef=0.05, gamma=1.0, lam=0.95,
                cliprange=0.2, epsilon_high=0.0, cliprange_value=0.2, vf_coef=0.1, entropy_coef=0.0, missing_eos_penalty=0.0,
                score_clip=0.0, use_score_norm=False, whiten_rewards=False, response_length=12)
GRPO = dict(advantage_estimator="grpo", kl_estimator="k3", kl_coef=0.0)
CASES = {
    "gae": dict(whiten_rewards=True, missing_eos_penalty=1.0, score_clip=2.0, entropy_coef=0.01),
    "gae-plain": {},
    "gae-discounted": dict(gamma=0.9, lam=0.5, kl_estimator="k3", use_score_norm=True, score_clip=1.0),
    "gae-no-lambda": dict(lam=0.0, kl_estimator="k2", loss_type="grpo"),
    "grpo": dict(GRPO, kl_coef=0.04, epsilon_high=0.28),
    "grpo-batch": dict(GRPO, scale_rewards="batch", loss_type="grpo", missing_eos_penalty=0.5),
    "grpo-none": dict(GRPO, scale_rewards="none", loss_type="dr_grpo", kl_coef=0.1, kl_estimator="k2", entropy_coef=0.02),
    "rloo": dict(advantage_estimator="rloo"),
    "rloo-clipped": dict(advantage_estimator="rloo", score_clip=1.0, kl_estimator="k3", loss_type="dr_grpo"),
}
UPDATES = ["gae", "grpo", "rloo"]


# ---- the rollout ----

def draw_episodes(random):
    """Answers of 1 to 12 tokens; those that stopped end with END. The scores of the second prompt are all equal."""
    episodes = []
    for prompt_length in (3, 7, 1):
        prompt = [int(i) for i in random.integers(3, VOCAB, prompt_length)]
        for sample in range(GROUP):
            length, stopped = int(random.integers(1, 12)), bool(random.random() < 0.7)
            answer = [int(i) for i in random.integers(3, VOCAB, length)]
            if stopped: answer[-1] = END
            score = 0.75 if prompt_length == 7 else round(float(random.standard_normal() * 1.5), 3)
            episodes.append({"prompt": prompt, "answer": answer, "stopped": stopped, "score": score})
    episodes[3]["answer"] += [5] * (12 - len(episodes[3]["answer"]))   # the longest, which was cut
    episodes[3]["stopped"] = False
    return episodes


def policy_numbers(model, episodes):
    """([tokens] log-probabilities, [tokens] entropies) of all answers, one sequence at a time."""
    logprobs, entropies = [], []
    for e in episodes:
        logits = model(torch.tensor([e["prompt"] + e["answer"]])).logits[0] / TEMPERATURE
        logp = torch.log_softmax(logits[len(e["prompt"]) - 1 : -1], -1)       # the state before token t chooses it
        logprobs.append(logp.gather(1, torch.tensor(e["answer"])[:, None])[:, 0])
        entropies.append(-(logp.exp() * logp).sum(-1))
    return torch.cat(logprobs).double(), torch.cat(entropies).double()


def critic_values(model, episodes):
    values = []
    for e in episodes:
        hidden = model.base_model.model.model(torch.tensor([e["prompt"] + e["answer"]])).last_hidden_state[0]
        values.append(model.base_model.model.score(hidden[len(e["prompt"]) - 1 : -1])[:, 0])
    return torch.cat(values).double()


# ---- the equations ----

class Rows:
    """Numbers by token as padded rows, and back."""
    def __init__(self, episodes):
        self.lengths = [len(e["answer"]) for e in episodes]
        self.mask = torch.arange(max(self.lengths))[None] < torch.tensor(self.lengths)[:, None]
    def pad(self, flat):
        rows = torch.zeros(self.mask.shape, dtype=torch.float64)
        return rows.masked_scatter(self.mask, flat.double())
    def flat(self, rows):
        return rows[self.mask]


def kl_of(estimator, d):
    return {"k1": d, "k2": d * d / 2, "k3": torch.exp(-d) - 1 + d}[estimator]


def whiten(rows, mask, keep_mean):
    values = rows[mask]
    mean, variance = values.mean(), values.var(unbiased=False)
    return torch.where(mask, (rows - mean) / torch.sqrt(variance + 1e-8) + (mean if keep_mean else 0), 0.0)


def final_scores(recipe, episodes, statistics):
    """As they are added to the last tokens; `statistics` are those of all scores, these included."""
    scores = torch.tensor([e["score"] for e in episodes], dtype=torch.float64)
    if recipe["use_score_norm"]:
        scores = (scores - statistics["mean"]) / ((statistics["squares"] / statistics["count"]) ** 0.5 + 1e-8)
    if recipe["score_clip"] > 0: scores = scores.clamp(-recipe["score_clip"], recipe["score_clip"])
    stopped = torch.tensor([e["stopped"] for e in episodes])
    return torch.where(stopped, scores, scores - recipe["missing_eos_penalty"])


def gae(recipe, rewards, values, lengths):
    advantages = torch.zeros_like(rewards)
    for i, length in enumerate(lengths):
        advantage, next_value = 0.0, 0.0
        for t in reversed(range(length)):
            delta = rewards[i, t] + recipe["gamma"] * next_value - values[i, t]
            advantage = delta + recipe["gamma"] * recipe["lam"] * advantage
            advantages[i, t], next_value = advantage, values[i, t]
    return advantages


def group_advantages(recipe, totals):
    groups = totals.view(-1, GROUP)
    if recipe["advantage_estimator"] == "rloo":
        return (groups - (groups.sum(1, keepdim=True) - groups) / (GROUP - 1)).flatten()
    centred = groups - groups.mean(1, keepdim=True)
    if recipe["scale_rewards"] == "group": centred = centred / (groups.std(1, keepdim=True) + 1e-4)
    if recipe["scale_rewards"] == "batch": centred = centred / (totals.std() + 1e-4)
    return centred.flatten()


def advantages_of(recipe, episodes, rows, rollout, statistics):
    """What the rollout teaches: the part of `expected` up to equal_groups, and advantages and returns as rows."""
    mask, lengths = rows.mask, torch.tensor(rows.lengths)
    kl = kl_of(recipe["kl_estimator"], rows.pad(rollout["old_logprobs"]) - rows.pad(rollout["reference_logprobs"]))
    with_critic = recipe["advantage_estimator"] == "gae"
    rewards = -recipe["kl_coef"] * kl if recipe["advantage_estimator"] != "grpo" else torch.zeros_like(kl)
    scores = final_scores(recipe, episodes, statistics)
    rewards[torch.arange(len(lengths)), lengths - 1] += scores
    totals, equal_groups = rewards.sum(1), 0
    out = {"scores": scores, "kl": kl.sum(1).mean(), "rlhf_reward": totals.mean()}
    if with_critic:
        if recipe["whiten_rewards"]: rewards = whiten(rewards, mask, keep_mean=True)
        values = rows.pad(rollout["values"])
        raw = gae(recipe, rewards, values, rows.lengths)
        returns, advantages = raw + values, whiten(raw, mask, keep_mean=False)
    else:
        returns = totals[:, None] * mask
        advantages = group_advantages(recipe, totals)[:, None] * mask
        equal_groups = int((totals.view(-1, GROUP).std(1) < 1e-8).sum())
    out.update(rewards=rows.flat(rewards), advantages=rows.flat(advantages), returns=rows.flat(returns), equal_groups=equal_groups)
    return out, advantages, returns


def policy_loss(recipe, rows, rollout, advantages, logprobs, entropies):
    """(loss, the other numbers of it)."""
    mask, new = rows.mask, rows.pad(logprobs)
    log_ratio = new - rows.pad(rollout["old_logprobs"])
    ratio = torch.exp(log_ratio.clamp(-20, 20))
    high = recipe["epsilon_high"] or recipe["cliprange"]
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - recipe["cliprange"], 1 + high)
    objective = torch.max(plain, clipped)
    kl = torch.zeros_like(new)
    if recipe["advantage_estimator"] == "grpo":
        kl = recipe["kl_coef"] * kl_of(recipe["kl_estimator"], new - rows.pad(rollout["reference_logprobs"]))
    bonus = -recipe["entropy_coef"] * rows.pad(entropies)

    def reduce(x):
        if recipe["loss_type"] == "dapo": return (x * mask).sum() / mask.sum()
        if recipe["loss_type"] == "grpo": return ((x * mask).sum(1) / mask.sum(1)).mean()
        return (x * mask).sum() / (len(x) * recipe["response_length"])

    mean = lambda x: x[mask].double().mean()
    return reduce(objective + kl + bonus), {
        "objective": reduce(objective), "kl_loss": reduce(kl), "approx_kl": 0.5 * mean(log_ratio ** 2), "clip_fraction": mean(clipped > plain),
        "ratio": mean(ratio), "ratio_variance": ratio[mask].var(unbiased=False)}


def value_loss(recipe, rows, rollout, returns, values):
    """(loss without vf_coef, clip fraction)."""
    new, old = rows.pad(values), rows.pad(rollout["values"])
    clipped = torch.max(torch.min(new, old + recipe["cliprange_value"]), old - recipe["cliprange_value"])
    plain, other = (new - returns) ** 2, (clipped - returns) ** 2
    return 0.5 * torch.max(plain, other)[rows.mask].mean(), (other > plain)[rows.mask].double().mean()


# ---- the fixture ----

def plain(value):
    """For JSON."""
    if isinstance(value, dict): return {k: plain(v) for k, v in value.items()}
    return value.detach().tolist() if isinstance(value, torch.Tensor) else value


def with_scores(before, episodes):
    """Statistics of all scores once those of the episodes were counted."""
    scores = torch.tensor([e["score"] for e in episodes], dtype=torch.float64)
    count, distance = before["count"] + len(scores), scores.mean() - before["mean"]
    return {"count": count, "mean": before["mean"] + (distance * len(scores) / count).item(),
            "squares": before["squares"] + (scores.var(unbiased=False) * len(scores)
                                            + distance ** 2 * before["count"] * len(scores) / count).item()}


def expected_of(recipe, episodes, rows, rollout, statistics):
    out, advantages, returns = advantages_of(recipe, episodes, rows, rollout, statistics)
    logprobs, entropies = (rollout[k].clone().requires_grad_() for k in ("logprobs", "entropies"))
    loss, parts = policy_loss(recipe, rows, rollout, advantages, logprobs, entropies)
    loss.backward()
    out.update(loss=loss, **parts, dlogprobs=logprobs.grad, dentropies=entropies.grad)
    if recipe["advantage_estimator"] == "gae":
        values = rollout["new_values"].clone().requires_grad_()
        loss, fraction = value_loss(recipe, rows, rollout, returns, values)
        (recipe["vf_coef"] * loss).backward()
        flat = rows.flat(returns)
        unexplained = (flat - rollout["values"]).var(unbiased=False) / flat.var(unbiased=False)
        out.update(value_loss=loss, value_clip_fraction=fraction, dvalues=values.grad, explained_variance=1 - unexplained)
    return out


def trained(model):
    return {file_name(k): p for k, p in model.named_parameters() if p.requires_grad}


def take_step(name, model, loss, tensors):
    """Returns the gradient's norm before clipping."""
    named = trained(model)
    loss.backward()
    tensors.update({f"{name}.grad.{k}": p.grad.clone() for k, p in named.items()})
    norm = torch.nn.utils.clip_grad_norm_(list(named.values()), OPTIMIZER["max_grad_norm"])
    torch.optim.AdamW(named.values(), lr=OPTIMIZER["learning_rate"], betas=(OPTIMIZER["adam_beta1"], OPTIMIZER["adam_beta2"]),
                      eps=OPTIMIZER["adam_epsilon"], weight_decay=OPTIMIZER["weight_decay"]).step()
    tensors.update({f"{name}.step.{k}": p.detach().clone() for k, p in named.items()})
    return norm.item()


def make_policy():
    model = get_peft_model(load_model(fixture("tiny-llama")), LoraConfig(**ALL)).eval()
    fill(model, 21, zero_b=False)
    return model


def make_critic():
    base = AutoModelForSequenceClassification.from_pretrained(fixture("tiny-llama"), num_labels=1, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(**dict(ALL, task_type="SEQ_CLS", modules_to_save=["score"]))).eval()
    trained(model)["base_model.model.score.weight"].data.zero_()              # transformers draws it by a random state of its own
    fill(model, 22, zero_b=False)
    return model


def update(recipe, episodes, rows, rollout, statistics, tensors):
    """One step of policy and critic from where they start."""
    _, advantages, returns = advantages_of(recipe, episodes, rows, rollout, statistics)
    policy = make_policy()
    norms = {"policy_grad_norm": take_step("policy", policy, policy_loss(recipe, rows, rollout, advantages, *policy_numbers(policy, episodes))[0], tensors)}
    if recipe["advantage_estimator"] == "gae":
        critic = make_critic()
        loss = recipe["vf_coef"] * value_loss(recipe, rows, rollout, returns, critic_values(critic, episodes))[0]
        norms["critic_grad_norm"] = take_step("critic", critic, loss, tensors)
    return norms


def make_rollout(episodes, random):
    """Where policy and critic stand now, and near it where they, and the reference, stood when the answers were sampled."""
    with torch.no_grad():
        logprobs, entropies = policy_numbers(make_policy(), episodes)
        new_values = critic_values(make_critic(), episodes)
    near = lambda x, deviation: (x + torch.from_numpy(random.standard_normal(len(x))) * deviation).float().double()
    return {"old_logprobs": near(logprobs, 0.2), "reference_logprobs": near(logprobs, 0.4), "values": near(new_values, 0.2),
            "logprobs": logprobs, "entropies": entropies, "new_values": new_values}


def main():
    warnings.simplefilter("ignore")
    random = numpy.random.Generator(numpy.random.PCG64(23))
    for name, model in (("policy", make_policy()), ("critic", make_critic())):
        os.makedirs(os.path.dirname(fixture("ppo", name, "x")), exist_ok=True)
        save_adapter(model, os.path.dirname(fixture("ppo", name, "x")), "tiny-llama")
    episodes = draw_episodes(random)
    rows, rollout = Rows(episodes), make_rollout(episodes, random)
    cases, updates = [], {}
    for name, changes in CASES.items():
        recipe = {**DEFAULTS, **changes}
        before = {"count": 40.0, "mean": 0.3, "squares": 50.0}
        statistics = with_scores(before, episodes)
        expected = expected_of(recipe, episodes, rows, rollout, statistics)
        cases.append({"name": name, "recipe": recipe, "statistics": before, "statistics_after": statistics, "expected": plain(expected)})
        if name in UPDATES:
            tensors = {}
            updates[name] = update(recipe, episodes, rows, rollout, statistics, tensors)
            save_tensors(fixture("ppo", f"{name}.safetensors"), tensors)
        print(f"{name}: loss {expected['loss']:.5f}, clipped {expected['clip_fraction']:.3f}, equal groups {expected['equal_groups']}, "
              f"norms {updates.get(name)}")
    save_json(fixture("ppo", "rollout.json"), {
        "made_by": "tests/reference/ppo_update.py", "versions": versions("torch", "transformers", "peft", "numpy", "safetensors"),
        "base": "tiny-llama", "group_size": GROUP, "temperature": TEMPERATURE, "episodes": episodes, **plain(rollout),
        "optimizer": OPTIMIZER, "updates": updates, "cases": cases})


if __name__ == "__main__":
    main()
