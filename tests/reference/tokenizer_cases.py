"""What Hugging Face's tokenizers makes of small made-up tokenizer.json files, one for each part and option that can stand in one:
tests/fixtures/tokenizer/cases.json.

    pip install tokenizers==0.23.3; python tests/reference/tokenizer_cases.py > tests/fixtures/tokenizer/cases.json

"models" are shared by the cases; a case names one, overrides some of its options and adds sections. Offsets are in bytes here;
the library counts characters. "differs" names what is not compared, because the library is wrong there: offsets behind characters
that no token spells, which it takes for not there, and of marks that a normal form puts into another order; and special tokens
that a normalizer changes, which it does not leave out of decoded text. "framed" are the ids with special tokens, where they are others;
"decoded" is what those decode to, where it is not the text; "shown" the same without special tokens, where that is another.
"""
import json

import tokenizers
from tokenizers import Tokenizer

from tokenizer_ids import Random, made_up

SPECIAL = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
TEXTS = [
    "", " ", "Hello the world", "  the  cat's   hat\n\n  sat SAT sa_sats sa", "in 2024, 3.14 and 1,000 \u0664\u0665 \u00bd \u2167", "THE Straße İstanbul ΣΑΣ",
    "café cafe\u0301 \u1e9b\u0323 \ufb01n \u2460 \uac00\u1100\u1161\u11a8 a\u0327\u0301b a\u0301\u0327b \u0301x", "don't we'LL I'm 'tis",
    "日本語 テスト。 你好,world", "👩‍💻 🇩🇪 ok\u200b\u00a0x\u3000y\u0085z\u180ew", "a-b--c_d---e!f!!g", "\u2581the\u2581\u2581 \u2581x \u2581",
    "tabs\tand\r\nlines\n \n\tend\t", "<s>the</s> <mask> the<pad>the  <mask>\n", "\x00\x01\x7f\ufffd\U0010ffff", "\u2581\u3000\u2581the\u3000the",
]


def byte_characters():
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    out, extra = {}, 0
    for b in range(256):
        out[b] = chr(b if b in keep else 256 + extra)
        extra += b not in keep
    return out


def bpe(characters, merges, **options):
    vocab = {c: i for i, c in enumerate(characters)}
    for a, b in merges:
        b = b[len(options.get("continuing_subword_prefix") or ""):]
        vocab.setdefault(a + b, len(vocab))
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                 byte_fallback=False, ignore_merges=False)
    model.update(options, vocab=vocab, merges=[list(m) for m in merges])
    return model


def models():
    byte = byte_characters()
    sp = byte[32]
    byte_merges = [("t", "h"), ("th", "e"), (sp, "the"), ("i", "n"), (sp, sp), ("a", "t"), ("c", "at"), (sp + sp, sp), ("0", "2"), ("2", "02"),
                   (byte[0xE3], byte[0x83]), (byte[0xC3], byte[0xA9]), ("l", "l"), ("l", "o"), ("e", "ll"), ("H", "ell"), ("Hell", "o"),
                   (byte[10], byte[10]), ("'", "s"), ("a", "a"), ("aa", "a"), ("a", "aa")]
    plain = ["<unk>", "<s>", "</s>"] + [chr(c) for c in range(33, 127)] + ["\u2581", "é", "日", "本", "ß", "\u0301", " "]
    plain_merges = [("t", "h"), ("th", "e"), ("\u2581", "the"), ("\u2581", "\u2581"), ("c", "a"), ("ca", "t"), ("日", "本"), ("l", "l"), ("t", "he"),
                    ("h", "e"), ("0", "2"), ("f", "i"), ("'", "s"), ("a", "b"), (" ", "the"), ("caf", "é")][:-1]
    fallback = plain[:3] + [f"<0x{b:02X}>" for b in range(256)] + plain[3:]
    some = plain[:3] + [f"<0x{b:02X}>" for b in range(0x80, 0x100) if b != 0x83] + plain[3:]
    word = plain[:3] + [chr(c) for c in range(97, 123)] + ["##" + chr(c) for c in range(97, 123)]
    suffix = plain[:3] + [chr(c) for c in range(97, 123)] + [chr(c) + "</w>" for c in range(97, 123)]
    return {
        "bytes": bpe(byte.values(), byte_merges),
        "chars": bpe(plain, plain_merges, unk_token="<unk>"),
        "fallback": bpe(fallback, plain_merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        "some_fallback": bpe(some, plain_merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        "prefix": bpe(word, [("t", "##h"), ("th", "##e"), ("##a", "##t")], unk_token="<unk>", continuing_subword_prefix="##"),
        "suffix": bpe(suffix, [("t", "h"), ("th", "e</w>"), ("a", "t</w>")], unk_token="<unk>", end_of_word_suffix="</w>"),
    }


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True, **options}


def metaspace(**options):
    return {"type": "Metaspace", "replacement": "\u2581", **options}


def added(*tokens):
    return [{"id": i, "content": c, **SPECIAL, **o} for i, c, o in tokens]


def cases(size):
    def case(name, model="chars", **sections):
        return {"name": name, "model": model, **sections}

    n = size["chars"]
    out = [case("nothing"), case("no unk", options={"unk_token": None}, differs=["ranges"]), case("fuse_unk", options={"fuse_unk": True}),
           case("byte fallback", "fallback"), case("byte fallback for some bytes", "some_fallback", differs=["ranges"]),
           case("byte fallback without fuse_unk", "some_fallback", options={"fuse_unk": False}, differs=["ranges"]),
           case("ignore_merges", "bytes", options={"ignore_merges": True}, pre_tokenizer=byte_level()),
           case("merges as strings", "bytes", merges_as_strings=True, pre_tokenizer=byte_level(), decoder=byte_level()),
           case("continuing_subword_prefix", "prefix", pre_tokenizer={"type": "Whitespace"}),
           case("end_of_word_suffix", "suffix", pre_tokenizer={"type": "Whitespace"})]
    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        out.append(case(kind, "fallback", normalizer={"type": kind}, random=True, **({"differs": ["ranges"]} if kind.startswith("NF") else {})))
    out += [case("ByteLevel normalizer", "bytes", normalizer={"type": "ByteLevel"}),
            case("Prepend", normalizer={"type": "Prepend", "prepend": "\u2581"}),
            case("Prepend two", normalizer={"type": "Prepend", "prepend": "ab"}),
            case("Replace string", normalizer={"type": "Replace", "pattern": {"String": "the"}, "content": "é"}),
            case("Replace regex", normalizer={"type": "Replace", "pattern": {"Regex": "\\s+|[0-9]"}, "content": "_-"}),
            case("Replace by nothing", normalizer={"type": "Replace", "pattern": {"Regex": "[aeiou]"}, "content": ""}),
            case("Replace nothing", normalizer={"type": "Replace", "pattern": {"Regex": "(?=t)"}, "content": "+"}),
            case("Sequence of normalizers", "fallback", random=True, normalizer={"type": "Sequence", "normalizers": [
                {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Sequence", "normalizers": [{"type": "NFC"}]}]})]
    for left, right in ((True, True), (True, False), (False, True)):
        out.append(case(f"Strip {left} {right}", normalizer={"type": "Strip", "strip_left": left, "strip_right": right}))
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            out.append(case(f"Split {behavior} {invert}", pre_tokenizer=split({"Regex": "-|t"}, behavior, invert)))
        out.append(case(f"Split by string {behavior}", pre_tokenizer=split({"String": "the"}, behavior)))
        out.append(case(f"Punctuation {behavior}", pre_tokenizer={"type": "Punctuation", "behavior": behavior}))
    out += [case("Split by empty matches", pre_tokenizer=split({"Regex": "(?=[a-m])"}, "Isolated")),
            case("Split by an empty string", pre_tokenizer=split({"String": ""}, "Isolated")),
            case("Split by lines", pre_tokenizer=split({"Regex": "^.|.$"}, "Isolated")),
            case("Split by escapes", "fallback", random=True, pre_tokenizer=split({"Regex": "\\w+|\\h|[^\\w\\s]"}, "Removed")),
            case("Split by classes", "fallback", random=True, pre_tokenizer=split({"Regex": "[\\p{Lu}\\p{Lt}]?[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|\\p{N}|[^\\S\\n]+"}, "Isolated")),
            case("Split by nested classes", "fallback", random=True, pre_tokenizer=split({"Regex": " ?[^(\\s|[.,!?…。，、।۔،])]+"}, "Isolated")),
            case("DeepSeek's words", "bytes", random=True, pre_tokenizer={"type": "Sequence", "pretokenizers": [
                split({"Regex": "\\p{N}{1,3}"}), split({"Regex": "[一-龥぀-ゟ゠-ヿ]+"}), split({"Regex": DEEPSEEK}), byte_level(use_regex=False)]}),
            case("o200k's words", "bytes", random=True, pre_tokenizer={"type": "Sequence", "pretokenizers": [split({"Regex": O200K}), byte_level(use_regex=False)]}),
            case("Digits", pre_tokenizer={"type": "Digits", "individual_digits": True}),
            case("Digits together", pre_tokenizer={"type": "Digits", "individual_digits": False}),
            case("Whitespace", "fallback", random=True, pre_tokenizer={"type": "Whitespace"}),
            case("WhitespaceSplit", random=True, pre_tokenizer={"type": "WhitespaceSplit"}),
            case("BertPreTokenizer", "fallback", random=True, pre_tokenizer={"type": "BertPreTokenizer"}),
            case("ByteLevel", "bytes", random=True, pre_tokenizer=byte_level(), decoder=byte_level()),
            case("ByteLevel prefix", "bytes", pre_tokenizer=byte_level(add_prefix_space=True), decoder=byte_level()),
            case("ByteLevel whole", "bytes", pre_tokenizer=byte_level(use_regex=False), decoder=byte_level()),
            case("ByteLevel before Split", "bytes", pre_tokenizer={"type": "Sequence", "pretokenizers": [
                byte_level(use_regex=False), split({"Regex": "\u0120|th"}, "Isolated")]}),
            case("llama3's words", "bytes", random=True, pre_tokenizer={"type": "Sequence", "pretokenizers": [split({"Regex": LLAMA3}), byte_level(use_regex=False)]}),
            case("qwen2", "bytes", random=True, differs=["ranges"], normalizer={"type": "NFC"}, decoder=byte_level(), pre_tokenizer={"type": "Sequence", "pretokenizers": [
                split({"Regex": LLAMA3.replace("{1,3}", "")}), byte_level(use_regex=False)]}),
            case("Punctuation, Digits, ByteLevel", "bytes", random=True, pre_tokenizer={"type": "Sequence", "pretokenizers": [
                {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "Digits", "individual_digits": False}, byte_level()]})]
    tokens = added((n, "<mask>", {"lstrip": True, "rstrip": True}))
    for scheme in ("first", "never", "always"):
        for cut in (True, False):
            space = metaspace(prepend_scheme=scheme, split=cut)
            out.append(case(f"Metaspace {scheme} {cut}", pre_tokenizer=space, decoder=space, added_tokens=tokens))
    out += [case("Metaspace by default", pre_tokenizer=metaspace(), decoder=metaspace()),
            case("Metaspace of old", pre_tokenizer=metaspace(add_prefix_space=True), decoder=metaspace(add_prefix_space=True)),
            case("Metaspace after Strip", normalizer={"type": "Strip", "strip_left": True, "strip_right": False},
                 pre_tokenizer=metaspace(prepend_scheme="first")),
            case("Metaspace after Split", pre_tokenizer={"type": "Sequence", "pretokenizers": [split({"String": "-"}, "Removed"), metaspace(prepend_scheme="first")]})]
    llama = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                                              {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                   {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    out += [case("llama2", "fallback", random=True, normalizer=prepend, decoder=llama,
                 added_tokens=added((0, "<unk>", {}), (1, "<s>", {}), (2, "</s>", {}))),
            case("llama2, special tokens normalized", "fallback", differs=["shown"], normalizer=prepend, decoder=llama,
                 added_tokens=added((1, "<s>", {"normalized": True}), (2, "</s>", {"normalized": True, "rstrip": True}))),
            case("Strip of each token's start", decoder={"type": "Strip", "content": "t", "start": 2, "stop": 0}),
            case("Strip of each token's end", decoder={"type": "Strip", "content": "t", "start": 0, "stop": 1}),
            case("Replace of each token", decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"Regex": "[a-e]"}, "content": "<>"}]}),
            case("ByteFallback alone", "fallback", decoder={"type": "ByteFallback"}),
            case("Fuse alone", decoder={"type": "Fuse"})]
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                                         {"SpecialToken": {"id": "E", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {"B": {"id": "B", "ids": [1, 2], "tokens": ["<s>", "</s>"]}, "E": {"id": "E", "ids": [2], "tokens": ["</s>"]}}}
    roberta = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": False, "add_prefix_space": False}
    out += [case("TemplateProcessing", post_processor=template), case("RobertaProcessing", post_processor=roberta),
            case("BertProcessing", post_processor={"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}),
            case("Sequence of processors", post_processor={"type": "Sequence", "processors": [byte_level(), template]})]
    for flags in ({}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True}, {"normalized": True}):
        name = "added tokens " + " ".join(flags)
        tokens = added((n, "<mask>", flags), (n + 1, "<mask> the", flags), (n + 2, "sat", flags), (n + 3, "sa", {**flags, "special": False}))
        out.append(case(name, added_tokens=tokens, decoder={"type": "Fuse"}))
        out.append(case(name + ", Lowercase", normalizer={"type": "Lowercase"}, added_tokens=tokens))
    out.append(case("added tokens of the vocabulary", added_tokens=added((1, "<s>", {}), (2, "</s>", {"special": False}))))
    out.append(case("added token becomes special", added_tokens=added((n, "<pad>", {"special": False}), (n, "<pad>", {}))))
    out.append(case("empty added token", added_tokens=added((n, "", {}), (n, "<pad>", {}))))
    return out


DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
O200K = ("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}|"
         " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
LLAMA3 = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def assemble(case, model):
    model = {**model, **case.get("options", {})}
    if case.get("merges_as_strings"): model["merges"] = [" ".join(m) for m in model["merges"]]
    sections = {k: case.get(k) for k in ("normalizer", "pre_tokenizer", "post_processor", "decoder")}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": case.get("added_tokens", []), **sections, "model": model}


def byte_offsets(text, offsets):
    at = [0]
    for c in text: at.append(at[-1] + len(c.encode()))
    return [[at[s], at[e]] for s, e in offsets]


def results(case, model, number):
    tokenizer = Tokenizer.from_str(json.dumps(assemble(case, model)))
    texts = TEXTS + ([made_up(120, 1000 * number + i).decode() for i in range(3)] if case.pop("random", False) else [])
    for text in texts:
        plain = tokenizer.encode(text, add_special_tokens=False)
        framed = tokenizer.encode(text)
        result = {"text": text, "ids": plain.ids}
        if "ranges" not in case.get("differs", []): result["offsets"] = byte_offsets(text, plain.offsets)
        if framed.ids != plain.ids: result["framed"] = framed.ids
        decoded = tokenizer.decode(framed.ids, skip_special_tokens=False)
        shown = tokenizer.decode(framed.ids, skip_special_tokens=True)
        if decoded != text: result["decoded"] = decoded
        if shown != decoded and "shown" not in case.get("differs", []): result["shown"] = shown
        yield result


def main():
    all_models = models()
    size = {n: len(m["vocab"]) for n, m in all_models.items()}
    all_cases = cases(size)
    for number, case in enumerate(all_cases): case["texts"] = list(results(case, all_models[case["model"]], number))
    print('{"made_by": "tests/reference/tokenizer_cases.py", "tokenizers": "%s",' % tokenizers.__version__)
    print('"models": {')
    print(",\n".join(f"{json.dumps(n)}: {json.dumps(m)}" for n, m in all_models.items()))
    print('},\n"cases": [')
    print(",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in all_cases))
    print("]}")


if __name__ == "__main__":
    main()
