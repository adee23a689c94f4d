"""Writes text/jinja/unicode_tables.c from this Python's Unicode database: what str.upper(), isprintable() etc. know.

    python3 tests/reference/chat_template_unicode.py > text/jinja/unicode_tables.c
"""
import sys
import unicodedata

CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(test):
    """Pairs (first, last) of the code points for which test() holds."""
    found = []
    for character in CHARACTERS:
        if test(character):
            code = ord(character)
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return found


def case_ranges(mapping):
    """(first, last, stride, delta) of the one-to-one mappings and [(from, to...)] of the others."""
    found, specials = [], []
    for character in CHARACTERS:
        other, code = mapping(character), ord(character)
        if other == character:
            continue
        if len(other) != 1:
            specials.append((code, *map(ord, other)))
            continue
        delta = ord(other) - code
        last = found[-1] if found else None
        if last and last[3] == delta and code - last[1] in (1, 2) and last[2] in (0, code - last[1]):
            last[1], last[2] = code, code - last[1]
        else:
            found.append([code, code, 0, delta])
    return [(a, b, stride or 1, delta) for a, b, stride, delta in found], specials


def lines(items):
    """Items joined by commas, in lines of at most 120 columns."""
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 120:
            yield line
            line = "   "
        line += " " + item + ","
    yield line


def print_class(name, test):
    found = ranges(test)
    print(f"static const struct jinja_unicode_range {name}_ranges[] = {{")
    print("\n".join(lines("{%#x, %#x}" % tuple(r) for r in found)))
    print("};")
    print(f"const struct jinja_unicode_class_table jinja_unicode_{name} = {{{name}_ranges, {len(found)}}};\n")


def print_case(name, mapping):
    found, specials = case_ranges(mapping)
    print(f"static const struct jinja_unicode_case_range {name}_ranges[] = {{")
    print("\n".join(lines("{%#x, %#x, %d, %d}" % r for r in found)))
    print("};")
    print(f"static const struct jinja_unicode_case_special {name}_specials[] = {{")
    print("\n".join(lines("{%#x, {%s}}" % (s[0], ", ".join("%#x" % c for c in s[1:])) for s in specials)))
    print("};")
    print(f"const struct jinja_unicode_case_table jinja_unicode_{name} = {{")
    print(f"    {name}_ranges, {len(found)}, {name}_specials, {len(specials)},")
    print("};\n")


# What CPython calls cased and case-ignorable shows in how lower() treats a capital sigma behind the character.
def is_ignorable(character):
    return ("A" + character + "\u03a3").lower().endswith("\u03c2") and not is_cased(character)


def is_cased(character):
    return (character + "\u03a3").lower().endswith("\u03c2")


def main():
    print("/*")
    print(f" * Classes and case of characters, Unicode {unicodedata.unidata_version}.")
    print(" * Written by tests/reference/chat_template_unicode.py; change that, not this.")
    print(" */")
    print("/* clang-format off */")
    print('#include "text/jinja/unicode.h"\n')
    print_case("upper", str.upper)
    print_case("lower", str.lower)
    print_case("title", lambda c: c.title())
    print_class("space", str.isspace)
    print_class("unprintable", lambda c: not c.isprintable())
    print_class("alpha", str.isalpha)
    print_class("decimal", str.isdecimal)
    print_class("digit", lambda c: c.isdigit() and not c.isdecimal())
    print_class("numeric", lambda c: c.isnumeric() and not c.isdigit())
    print_class("cased", is_cased)
    print_class("ignorable", is_ignorable)


if __name__ == "__main__":
    sys.exit(main())
