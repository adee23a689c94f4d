/*
 * text/jinja/syntax.h - a template as tokens and as a tree.
 *
 * The grammar is that of jinja2/parser.py; the tree lies in the template's arena and is only read once it is made.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_TEXT_JINJA_SYNTAX_H
#define ATTUNE_TEXT_JINJA_SYNTAX_H

#include "text/jinja/value.h"

/* ---- tokens */

enum jinja_token_kind {
    JINJA_TOKEN_END, /* of the template */
    JINJA_TOKEN_DATA,
    JINJA_TOKEN_PRINT_BEGIN, /* {{ */
    JINJA_TOKEN_PRINT_END,
    JINJA_TOKEN_BLOCK_BEGIN, /* {% */
    JINJA_TOKEN_BLOCK_END,
    JINJA_TOKEN_NAME,
    JINJA_TOKEN_STRING,
    JINJA_TOKEN_INTEGER,
    JINJA_TOKEN_REAL,
    JINJA_TOKEN_SIGN, /* operator or punctuation: `text` says which */
};

struct jinja_token {
    enum jinja_token_kind kind;
    int line;
    uint32_t place;   /* offset in the template */
    const char *text; /* the data, name, sign, or the string after its escapes; zero-terminated */
    size_t length;    /* of text */
    int64_t integer;
    double real;
};

/* Tokens of a template, the last one JINJA_TOKEN_END. */
struct jinja_token *jinja_lex(struct jinja_arena *arena, const char *source, size_t length);

/* ---- the tree */

enum jinja_node_kind {
    /* expressions */
    JINJA_NODE_CONSTANT,
    JINJA_NODE_NAME,
    JINJA_NODE_LIST,   /* items */
    JINJA_NODE_TUPLE,  /* items; also the target of an assignment */
    JINJA_NODE_DICT,   /* items: key, value, key, value, ... */
    JINJA_NODE_CONCAT, /* items */
    JINJA_NODE_NOT,    /* binary, left only */
    JINJA_NODE_NEGATIVE,
    JINJA_NODE_POSITIVE,
    JINJA_NODE_AND, /* binary */
    JINJA_NODE_OR,
    JINJA_NODE_ARITHMETIC,
    JINJA_NODE_COMPARE,     /* binary: left, and in right a list of JINJA_NODE_COMPARISON */
    JINJA_NODE_COMPARISON,  /* binary, right only */
    JINJA_NODE_CONDITIONAL, /* choice: yes if test else no */
    JINJA_NODE_MEMBER,      /* member: object.name */
    JINJA_NODE_ITEM,        /* item: object[index] */
    JINJA_NODE_SLICE,       /* slice: start:stop:step, as an index */
    JINJA_NODE_CALL,        /* call: subject is what is called */
    JINJA_NODE_FILTER,      /* call: subject | builtin(...); subject is NULL on top of a filter block */
    JINJA_NODE_TEST,        /* call: subject is builtin(...) */
    /* statements */
    JINJA_NODE_DATA,         /* constant */
    JINJA_NODE_PRINT,        /* items */
    JINJA_NODE_IF,           /* choice: lists of statements */
    JINJA_NODE_FOR,          /* loop */
    JINJA_NODE_SET,          /* set */
    JINJA_NODE_SET_BLOCK,    /* set: body, and the filters in value (NULL: none) */
    JINJA_NODE_FILTER_BLOCK, /* set: likewise, without a target */
    JINJA_NODE_MACRO,        /* macro */
    JINJA_NODE_CALL_BLOCK,   /* macro: the anonymous caller, and the call in `call` */
    JINJA_NODE_WITH,         /* set: targets and values alternate in value; body */
    JINJA_NODE_GENERATION,   /* set: body */
    JINJA_NODE_BREAK,
    JINJA_NODE_CONTINUE,
    JINJA_NODE_ATTRIBUTE_TARGET, /* attribute: namespace.name on the left of an assignment */
};

enum jinja_comparison {
    JINJA_EQUAL,
    JINJA_UNEQUAL,
    JINJA_LESS,
    JINJA_LESS_EQUAL,
    JINJA_GREATER,
    JINJA_GREATER_EQUAL,
    JINJA_IN,
    JINJA_NOT_IN
};

/* A list of siblings is its first node, linked by `next`; NULL where empty. */
struct jinja_node {
    enum jinja_node_kind kind;
    int line;
    uint32_t place;
    struct jinja_node *next;
    union {
        struct jinja_value constant;
        int name; /* index in the template's names */
        struct {
            struct jinja_node *first;
            size_t count;
        } items;
        struct {
            int sign; /* enum jinja_operator or jinja_comparison */
            struct jinja_node *left, *right;
        } binary;
        struct {
            struct jinja_node *test, *yes, *no; /* no may be NULL */
        } choice;
        struct {
            struct jinja_node *object;
            struct jinja_value name;
        } member;
        struct {
            struct jinja_node *object, *index;
        } item;
        struct {
            struct jinja_node *start, *stop, *step; /* NULL where left out */
        } slice;
        struct {
            struct jinja_node *subject;
            const char *name;                    /* of the filter or test */
            const struct jinja_builtin *builtin; /* NULL: none of that name, an error when it runs */
            struct jinja_node *positional;
            size_t positional_count;
            struct jinja_keyword *keywords;
            size_t keyword_count;
            struct jinja_node *more_positional, *more_keywords; /* *list and **dict, or NULL */
        } call;
        struct {
            struct jinja_node *target, *iterable, *condition, *body, *otherwise;
        } loop;
        struct {
            struct jinja_node *target, *value, *body;
        } set;
        struct {
            struct jinja_macro_parts *parts;
            struct jinja_node *call; /* of a call block */
        } macro;
        struct {
            int name;
            struct jinja_value member;
        } attribute;
    };
};

struct jinja_keyword {
    const char *name;
    struct jinja_node *value;
    struct jinja_keyword *next;
};

struct jinja_parameter {
    int name;
    struct jinja_node *otherwise; /* its default, or NULL */
};

struct jinja_macro_parts {
    const char *title; /* for errors */
    int name;          /* -1: a call block's */
    struct jinja_parameter *parameters;
    size_t parameter_count, parameter_capacity;
    struct jinja_node *body;
    bool uses_varargs, uses_kwargs, uses_caller;
};

struct jinja_template {
    struct jinja_arena arena;
    struct jinja_node *body;
    const char **names; /* of all variables, each once */
    size_t name_count, name_capacity;
    bool has_generation;
};

/* The names that the interpreter itself sets. */
enum jinja_fixed_name { JINJA_NAME_LOOP, JINJA_NAME_VARARGS, JINJA_NAME_KWARGS, JINJA_NAME_CALLER, JINJA_NAME_FIXED };

/* ---- the parser (parse.c: statements, parse_expression.c: expressions) */

struct jinja_parser {
    struct jinja_arena *arena;
    struct jinja_template *template;
    struct jinja_token *token;        /* the next one */
    struct jinja_macro_parts *macro;  /* whose body is being read, or NULL */
    const struct jinja_node *unknown; /* the first filter or test that is not known and not inside an `if`, or NULL */
    int loops;                        /* `for` bodies around */
};

/* Reads tokens into template->body and ->names. */
void jinja_parse(struct jinja_template *template, struct jinja_token *tokens);

enum jinja_tuple_style { JINJA_TUPLE_WHOLE, JINJA_TUPLE_NO_CONDITIONAL, JINJA_TUPLE_IN_PARENTHESES };

struct jinja_node *jinja_parse_expression(struct jinja_parser *parser);
struct jinja_node *jinja_parse_tuple(struct jinja_parser *parser, enum jinja_tuple_style style);
struct jinja_node *jinja_parse_primary(struct jinja_parser *parser);
/* Filters without a subject: name(...) | name(...) */
struct jinja_node *jinja_parse_filters(struct jinja_parser *parser);

struct jinja_node *jinja_node_new(struct jinja_parser *parser, enum jinja_node_kind kind);
int jinja_name_index(struct jinja_parser *parser, const char *name);
bool jinja_at_sign(const struct jinja_parser *parser, const char *sign);
bool jinja_at_name(const struct jinja_parser *parser, const char *name);
/* Steps over the token when it is that sign (name). */
bool jinja_skip_sign(struct jinja_parser *parser, const char *sign);
bool jinja_skip_name(struct jinja_parser *parser, const char *name);
void jinja_expect_sign(struct jinja_parser *parser, const char *sign);
/* A name of any spelling. */
const char *jinja_expect_name(struct jinja_parser *parser);
/* Fails at the next token: "<what> is missing before '...'" */
_Noreturn void jinja_fail_expected(struct jinja_parser *parser, const char *what);

#endif
