// What the annotator has decided so far, without any page around it. Positions count from 0 in the order shown.

// One answer: a thumb.
export class Thumb {
  constructor(previous) {
    this.thumb = previous?.thumb ?? 0;
  }

  complete() {
    return this.thumb !== 0;
  }

  judgment() {
    return { thumb: this.thumb };
  }

  // Keys 1 (good) and 2 (bad), also + and -.
  key(key) {
    const thumb = { 1: 1, "+": 1, 2: -1, "-": -1 }[key];
    if (thumb === undefined) {
      return null;
    }
    this.thumb = thumb;
    return thumb > 0 ? "good" : "bad";
  }
}

// Two answers: a place on a scale from "the first is much better" (-levels) over a tie (0) to "the second is" (+levels).
export class Pair {
  constructor(levels, ties, previous) {
    this.levels = levels;
    this.ties = ties;
    this.choice = null;
    if (previous?.verdict === "ranked" && (previous.ranks[0] !== previous.ranks[1] || ties)) {
      const strength = Math.min(levels, Math.max(1, previous.strength));
      this.choice = Math.sign(previous.ranks[0] - previous.ranks[1]) * strength;
    }
  }

  complete() {
    return this.choice !== null;
  }

  judgment() {
    const first = this.choice > 0 ? 2 : 1;
    const second = this.choice < 0 ? 2 : 1;
    return { ranks: [first, second], strength: Math.abs(this.choice) };
  }

  describe(choice) {
    if (choice === 0) {
      return "both are equal";
    }
    const words = [["better"], ["slightly better", "much better"], ["slightly better", "better", "much better"], ["slightly better", "better", "clearly better", "much better"]];
    return `answer ${choice < 0 ? 1 : 2} is ${words[this.levels - 1][Math.abs(choice) - 1]}`;
  }

  // 1 and 2 choose; the same key again makes it stronger, and after the strongest begins anew. = is a tie.
  key(key) {
    if (key === "=" && this.ties) {
      this.choice = 0;
    } else if (key === "1" || key === "2") {
      const side = key === "1" ? -1 : 1;
      const strength = Math.sign(this.choice) === side ? (Math.abs(this.choice) % this.levels) + 1 : 1;
      this.choice = side * strength;
    } else {
      return null;
    }
    return this.describe(this.choice);
  }
}

// Several answers: tiers from best to worst, equals in one tier; the others are unranked.
export class Tiers {
  constructor(count, ties, previous) {
    this.count = count;
    this.ties = ties;
    this.tiers = [];
    this.tieNext = false;
    if (previous?.verdict === "ranked") {
      previous.ranks.forEach((rank, position) => {
        if (rank > 0) {
          (this.tiers[rank - 1] ??= []).push(position);
        }
      });
    }
  }

  rank(position) {
    return this.tiers.findIndex((tier) => tier.includes(position)) + 1;
  }

  ranks() {
    return Array.from({ length: this.count }, (_, position) => this.rank(position));
  }

  unranked() {
    return this.ranks().flatMap((rank, position) => (rank === 0 ? [position] : []));
  }

  complete() {
    return this.tiers.flat().length >= 2;
  }

  judgment() {
    return { ranks: this.ranks() };
  }

  remove(position) {
    const tier = this.tiers[this.rank(position) - 1];
    tier?.splice(tier.indexOf(position), 1);
    this.tiers = this.tiers.filter((other) => other.length > 0);
  }

  // Into an existing tier: a tie.
  join(position, tier) {
    const target = this.tiers[tier];
    if (!this.ties || target === undefined || target.includes(position)) {
      return;
    }
    this.remove(position);
    target.push(position);
  }

  // Into a tier of its own before tier number `gap` as it is counted now.
  insert(position, gap) {
    const behind = this.tiers[gap];
    const old = this.rank(position) - 1;
    if (old >= 0 && this.tiers[old].length === 1 && (gap === old || gap === old + 1)) {
      return;
    }
    this.remove(position);
    const at = behind === undefined ? this.tiers.length : this.tiers.indexOf(behind);
    this.tiers.splice(at < 0 ? Math.min(gap, this.tiers.length) : at, 0, [position]);
  }

  up(position) {
    const tier = this.rank(position) - 1;
    if (tier < 0) {
      this.insert(position, this.tiers.length);
    } else if (this.tiers[tier].length > 1) {
      this.insert(position, tier);
    } else {
      this.insert(position, Math.max(0, tier - 1));
    }
  }

  down(position) {
    const tier = this.rank(position) - 1;
    if (tier >= 0) {
      this.insert(position, this.tiers[tier].length > 1 ? tier + 1 : tier + 2);
    }
  }

  // 1..9 gives that answer the next rank; = before it ties it with the one before; Backspace takes the last back.
  key(key) {
    if (key === "=" && this.ties && this.tiers.length > 0) {
      this.tieNext = !this.tieNext;
      return this.tieNext ? "the next answer ties with the last" : "no tie";
    }
    if (key === "Backspace") {
      const last = this.tiers.at(-1)?.at(-1);
      if (last === undefined) {
        return null;
      }
      this.remove(last);
      this.tieNext = false;
      return `answer ${last + 1} is unranked`;
    }
    const position = Number(key) - 1;
    if (!/^[1-9]$/.test(key) || position >= this.count) {
      return null;
    }
    this.append(position);
    return `answer ${position + 1} has rank ${this.rank(position)}`;
  }

  append(position) {
    const tie = this.tieNext;
    this.tieNext = false;
    this.remove(position);
    if (tie && this.tiers.length > 0) {
      this.tiers.at(-1).push(position);
    } else {
      this.tiers.push([position]);
    }
  }
}
