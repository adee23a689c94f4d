"""Writes text/unicode/unicode_tables.c: properties and normal forms of every code point, as Hugging Face's tokenizers sees them.

    pip install tokenizers==0.23.3; python tests/reference/tokenizer_unicode.py > text/unicode/unicode_tables.c

The parts of that library follow different Unicode versions (its patterns 16.0, char methods 17.0, normal forms and punctuation
much older ones), so the properties are asked from the library itself, one code point at a time. Combining classes and the pairs
that compose come from Python's unicodedata, cut down to what the library knows.
"""
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CODES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
CATEGORIES = "Cc Cf Cn Co Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
LEAF = 128
BRANCH = 32
HANGUL = range(0xAC00, 0xD7A4)


def removed_by(pre_tokenizer):
    return {c for c in POINTS if not pre_tokenizer.pre_tokenize_str(chr(c))}


def properties():
    """The class of each code point: (general category, flags in the order of enum unicode_flag)."""
    category = dict.fromkeys(POINTS, "Cs")
    for name in CATEGORIES:
        for c in removed_by(pre_tokenizers.Split(Regex(r"\p{%s}" % name), "removed")):
            category[c] = name
    white = removed_by(pre_tokenizers.WhitespaceSplit())
    digits, words = pre_tokenizers.Digits(True), pre_tokenizers.Whitespace()
    numeric = {c for c in POINTS if len(digits.pre_tokenize_str(chr(c) * 2)) == 2}
    punctuation = removed_by(pre_tokenizers.Punctuation("removed"))
    word = {c for c in POINTS if c not in white and len(words.pre_tokenize_str("a" + chr(c))) == 1}
    strip = normalizers.StripAccents()
    mark = {c for c in POINTS if strip.normalize_str(chr(c)) == ""}
    sets = [white, numeric, punctuation, word, mark]
    return {c: (category[c], tuple(c in s for s in sets)) for c in POINTS}, mark


def trie(codes):
    """Three levels: top[c >> 12] names a branch of 32 leaves, each leaf 128 codes."""
    leaves, branches, top = {}, {}, []
    for high in range(0, 0x110000, LEAF * BRANCH):
        branch = []
        for at in range(high, high + LEAF * BRANCH, LEAF):
            leaf = "".join(codes[c] for c in range(at, at + LEAF))
            branch.append(leaves.setdefault(leaf, len(leaves)))
        top.append(branches.setdefault(tuple(branch), len(branches)))
    return top, list(branches), list(leaves)


def wrap(items, width=116):
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = ""
        line += ("" if not line else " ") + item + ","
    return "\n".join("    " + l for l in lines + [line])


def decompositions():
    """Code point -> full canonical and full compatibility decomposition, Hangul (which is computed) left out."""
    nfd, nfkd = normalizers.NFD(), normalizers.NFKD()
    out = {}
    for c in POINTS:
        if c in HANGUL: continue
        pair = nfd.normalize_str(chr(c)), nfkd.normalize_str(chr(c))
        if pair != (chr(c), chr(c)): out[c] = pair
    return out


def pairs():
    """(first, second, composed) of every pair that the library composes."""
    nfc, out = normalizers.NFC(), []
    for c in POINTS:
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) != 2 or parts[0].startswith("<"): continue
        first, second = (int(p, 16) for p in parts)
        if nfc.normalize_str(chr(first) + chr(second)) == chr(c): out.append((first, second, c))
    return sorted(out)


def lower_ranges():
    """Runs of code points with one distance to their lower case, as (first, last, step, distance); U+0130 alone becomes two."""
    lower, out = normalizers.Lowercase(), []
    for c in POINTS:
        text = lower.normalize_str(chr(c))
        if text == chr(c) or len(text) != 1: continue
        distance = ord(text) - c
        if out and out[-1][3] == distance and c - out[-1][1] in (1, 2) and out[-1][2] in (0, c - out[-1][1]):
            out[-1][1], out[-1][2] = c, c - out[-1][1]
        else:
            out.append([c, c, 0, distance])
    return [(a, b, step or 1, d) for a, b, step, d in out]


def combining_ranges(mark):
    out = []
    for c in sorted(mark):
        value = unicodedata.combining(chr(c))
        if not value: continue
        if out and out[-1][1] == c - 1 and out[-1][2] == value: out[-1][1] = c
        else: out.append([c, c, value])
    return out


def print_classes(table):
    classes = sorted(set(table.values()))
    code = {k: CODES[i] for i, k in enumerate(classes)}
    codes = dict.fromkeys(range(0x110000), code[("Cs", (False,) * 5)] if ("Cs", (False,) * 5) in code else CODES[len(classes)])
    codes.update({c: code[k] for c, k in table.items()})
    top, branches, leaves = trie(codes)
    print("const struct unicode_class unicode_classes[128] = {")
    for kind, flags in classes:
        names = [n for n, f in zip(("SPACE", "NUMERIC", "PUNCTUATION", "WORD", "MARK"), flags) if f]
        print("    ['%s'] = {UNICODE_%s, %s}," % (code[kind, flags], kind.upper(), " | ".join("UNICODE_" + n for n in names) or "0"))
    print("    ['%s'] = {UNICODE_CS, 0},\n};\n" % codes[0xD800])
    print("const unsigned char unicode_top[%d] = {\n%s\n};\n" % (len(top), wrap(map(str, top))))
    print("const uint16_t unicode_branches[%d][%d] = {" % (len(branches), BRANCH))
    for branch in branches: print(wrap(["{" + ", ".join(map(str, branch)) + "}"], 400))
    print("};\n\nconst char *const unicode_leaves[%d] = {" % len(leaves))
    for leaf in leaves: print('    "%s"\n    "%s",' % (leaf[:64], leaf[64:]))
    print("};\n")


def print_runs(name, table, pool):
    """Runs of neighbouring code points whose decompositions have one length and lie end to end in the pool."""
    runs = []
    for c, text in sorted(table.items()):
        if runs and runs[-1][1] == c - 1 and runs[-1][2] == len(text): runs[-1][1] = c
        else: runs.append([c, c, len(text), len(pool)])
        pool.extend(map(ord, text))
    print("const struct unicode_decomposition unicode_%s[] = {\n%s\n};" % (name, wrap("{0x%X, 0x%X, %d, %d}" % tuple(r) for r in runs)))
    print("const size_t unicode_%s_count = %d;\n" % (name, len(runs)))


def print_normal_forms(mark):
    table, pool = decompositions(), []
    print_runs("canonical", {c: a for c, (a, _) in table.items() if a != chr(c)}, pool)
    print_runs("compatible", {c: b for c, (a, b) in table.items() if a != b}, pool)
    print("const uint32_t unicode_pool[%d] = {\n%s\n};\n" % (len(pool), wrap(map(str, pool))))
    composed = pairs()
    print("const struct unicode_pair unicode_pairs[] = {\n%s\n};" % wrap("{0x%X, 0x%X, 0x%X}" % p for p in composed))
    print("const size_t unicode_pair_count = %d;\n" % len(composed))
    ranges = combining_ranges(mark)
    print("const struct unicode_combining unicode_combinings[] = {\n%s\n};" % wrap("{0x%X, 0x%X, %d}" % tuple(r) for r in ranges))
    print("const size_t unicode_combining_count = %d;\n" % len(ranges))


def main():
    table, mark = properties()
    print("/*\n * text/unicode/unicode_tables.c - made by tests/reference/tokenizer_unicode.py from tokenizers %s and unicodedata %s;"
          "\n * change the script, not this file.\n */" % (tokenizers.__version__, unicodedata.unidata_version))
    print('// clang-format off\n#include "text/unicode/internal.h"\n')
    print_classes(table)
    print_normal_forms(mark)
    ranges = lower_ranges()
    print("const struct unicode_lower unicode_lowers[] = {\n%s\n};" % wrap("{0x%X, 0x%X, %d, %d}" % r for r in ranges))
    print("const size_t unicode_lower_count = %d;" % len(ranges))


if __name__ == "__main__":
    main()
