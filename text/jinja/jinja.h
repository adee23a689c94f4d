/*
 * text/jinja/jinja.h - an interpreter of the part of Jinja that chat templates use, whose strings know where each byte
 * came from.
 *
 * The language is Jinja 3.1 as Hugging Face sets it up for chat templates: trim_blocks, lstrip_blocks, the immutable
 * sandbox, loop controls, {% generation %}, and the functions raise_exception, strftime_now, namespace, dict, range.
 * Values are Python's: str() of a dictionary, integer division, slices with steps, truth. What is left out is an error
 * that names the construct and its line; the list is at the end of this comment.
 *
 * Provenance. Every string is a list of runs, each with the origin of its bytes. Filters, methods, slices and operators
 * carry runs along, so the rendered text says for each byte whether it is literal text of the template (and which), or
 * came out of a message, and of which:
 *
 *     {{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>' }}
 *        literal         header of message 1  lit.  content of message 1       literal
 *
 * Each byte also carries the message in whose turn it was written first: the element of the innermost `for` over
 * messages.
 *
 *     lexer (lexer.c) -> tokens -> parser (parse.c, parse_expression.c) -> nodes -> interpreter (exec.c, eval.c)
 *       on values (value.c, string.c, ...), all in one arena that is dropped at the end (arena.c)
 *
 * Left out: recursive loops, template inheritance and inclusion (extends, block, include, import), autoescape
 * (`safe` marks text so that + escapes what is joined to it; other operations forget the mark), integers beyond 64
 * bits, names and attributes that are not ASCII, \N{...} in strings, and the filters filesizeformat, groupby, pprint,
 * random, striptags, urlize, wordwrap, xmlattr.
 */
#ifndef ATTUNE_TEXT_JINJA_JINJA_H
#define ATTUNE_TEXT_JINJA_JINJA_H

#include "base/err.h"
#include "base/strbuf.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one template, and one rendering, may take. Beyond: an error that names the limit. */
#define JINJA_SOURCE_MAX ((size_t)1 << 20)   /* bytes of a template */
#define JINJA_OUTPUT_MAX ((size_t)64 << 20)  /* bytes of rendered text */
#define JINJA_MEMORY_MAX ((size_t)512 << 20) /* bytes of all values of one rendering */
#define JINJA_STEPS_MAX  ((int64_t)20000000) /* nodes evaluated, and 64-byte pieces of text and elements touched */
#define JINJA_DEPTH_MAX  400                 /* expressions, blocks, calls and values inside one another */
#define JINJA_RANGE_MAX  100000              /* elements of range(), as in Jinja's sandbox */

enum jinja_source {
    JINJA_MADE,     /* computed on the way: a loop index, a length */
    JINJA_LITERAL,  /* text or a string of the template; `place` tells which */
    JINJA_VARIABLE, /* a variable that is neither of the two below (tools, bos_token, the date) */
    JINJA_END,      /* the end-of-sequence token's variable */
    JINJA_HEADER,   /* a member of `message` that says who speaks: role, name, tool_call_id */
    JINJA_CONTENT,  /* any other member of `message` */
};

struct jinja_origin {
    enum jinja_source source;
    int32_t message; /* of JINJA_HEADER and JINJA_CONTENT: index in the messages; else -1 */
    int32_t turn;    /* the message in whose turn the text was written, -1: unknown */
    uint32_t place;  /* byte offset in the template of the literal or the expression that wrote it */
};

/* What was computed on the way, outside of any turn. */
#define JINJA_NO_ORIGIN ((struct jinja_origin){JINJA_MADE, -1, -1, 0})

/* Bytes from the end of the run before (0 for the first) to `end`. */
struct jinja_run {
    size_t end;
    struct jinja_origin origin;
};

struct jinja_template;

/* `name` is what errors call the template. */
int jinja_compile(struct jinja_template **out, const char *source, size_t length, const char *name, struct err *err);
void jinja_free(struct jinja_template *template);
/* Whether the template holds a {% generation %} block. */
bool jinja_has_generation(const struct jinja_template *template);

enum jinja_role {
    JINJA_PLAIN,     /* origin JINJA_VARIABLE */
    JINJA_END_TOKEN, /* origin JINJA_END */
    JINJA_MESSAGES,  /* an array whose elements are the messages */
};

struct jinja_variable {
    const char *name;
    const json_t *value;
    enum jinja_role role;
};

struct jinja_input {
    const struct jinja_variable *variables; /* the last of a name counts */
    size_t variable_count;
    int64_t now; /* for strftime_now(): seconds since 1970, UTC */
};

/* Bytes that a {% generation %} block wrote, and the message in whose turn (-1: none). */
struct jinja_generation {
    size_t start, end;
    int32_t message;
};

struct jinja_output {
    struct strbuf text;
    struct jinja_run *runs; /* cover the text exactly */
    size_t run_count;
    struct jinja_generation *generations; /* in order of their ends; blocks inside captured text are left out */
    size_t generation_count;
};

/* *out is overwritten; free it with jinja_output_free(). On failure it is empty. */
int jinja_render(const struct jinja_template *template, const struct jinja_input *input, struct jinja_output *out,
                 struct err *err);
void jinja_output_free(struct jinja_output *output);

#endif
