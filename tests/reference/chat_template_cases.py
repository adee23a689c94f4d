"""Small templates rendered by jinja2 with Hugging Face's settings, for the interpreter in text/jinja/jinja.h.

    python3 tests/reference/chat_template_cases.py            writes tests/fixtures/jinja_cases.json (a sample)
    python3 tests/reference/chat_template_cases.py --all F    writes all cases to the file F
    ... --seed N                                              other random expressions and another sample

A case is [template, expected], where expected is null if the template must fail. Left out are results that hold memory
addresses or need integers beyond 64 bits. Needs jinja2 only.
"""
import argparse
import copy
import datetime
import json
import os
import random
import re
import warnings

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

FIXTURE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fixtures", "jinja_cases.json")
SAMPLES = {True: 3200, False: 500}  # of templates that render, and that fail
NOW = 1795219200  # 2026-11-21

CONTEXT = {
    "s": "Hello, World",
    "t": "  two  words\n",
    "e": "",
    "u": "Straße ÉCOLE ὈΔΥΣΣΕΎΣ ǆ ﬁ",
    "n": 7,
    "m": -3,
    "z": 0,
    "f": 2.5,
    "g": -0.125,
    "yes": True,
    "no": False,
    "nil": None,
    "l": [3, 1, 2],
    "w": ["b", "A", "c", "a"],
    "x": [1, "a", None, 2.0, [True], {"k": 1}],
    "d": {"b": 1, "a": 2, "C": 3},
    "o": [{"name": "x", "v": 2, "in": {"y": 1}}, {"name": "Y", "v": 1, "in": {"y": 0}}, {"name": "a", "v": 2}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi \"you\" <b>\u00e9</b>"},
        {"role": "assistant", "content": "",
         "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, None]}}}]},
        {"role": "tool", "content": "done\n"},
    ],
}


def environment():
    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_wrap"), [], [], body).set_lineno(line)

        def _wrap(self, caller):
            return caller()

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(pattern):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(pattern)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                       extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


ENV = environment()
warnings.simplefilter("ignore")  # Python's, about the code that jinja2 makes of odd templates

VALUES = [
    "s", "t", "e", "u", "n", "m", "z", "f", "g", "yes", "no", "nil", "l", "w", "x", "d", "o", "missing", "''",
    "'aXbXc'", "[]", "{}", "()", "(1, 'q')", "range(4)", "d.items()", "d.keys()", "'3'", "' 42 '", "'4.5'", "'0x1f'",
    "'x=1'", "'a\\nb\\n\\nc'", "messages[1].content", "namespace(a=1)", "[1, 2, 3, 4, 5]", "['x', 'y']", "1e20",
    "0.1", "1/3", "12345.678", "messages[2].tool_calls[0].function",
]

# Only these are indexed: jinja2 turns failures of constants into undefined values while it compiles.
NAMES = [value for value in VALUES if value.isidentifier()]
VIEWS = {"d.items()", "d.keys()"}

FILTERS = [
    "trim", "trim('H d')", "upper", "lower", "title", "capitalize", "replace('l', 'L')", "replace('', '-')",
    "replace('o', '', 1)", "string", "center(20)", "center(7)", "indent", "indent(2, true)",
    "indent('> ', first=true, blank=true)", "truncate(5)", "truncate(8, true, '~', 0)", "truncate(9, leeway=0)",
    "wordcount", "default('D')", "default('D', true)", "d('x')", "tojson", "tojson(indent=2)",
    "tojson(sort_keys=true)", "tojson(indent=1, separators=(',', ':'))", "tojson(true)", "int", "int(9)",
    "int(base=16)", "float", "float(1.5)", "abs", "round", "round(1)", "round(2, 'floor')", "round(method='ceil')",
    "round(-1)", "length", "count", "first", "last", "list", "items|list", "join", "join('-')",
    "join(', ', attribute='name')", "sum", "sum(start=1)", "sort", "sort(true)", "sort(case_sensitive=true)",
    "sort(attribute='v')", "sort(attribute='v,name')", "sort(reverse=true, attribute='name')", "dictsort",
    "dictsort(true)", "dictsort(by='value', reverse=true)", "reverse|list", "reverse", "unique|list",
    "unique(true)|list", "unique(attribute='v')|list", "min", "max", "min(attribute='v')", "max(true)",
    "batch(2)|list", "batch(3, 'z')|list", "slice(2)|list", "slice(3, 'z')|list", "map('upper')|list",
    "map('string')|join('|')", "map(attribute='name')|list", "map(attribute='in.y', default=5)|list",
    "map(attribute='in')|list", "map('default', 'q')|list", "select|list", "select('string')|list",
    "select('gt', 1)|list", "reject('none')|list", "reject|list", "selectattr('in')|list",
    "selectattr('v', 'equalto', 2)|map(attribute='name')|join", "rejectattr('in')|list",
    "rejectattr('v', '==', 2)|list", "attr('name')", "attr('items')", "format(1, 2)", "escape", "safe", "e", "xmlfoo",
    "list|tojson", "list|last", "string|length", "string|list|length", "list|reverse|list", "items|map('first')|list",
]

TESTS = [
    "defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping",
    "sequence", "iterable", "callable", "lower", "upper", "even", "odd", "divisibleby 3", "divisibleby(2)", "eq 7",
    "equalto('Hello, World')", "ne none", "lt 3", "gt(1)", "ge 7", "le 7", "in [7, 'a', 2.5]", "in 'Hello, World, b'",
    "sameas true", "sameas none", "escaped", "not defined", "not none", "not string", "nosuchtest",
]

METHODS = [
    "strip()", "lstrip()", "rstrip('d\\n')", "strip('Hd ')", "split()", "split(' ')", "split(',', 1)", "split('X')",
    "split(none, 1)", "rsplit('X', 1)", "rsplit(none, 1)", "rsplit()", "splitlines()", "splitlines(true)",
    "partition('X')", "rpartition('X')", "find('o')", "find('o', 5)", "find('o', -4, -1)", "find('')", "rfind('o')",
    "rfind('zz')", "index('l')", "index(1)", "rindex('l')", "count('l')", "count('')", "count(1)", "startswith('He')",
    "startswith(('x', 'H'))", "startswith('l', 2)", "endswith('d')", "endswith(('\\n', 'c'))", "endswith('W', 0, 8)",
    "replace('l', 'L', 1)", "replace('', '.')", "upper()", "lower()", "title()", "capitalize()", "swapcase()",
    "join(['a', 'b'])", "join(w)", "join(l)", "format(1, 2)", "ljust(15)", "rjust(15, '*')", "center(15, '-')",
    "center(16)", "zfill(14)", "isspace()", "isalpha()", "isdigit()", "isalnum()", "isupper()", "islower()",
    "isnumeric()", "isdecimal()", "removeprefix('He')", "removesuffix('ld')", "keys()|list", "values()|list",
    "items()|list", "keys()", "items()", "values()", "get('a')", "get('q')", "get('q', 5)", "get(1)", "copy()",
    "append(1)", "pop()", "update({})", "nosuch()", "nosuch", "upper", "name", "a", "_x", "0", "1.name",
    "keys is defined", "append is defined",
]

INDICES = [
    "0", "1", "-1", "9", "'a'", "'name'", "'upper'", "none", "1.5", "true", "missing", "[]", ":2", "1:", "-2:", ":-1",
    "::2", "::-1", "3:0:-1", "1:9", ":0", "5:2", "::-2", "-9:2", "1:3:1", "::0", "nil:2", "'a':", "9:", "2:-5:-1",
    "1,",
]

OPERATORS = [
    "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or",
]

STATEMENTS = [
    "{% macro m(a, b=2, c=3) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[7, 8]) }} {{ m(1, **{'c': 9}) }} {{ m(*[1], **{'b': 5}) }}",
    "{{ dict(a=1, **d) }} {{ dict(**{'q': 2}) }}", "{{ dict(**l) }}", "{{ dict(**{1: 2}) }}", "{{ range(*[1, 4])|list }}", "{{ dict(1, 2) }}",
    "{{ 'a long text to cut'|truncate(9) }}|{{ 'a long text to cut'|truncate(9, true) }}|{{ 'a long text'|truncate(10, leeway=0) }}",
    "{{ 'along-text-to-cut'|truncate(9, leeway=0, end='~') }}", "{{ 'abc'|truncate(1) }}", "{{ l|truncate(1, leeway=0, end='') }}",
    "{{ '%(a)s|%(b)5.1f'|format(a=1, b=2.25) }}", "{{ '%s'|format(1, a=2) }}", "{{ '%s-%s'|format('a', 'b') }}",
    "{{ '0x1F'|int(base=16) }} {{ '1f'|int(0, 16) }} {{ '0b11'|int(base=2) }} {{ '0o17'|int(base=8) }} {{ '-0x1f'|int(base=0) }} {{ '12'|int(base=0) }}",
    "{{ '1_000'|int }} {{ '1__0'|int(5) }} {{ '_1'|int(5) }} {{ ' +7 '|int }} {{ '- 7'|int(5) }} {{ ''|int(5) }} {{ '7.9'|int }} {{ 'inf'|int(5) }} {{ '1e3'|int }}",
    "{{ true|int }} {{ 7.9|int }} {{ -7.9|int }} {{ nil|int(5) }} {{ l|int(5) }} {{ '12abc'|int(5) }} {{ 'z'|int(5, 36) }} {{ '9'|int(5, 8) }}",
    "{{ ' 1.5e3 '|float }} {{ '1_0.5'|float }} {{ '0x10'|float(5) }} {{ true|float }} {{ nil|float(5) }} {{ '1.5x'|float(5) }} {{ '.5'|float }} {{ '5.'|float }}",
    "{{ 2.675|round(2) }} {{ 2.5|round }} {{ 3.5|round }} {{ -2.5|round }} {{ 0.1|round(20) }} {{ 1234.5|round(-2) }} {{ 1250|round(-2) }} {{ 0|round(1) }}",
    "{{ 2.675|round(2, 'ceil') }} {{ 2.675|round(1, 'floor') }} {{ 7|round(1, 'ceil') }}", "{{ 1|round(1, 'up') }}", "{{ 'a'|round }}",
    "{{ '-5'.zfill(5) }} {{ '+5'.zfill(1) }} {{ 'a-b-c-d'.rsplit('-', 2) }} {{ 'a-b'.rsplit('x') }} {{ 'banana'.index('an') }} {{ 'banana'.count('an') }}",
    "{{ 'banana'.count('a', 2, 5) }} {{ 'banana'.count('', 2) }} {{ 'banana'.count('a', 9) }} {{ '12'.isdecimal() }} {{ '\u00b2'.isdigit() }} {{ '\u00bd'.isnumeric() }}",
    "{{ 'a'.startswith(1) }}", "{{ 'a'.startswith((1,)) }}", "{{ 'a'.ljust(5, 'ab') }}", "{{ 'a'.split('') }}", "{{ 'a'.partition('') }}", "{{ 'a'.index('b') }}",
    "{% for i in l %}{{ loop.cycle() }}{% endfor %}", "{{ d|attr('keys') is callable }} {{ d|attr('a') is defined }} {{ s|attr('nosuch') is defined }}",
    "{{ '<a>'|forceescape }} {{ '<a>'|escape|escape }} {{ ('<a>'|safe) + '<b>' }} {{ '<b>' + ('<a>'|escape) }} {{ ('<a>'|safe) ~ '<b>' }} {{ '<a>'|e|forceescape }}",
    "{{ ['<a>'|safe]|join('<') }} {{ [1, '<']|join('&'|safe) }} {{ ('<a>'|safe)|length }}", "{{ [1]|tojson(separators='ab') }}", "{{ {'a': 1}|tojson(separators=(', ', '=')) }}",
    "{{ l[{}] is defined }} {{ d[missing] is defined }} {{ l['0'] is defined }} {{ s['0'] is defined }} {{ d[(1, 2)] is defined }}", "{{ [].__class__ }}|{{ s._x }}|{{ s['_x'] }}",
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ i }};{% endfor %}",
    "{% for i in l if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% else %}none{% endfor %}",
    "{% for i in [] %}x{% else %}empty{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% else %}e{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {{ loop.previtem is defined }}{% endfor %}",
    "{% for a, b in d.items() %}{{ a }}={{ b }},{% endfor %}",
    "{% for a, b in d|dictsort %}{{ a }}={{ b }},{% endfor %}",
    "{% for (a, b), c in [[(1, 2), 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [1] %}{{ a }}{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for c in 'h\u00e9y' %}[{{ c }}]{% endfor %}", "{% for x in missing %}x{% endfor %}done",
    "{% for x in 5 %}x{% endfor %}", "{% for x in nil %}x{% endfor %}",
    "{% for x in l %}{% for y in w %}{{ loop.index }}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}{{ loop.index }}{{ loop.depth }}|{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}",
    "{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{{ ns.x }},{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{{ ns.q }}{{ ns.q is defined }}{% set ns.q = 2 %}{{ ns.q }}",
    "{% set ns = namespace(a=1, b='x') %}{{ ns.a }}{{ ns['b'] }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}", "{% set d.q = 1 %}", "{% set missing.q = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1, 2, 3] %}{{ a }}", "{% set a = 1, %}{{ a }}",
    "{% set x %}a{{ s }}b{% endset %}[{{ x }}]{{ x is string }}",
    "{% set x | upper | trim %} a{{ s }}b {% endset %}[{{ x }}]",
    "{% set x %}{% set y = 5 %}{% endset %}{{ y is defined }}",
    "{% if n > 5 %}big{% elif n > 2 %}mid{% else %}small{% endif %}",
    "{% if z %}1{% elif nil %}2{% elif e %}3{% elif missing %}4{% elif [] %}5{% else %}6{% endif %}",
    "{% if yes %}{% set q = 1 %}{% endif %}{{ q }}", "{% if no %}{% set q = 1 %}{% endif %}{{ q is defined }}",
    "{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 5) }} {{ m(a=3, c=4) }} {{ m(b=1, a=9) }}",
    "{% macro m(a, b) %}{{ a }}-{{ b }}{{ b is defined }}{% endmacro %}{{ m(1) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(q=2) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, q=3) }}",
    "{% macro m(x) %}<{{ caller() }}{{ x }}>{% endmacro %}{% call m(1) %}body{{ s }}{% endcall %}",
    "{% macro m() %}<{{ caller('arg') }}>{% endmacro %}{% call(q) m() %}body{{ q }}{% endcall %}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}",
    "{% macro m() %}{{ s }}{{ late }}{% endmacro %}{% set late = 'L' %}{{ m() }}",
    "{% macro m() %}{% set s = 'inner' %}{{ s }}{% endmacro %}{{ m() }}{{ s }}",
    "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}x{% endmacro %}{{ m() is string }}{{ m is callable }}{{ m() ~ m() }}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% with a = 1, b = a %}{{ b }}{% endwith %}",
    "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}abc{% endfilter %}",
    "{% generation %}{{ s }}{% endgeneration %}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}{% endfor %}",
    "{% print s, n %}", "{% raw %}{{ s }}{% if %}{% endraw %}", "a {%- raw -%} {{ s }} {%- endraw -%} b",
    "  {% raw %}\n x \n  {% endraw %}\n y", "a{# comment {{ s }} #}b", "a\n  {# comment #}\nb", "a {#- c -#} b",
    "a\n{# c +#}\nb", "a \n {%- if yes -%} \n b \n {%- endif -%} \n c", "a\n  {% if yes %}\n  b\n  {% endif %}\nc",
    "a\n  {%+ if yes %}\n  b\n  {%+ endif %}\nc", "a\n  {% if yes +%}\n  b\n  {% endif +%}\nc", "a\n  {{ n }}\n  b",
    "a\n  {{- n -}}\n  b", "x {% if yes %} y {% endif %} z", "\n\n{% if yes %}\n\n{% endif %}\n\n", "trailing\n",
    "trailing\n\n", "a\r\nb\rc\n", "  {% set a = 1 %}  \n{{ a }}", "{{ '\\n' }}x\n", "\t{% if yes %}\tq{% endif %}",
    "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': '}}'} }}", "{{ [1, {'a': (2, 3)}] }}",
    "{{ (1,) }}", "{{ () }}", "{{ (1) }}", "{{ 1, 2 }}", "{{ 'a' 'b' \"c\" }}", "{{ 'it\\'s' }}", "{{ \"q\\\"q\" }}",
    "{{ 'a\\tb\\x41\\u00e9\\101' }}", "{{ 'a\\qb' }}", "{{ 'a\\\\nb' }}", "{{ 'tab\tx' }}", "{{ 'a\nb' }}",
    "{{ ['it\\'s', 'q\"q', 'both\\'\"', 'n\\n', '\\\\', '\\x00\\x7f', '\u200b\u00ad', '\u00e9\U0001f600'] }}",
    "{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 1e-7 }} {{ 1_0.5 }} {{ 00 }}",
    "{{ 1e16 }} {{ 1e15 }} {{ 123456789012345680.0 }} {{ 1e-5 }} {{ 0.0001 }} {{ -0.0 }}",
    "{{ 5 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}",
    "{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ 10 - 2 - 3 }} {{ 2 * 3 % 4 }} {{ 1 ~ 2 + 3 }} {{ 1 + 2 ~ 3 }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ not 1 == 2 }} {{ not not 1 }}",
    "{{ 'a' in 'abc' and 1 not in l }} {{ 2 in l }} {{ 'b' in d }} {{ 'b' in d.values() }} {{ nil in x }}",
    "{{ yes and 'x' }} {{ no or 'y' }} {{ '' or nil }} {{ 1 and 0 }} {{ nil and 1 }}",
    "{{ 'a' if yes else 'b' }} {{ 'a' if no }} {{ 'a' if no else 'b' if no else 'c' }} {{ ('a' if no) is defined }}",
    "{{ -n }} {{ +n }} {{ - n|abs }} {{ -m|abs }} {{ -f }} {{ +yes }} {{ -yes }}", "{{ -s }}", "{{ +nil }}",
    "{{ n is defined and n is not string }} {{ n is not none }} {{ not n is none }} {{ missing is not defined or missing }}",
    "{{ n is divisibleby 7 }} {{ n is divisibleby(7) and yes }} {{ s is string | string }}",
    "{{ 3 is in l }} {{ 3 is not in l }}",
    "{{ s|length + 1 }} {{ s|upper ~ n }} {{ 'x' ~ s|lower|title }} {{ (s ~ n)|length }}",
    "{{ s.upper().lower().title() }} {{ s.split(', ')[1][0] }}",
    "{{ dict(a=1, b=2) }} {{ dict(d, z=1) }} {{ dict([('q', 1)]) }}",
    "{{ range(3)|list }} {{ range(1, 10, 3)|list }} {{ range(5, 0, -2)|list }} {{ range(3)[1] }} {{ range(2) }} {{ range(0, 4, 2) }}",
    "{{ range(200000)|length }}", "{{ range(0, 9, 0) }}", "{{ range('a') }}",
    "{{ '%s is %d and %.2f|%5s|%-5s|%05d|%x|%%' % ('a', 7, 2.5, 'r', 'l', 42, 255) }}",
    "{{ '%s' % s }} {{ '%s' % [1] }}", "{{ '%s %s' % ('a',) }}", "{{ '%s' % ('a', 'b') }}",
    "{{ '%(a)s-%(b)d' % {'a': 1, 'b': 2} }}", "{{ '%d' % 'x' }}",
    "{{ '%+d % d %e %g %G %i' % (1, 2, 1234.5, 0.00001, 1e20, 3) }}", "{{ '%r %r' % ('a', 1) }}",
    "{{ '%5.1f|%-8.3f|%+.0f' % (2.25, 1, 3.5) }}",
    "{{ '{} {}'.format(1, 'a') }} {{ '{1} {0}'.format('a', 'b') }} {{ '{x}-{y}'.format(x=1, y=s) }}",
    "{{ '{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd') }}",
    "{{ '{:.2f} {:5d} {:05d} {:x} {:,} {:+}'.format(1.5, 42, 42, 255, 1234567, 5) }}",
    "{{ '{0[a]} {1.b}'.format({'a': 1}, {'b': 2}) }}", "{{ '{{}} {!r} {!s}'.format('a', 'b') }}",
    "{{ '{}'.format() }}", "{{ '{:d}'.format('a') }}", "{{ '}'.format() }}",
    "{{ '{:.3}|{:b}|{:#x}|{:e}|{:%}'.format('abcdef', 5, 255, 12345.678, 0.25) }}",
    "{{ '{:<6.1f}|{:>8,.2f}'.format(2.25, 12345.678) }}",
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M') }} {{ strftime_now('%A %B %j') }}",
    "{{ raise_exception('stop') }}", "{{ no and raise_exception('stop') }}ok", "{{ messages|tojson }}",
    "{{ messages[2].tool_calls|tojson(indent=4) }}", "{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}",
    "{{ [missing]|tojson }}", "{{ (1, [])|tojson }} {{ {}|tojson(indent=2) }} {{ []|tojson(indent=2) }}",
    "{{ {'b': 1, 'a': {'d': 1, 'c': 2}}|tojson(sort_keys=true, indent='\t') }}",
    "{{ 'a\"b\\\\c\\n\\x01\\x7f\u00e9\u2028</script>'|tojson }} {{ '\U0001f600\u00e9'|tojson(ensure_ascii=true) }}",
    "{{ 1e16|tojson }} {{ 0.1|tojson }} {{ true|tojson }} {{ none|tojson }}",
    "{{ messages[1:]|map(attribute='role')|join(',') }} {{ (messages|selectattr('role', 'equalto', 'user')|list|first).content }} {{ messages|selectattr('tool_calls', 'defined')|list|length }}",
    "{{ messages[-1].content|trim }} {{ messages[99] is defined }} {{ messages[99].role }}",
    "{{ messages|last.role }}", "{{ (messages|last).role }}",
    "{{ messages == messages[0:] }} {{ messages[0] == messages[1] }}",
    "{% set loop_messages = messages[1:] %}{% for m in loop_messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}!{% endif %}{{ m['role'] }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% set it = l|map('string') %}{{ it|list }}{{ it|list }}",
    "{% set it = l|select %}{{ it|first }}{{ it|first }}{{ it|list }}", "{{ l|map('string')|length }}",
    "{{ (l|map('string'))[0] }}", "{{ l|reverse|last }}", "{{ l|select is iterable }}{{ l|select is sequence }}",
    "{{ missing.x }}", "{{ missing['x'] }}", "{{ missing + 1 }}", "{{ missing ~ 'a' }}", "{{ missing() }}",
    "{{ missing|upper }}", "{{ missing|length }}", "{{ missing|list }}", "{{ missing == missing2 }}",
    "{{ missing < 1 }}", "{{ missing in l }} {{ 1 in missing }}", "{{ [missing] }}", "{{ nil.x }}", "{{ nil.x.y }}",
    "{{ d.q }}|{{ d.q is defined }}", "{{ d.q.r }}", "{{ s.q }}", "{{ not missing }}",
    "{{ missing|default('a') }}{{ d.q|default('b') }}", "{{ missing[0:] }}", "{{ -missing }}", "{{ missing|tojson }}",
    "{{ missing|int }}", "{{ missing|first }}", "{{ missing|map('upper')|list }}", "{{ missing|join }}",
    "{{ missing.x is defined }}", "{{ l[9].x }}", "{{ s", "{% if %}", "{% if yes %}", "{% endif %}", "{{ }}",
    "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ a b }}", "{% foo %}", "{{ 'a }}", "{# x", "{% raw %}x",
    "{{ x|nosuch }}", "{% if no %}{{ x|nosuch }}{% endif %}ok", "{{ x is nosuch }}", "{{ x|nosuch if no else 1 }}",
    "{% for x in %}{% endfor %}", "{% for 1 in l %}{% endfor %}", "{% set 1 = 2 %}", "{% set true = 2 %}",
    "{% break %}", "{% macro m(a=1, b) %}{% endmacro %}", "{{ f(a=1, 2) }}", "{{ 1 is string is none }}",
    "{{ 1 if }}", "{% else %}", "{% for x in l %}{% endif %}", "{{ {1} }}", "{{ {1: } }}", "{{ l[1:2:3:4] }}",
    "{{ 1..2 }}", "{{ @ }}", "{{ a = 1 }}", "{{ not }}", "{{ 007 }}", "{{ 1__0 }}", "{{ 1.e5 }}", "{{ .5 }}",
    "{{ 5. }}", "{{ l|sort|join }} {{ w|sort|join }} {{ w|sort(case_sensitive=true)|join }}", "{{ x|sort }}",
    "{{ d|sort }}", "{{ s|sort|join }}",
    "{{ 'h\u00e9llo'[1] }} {{ 'h\u00e9llo'[::-1] }} {{ 'h\u00e9llo'|length }} {{ 'h\u00e9llo'.find('l') }}",
    "{{ '\u00e9\u00e8'.upper() }} {{ '\u01c6'.title() }} {{ '\u00df'.upper() }} {{ '\u03a3\u03a3'.lower() }}",
    "{{ [1] + [2] }} {{ (1,) + (2,) }} {{ [1] * 3 }} {{ 'ab' * 2 }} {{ 2 * 'ab' }} {{ 'a' * -1 }}",
    "{{ [1] + (2,) }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ 'a' - 'b' }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}",
    "{{ 1 // 0.0 }}", "{{ d + d }}", "{{ nil + 1 }}", "{{ 1 < 'a' }}", "{{ [] < 1 }}", "{{ nil < 1 }}", "{{ d < d }}",
    "{{ 1 in 'a' }}", "{{ 1 in 2 }}", "{{ {[]: 1} }}", "{{ [] in d }}",
    "{{ l is sequence }}{{ d is sequence }}{{ s is sequence }}{{ n is sequence }}", "{{ loop is defined }}",
    "{{ range is callable }} {{ s.upper is callable }}", "{{ n() }}", "{{ s() }}", "{{ m.n.o }}",
    "{{ w|join(d='-') }} {{ w|join(', ') }} {{ o|join(',', 'name') }}",
    "{{ l|sum }} {{ o|sum('v') }} {{ o|sum(attribute='v', start=10) }} {{ []|sum }}",
    "{{ o|map(attribute='v')|sort|join(',') }} {{ o|sort(attribute='name')|map(attribute='name')|join }}",
    "{{ 'upper' is filter }} {{ 'odd' is test }} {{ 'none' is filter }}",
    "{{ 'a b/c?d=\u00e9&'|urlencode }} {{ n|urlencode }}", "{{ d|items|list }} {{ missing|items|list }}",
    "{{ l|items }}", "{% for k, v in d|items %}{{ k }}{{ v }}{% endfor %}",
    "{{ d|length }} {{ d|first }} {{ d|last }} {{ d|list }} {{ d|max }}",
    "{{ 'abc'|list }} {{ 'abc'|first }} {{ 'abc'|last }} {{ 'cab'|sort|join }} {{ 'aab'|unique|join }}",
]


def all_templates(seed):
    yield from STATEMENTS
    for value in VALUES:
        yield "{{ %s }}" % value
        yield "{{ [%s] }}" % value
        for name in FILTERS:
            yield "{{ %s|%s }}" % (value, name)
        for name in TESTS:
            yield "{{ %s is %s }}" % (value, name)
        for name in METHODS:
            yield "{{ (%s).%s }}" % (value, name)
        for index in INDICES if value in NAMES else []:
            yield "{{ (%s)[%s] }}" % (value, index)
        for operator in OPERATORS:
            for other in VALUES:
                views = {value, other} & VIEWS
                if views and (operator == "-" or {value, other} <= VIEWS):
                    continue  # which work as sets then
                yield "{{ %s %s %s }}" % (value, operator, other)
    yield from random_templates(random.Random(seed), 4000)


def random_templates(rng, count):
    def expression(depth):
        kind = rng.randrange(10) if depth > 0 else 0
        if kind == 0:
            return rng.choice(VALUES)
        if kind == 1:
            return "%s|%s" % (expression(depth - 1), rng.choice(FILTERS))
        if kind == 2:
            return "(%s is %s)" % (expression(depth - 1), rng.choice(TESTS))
        if kind == 3:
            return "(%s).%s" % (expression(depth - 1), rng.choice(METHODS))
        if kind == 4:
            return "(%s)[%s]" % (rng.choice(NAMES), rng.choice(INDICES))
        if kind in (5, 6):
            return "%s %s %s" % (expression(depth - 1), rng.choice(OPERATORS), expression(depth - 1))
        if kind == 7:
            return "(%s if %s else %s)" % (expression(depth - 1), expression(depth - 1), expression(depth - 1))
        if kind == 8:
            form = rng.choice(["[%s, %s]", "(%s, %s)", "{'k': %s, 'j': %s}", "(%s ~ %s)"])
            return form % (expression(depth - 1), expression(depth - 1))
        return rng.choice(["not %s", "-%s", "(%s)", "%s|string", "%s|list"]) % expression(depth - 1)

    def body(depth):
        kind = rng.randrange(8) if depth > 0 else rng.randrange(2)
        space = rng.choice(["", " ", "\n", "\n  ", "a", " b\n"])
        minus = lambda: rng.choice(["", "", "-", "+"])  # noqa: E731
        if kind == 0:
            return space + "text" + rng.choice(["", "\n", "  "])
        if kind in (1, 2):
            return space + "{{%s %s %s}}" % (rng.choice(["", "-"]), expression(3), rng.choice(["", "-"]))
        tag = lambda words: "{%%%s %s %s%%}" % (minus(), words, minus())  # noqa: E731
        if kind == 3:
            yes = tag("if " + expression(2)) + body(depth - 1)
            return space + yes + tag("else") + body(depth - 1) + space + tag("endif")
        if kind == 4:
            start = tag("for q in " + expression(1)) + body(depth - 1)
            return space + start + "{{ q }}{{ loop.index }}" + space + tag("endfor")
        if kind == 5:
            return tag("set q = " + expression(2)) + body(depth - 1) + "{{ q }}"
        if kind == 6:
            return "{#%s c %s#}" % (minus(), minus()) + body(depth - 1)
        return body(depth - 1) + space + body(depth - 1)

    for i in range(count):
        yield "{{ %s }}" % expression(4) if i % 2 else body(3)


ADDRESS = re.compile(r" at 0x|<built-in|<function|<generator|<Macro|<reversed|object at|<class|Markup\("
                     r"|\binf\b|\bnan\b|\dj\b")


def has_large_integer(text):
    return any(int(digits) > 2**63 - 1 for digits in re.findall(r"\d{19,}", text))


def expected(template):
    """The text, None where rendering fails, or False where the result is not comparable."""
    try:
        text = ENV.from_string(template).render(**copy.deepcopy(CONTEXT))  # indent changes a list it is given
        text.encode()
    except UnicodeEncodeError:
        return False
    except Exception:
        return None
    if ADDRESS.search(text) or has_large_integer(text) or len(text) > 20000:
        return False
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cases = []
    for template in dict.fromkeys(all_templates(arguments.seed)):
        if re.search(r"- d\.|d\.(keys|items)\(\) -", template):
            continue  # a set, in whatever order
        result = expected(template)
        if result is not False:
            cases.append([template, result])
    if not arguments.all:
        whole, others = cases[:len(STATEMENTS)], cases[len(STATEMENTS):]
        rng = random.Random(arguments.seed)
        for renders, count in SAMPLES.items():
            some = [c for c in others if (c[1] is not None) == renders and len(c[1] or "") < 120]
            whole += rng.sample(some, count)
        cases = whole
    with open(arguments.all or FIXTURE, "w") as out:
        out.write('{"jinja2": %s, "now": %d,\n' % (json.dumps(jinja2.__version__), NOW))
        out.write('"context": %s,\n"cases": [\n' % json.dumps(CONTEXT, ensure_ascii=False))
        out.write(",\n".join(json.dumps(c, ensure_ascii=False) for c in cases))
        out.write("\n]}\n")


if __name__ == "__main__":
    main()
