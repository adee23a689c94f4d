/*
 * Expressions, by recursive descent; the loosest binding first:
 *
 *     a if b else c   or   and   not   == != < <= > >= in not-in   + -   ~   * / // %   **   - + (sign)   . [] () | is
 *
 * A filter binds tighter than any operator but a sign: 'a' ~ b|upper is 'a' ~ (b|upper), -1|abs is (-1)|abs.
 */
#include "text/jinja/internal.h"
#include "text/jinja/string.h"
#include "text/jinja/syntax.h"
#include <string.h>

static struct jinja_node *parse_or(struct jinja_parser *parser);

/* Adds `node` to the list that ends at *last. */
static void append(struct jinja_node ***last, struct jinja_node *node)
{
    **last = node;
    *last = &node->next;
}

static struct jinja_node *binary(struct jinja_parser *parser, enum jinja_node_kind kind, int sign,
                                 struct jinja_node *left, struct jinja_node *right)
{
    struct jinja_node *node = jinja_node_new(parser, kind);
    node->binary.sign = sign;
    node->binary.left = left;
    node->binary.right = right;
    return node;
}

static struct jinja_node *constant(struct jinja_parser *parser, struct jinja_value value)
{
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_CONSTANT);
    node->constant = value;
    return node;
}

static struct jinja_value literal(struct jinja_parser *parser, const struct jinja_token *token, const char *text,
                                  size_t length)
{
    struct jinja_origin origin = {JINJA_LITERAL, -1, -1, token->place};
    return jinja_string_of(parser->arena, text, length, origin);
}

/* ---- primaries */

/* Items up to the closing bracket; pairs (key: value) for a dictionary. */
static struct jinja_node *parse_items(struct jinja_parser *parser, enum jinja_node_kind kind, const char *closing)
{
    struct jinja_node *node = jinja_node_new(parser, kind), **last = &node->items.first;
    parser->token++;
    while (!jinja_at_sign(parser, closing)) {
        if (node->items.count > 0) {
            jinja_expect_sign(parser, ",");
        }
        if (jinja_at_sign(parser, closing)) {
            break;
        }
        append(&last, jinja_parse_expression(parser));
        if (kind == JINJA_NODE_DICT) {
            jinja_expect_sign(parser, ":");
            append(&last, jinja_parse_expression(parser));
        }
        node->items.count++;
    }
    jinja_expect_sign(parser, closing);
    return node;
}

static struct jinja_node *parse_string(struct jinja_parser *parser)
{
    const struct jinja_token *first = parser->token++;
    if (parser->token->kind != JINJA_TOKEN_STRING) {
        return constant(parser, literal(parser, first, first->text, first->length));
    }
    struct jinja_text text = jinja_text_new(parser->arena); /* 'a' 'b' is 'ab' */
    struct jinja_origin origin = {JINJA_LITERAL, -1, -1, first->place};
    jinja_text_put(&text, first->text, first->length, origin);
    for (; parser->token->kind == JINJA_TOKEN_STRING; parser->token++) {
        jinja_text_put(&text, parser->token->text, parser->token->length, origin);
    }
    return constant(parser, jinja_text_finish(&text));
}

static struct jinja_node *parse_name(struct jinja_parser *parser)
{
    const char *name = parser->token++->text;
    if (strcmp(name, "true") == 0 || strcmp(name, "True") == 0) {
        return constant(parser, jinja_bool(true));
    }
    if (strcmp(name, "false") == 0 || strcmp(name, "False") == 0) {
        return constant(parser, jinja_bool(false));
    }
    if (strcmp(name, "none") == 0 || strcmp(name, "None") == 0) {
        return constant(parser, jinja_none());
    }
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_NAME);
    node->name = jinja_name_index(parser, name);
    if (parser->macro) {
        parser->macro->uses_varargs |= node->name == JINJA_NAME_VARARGS;
        parser->macro->uses_kwargs |= node->name == JINJA_NAME_KWARGS;
        parser->macro->uses_caller |= node->name == JINJA_NAME_CALLER;
    }
    return node;
}

struct jinja_node *jinja_parse_primary(struct jinja_parser *parser)
{
    const struct jinja_token *token = parser->token;
    struct jinja_node *node;
    switch (token->kind) {
    case JINJA_TOKEN_NAME:
        return parse_name(parser);
    case JINJA_TOKEN_STRING:
        return parse_string(parser);
    case JINJA_TOKEN_INTEGER:
        parser->token++;
        return constant(parser, jinja_int(token->integer));
    case JINJA_TOKEN_REAL:
        parser->token++;
        return constant(parser, jinja_real(token->real));
    default:
        break;
    }
    if (jinja_at_sign(parser, "[")) {
        return parse_items(parser, JINJA_NODE_LIST, "]");
    }
    if (jinja_at_sign(parser, "{")) {
        return parse_items(parser, JINJA_NODE_DICT, "}");
    }
    if (!jinja_skip_sign(parser, "(")) {
        jinja_fail_expected(parser, "an expression");
    }
    node = jinja_parse_tuple(parser, JINJA_TUPLE_IN_PARENTHESES);
    jinja_expect_sign(parser, ")");
    return node;
}

/* ---- what stands after a primary: members, items, calls, filters, tests */

static void parse_argument(struct jinja_parser *parser, struct jinja_node *call, struct jinja_node ***positional,
                           struct jinja_keyword ***keywords)
{
    if (!call->call.more_keywords && jinja_skip_sign(parser, "**")) {
        call->call.more_keywords = jinja_parse_expression(parser);
    } else if (!call->call.more_keywords && !call->call.more_positional && jinja_skip_sign(parser, "*")) {
        call->call.more_positional = jinja_parse_expression(parser);
    } else if (parser->token->kind == JINJA_TOKEN_NAME && parser->token[1].kind == JINJA_TOKEN_SIGN &&
               strcmp(parser->token[1].text, "=") == 0 && !call->call.more_keywords) {
        struct jinja_keyword *keyword = jinja_new(parser->arena, 1, sizeof *keyword);
        keyword->name = parser->token->text;
        parser->token += 2;
        keyword->value = jinja_parse_expression(parser);
        **keywords = keyword;
        *keywords = &keyword->next;
        call->call.keyword_count++;
    } else {
        if (call->call.more_keywords || call->call.more_positional || call->call.keyword_count > 0) {
            jinja_fail(parser->arena, "an argument without a name stands after named ones");
        }
        append(positional, jinja_parse_expression(parser));
        call->call.positional_count++;
    }
}

static void parse_arguments(struct jinja_parser *parser, struct jinja_node *call)
{
    struct jinja_node **positional = &call->call.positional;
    struct jinja_keyword **keywords = &call->call.keywords;
    jinja_expect_sign(parser, "(");
    for (bool first = true; !jinja_at_sign(parser, ")"); first = false) {
        if (!first) {
            jinja_expect_sign(parser, ",");
        }
        if (jinja_at_sign(parser, ")")) {
            break;
        }
        parse_argument(parser, call, &positional, &keywords);
    }
    jinja_expect_sign(parser, ")");
}

static struct jinja_node *parse_call(struct jinja_parser *parser, struct jinja_node *subject)
{
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_CALL);
    node->call.subject = subject;
    parse_arguments(parser, node);
    return node;
}

static struct jinja_node *parse_slice_part(struct jinja_parser *parser)
{
    if (jinja_at_sign(parser, ":") || jinja_at_sign(parser, "]") || jinja_at_sign(parser, ",")) {
        return NULL;
    }
    return jinja_parse_expression(parser);
}

static struct jinja_node *parse_index(struct jinja_parser *parser)
{
    struct jinja_node *start = parse_slice_part(parser);
    if (!start && !jinja_at_sign(parser, ":")) {
        jinja_fail_expected(parser, "an index");
    }
    if (!jinja_at_sign(parser, ":")) {
        return start;
    }
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_SLICE);
    parser->token++;
    node->slice.start = start;
    node->slice.stop = parse_slice_part(parser);
    if (jinja_skip_sign(parser, ":")) {
        node->slice.step = parse_slice_part(parser);
    }
    return node;
}

static struct jinja_node *parse_item(struct jinja_parser *parser, struct jinja_node *object)
{
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_ITEM);
    parser->token++;
    node->item.object = object;
    node->item.index = parse_index(parser);
    if (jinja_at_sign(parser, ",")) {
        struct jinja_node *tuple = jinja_node_new(parser, JINJA_NODE_TUPLE), **last = &tuple->items.first;
        append(&last, node->item.index);
        for (tuple->items.count = 1; jinja_skip_sign(parser, ","); tuple->items.count++) {
            append(&last, parse_index(parser));
        }
        node->item.index = tuple;
    }
    jinja_expect_sign(parser, "]");
    return node;
}

static struct jinja_node *parse_member(struct jinja_parser *parser, struct jinja_node *object)
{
    const struct jinja_token *name = ++parser->token;
    if (name->kind == JINJA_TOKEN_INTEGER) { /* x.0 is x[0] */
        struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_ITEM);
        parser->token++;
        node->item.object = object;
        node->item.index = constant(parser, jinja_int(name->integer));
        return node;
    }
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_MEMBER);
    jinja_expect_name(parser);
    node->member.object = object;
    node->member.name = literal(parser, name, name->text, name->length);
    return node;
}

static struct jinja_node *parse_postfix(struct jinja_parser *parser, struct jinja_node *node)
{
    for (;;) {
        if (jinja_at_sign(parser, ".")) {
            node = parse_member(parser, node);
        } else if (jinja_at_sign(parser, "[")) {
            node = parse_item(parser, node);
        } else if (jinja_at_sign(parser, "(")) {
            node = parse_call(parser, node);
        } else {
            return node;
        }
    }
}

/* The filter or test that is named next. An unknown one is an error at the end of parsing, unless an `if` stands
 * around. */
static void resolve_builtin(struct jinja_parser *parser, struct jinja_node *node, bool test)
{
    node->call.name = jinja_expect_name(parser);
    node->call.builtin = test ? jinja_find_test(node->call.name) : jinja_find_filter(node->call.name);
    if (!node->call.builtin && !parser->unknown) {
        parser->unknown = node;
    }
}

static struct jinja_node *parse_filter(struct jinja_parser *parser, struct jinja_node *subject)
{
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_FILTER);
    node->call.subject = subject;
    resolve_builtin(parser, node, false);
    if (jinja_at_sign(parser, "(")) {
        parse_arguments(parser, node);
    }
    return node;
}

struct jinja_node *jinja_parse_filters(struct jinja_parser *parser)
{
    struct jinja_node *node = parse_filter(parser, NULL);
    while (jinja_skip_sign(parser, "|")) {
        node = parse_filter(parser, node);
    }
    return node;
}

/* Whether a test's one argument without parentheses follows: x is divisibleby 3 */
static bool at_bare_argument(const struct jinja_parser *parser)
{
    switch (parser->token->kind) {
    case JINJA_TOKEN_NAME:
        return !jinja_at_name(parser, "else") && !jinja_at_name(parser, "or") && !jinja_at_name(parser, "and");
    case JINJA_TOKEN_STRING:
    case JINJA_TOKEN_INTEGER:
    case JINJA_TOKEN_REAL:
        return true;
    default:
        return jinja_at_sign(parser, "[") || jinja_at_sign(parser, "{");
    }
}

static struct jinja_node *parse_test(struct jinja_parser *parser, struct jinja_node *subject)
{
    parser->token++;
    bool negated = jinja_skip_name(parser, "not");
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_TEST);
    node->call.subject = subject;
    resolve_builtin(parser, node, true);
    if (jinja_at_sign(parser, "(")) {
        parse_arguments(parser, node);
    } else if (at_bare_argument(parser)) {
        if (jinja_at_name(parser, "is")) {
            jinja_fail(parser->arena, "two tests follow one another; join them with 'and'");
        }
        node->call.positional = parse_postfix(parser, jinja_parse_primary(parser));
        node->call.positional_count = 1;
    }
    return negated ? binary(parser, JINJA_NODE_NOT, 0, node, NULL) : node;
}

static struct jinja_node *parse_filters_and_tests(struct jinja_parser *parser, struct jinja_node *node)
{
    for (;;) {
        if (jinja_skip_sign(parser, "|")) {
            node = parse_filter(parser, node);
        } else if (jinja_at_name(parser, "is")) {
            node = parse_test(parser, node);
        } else if (jinja_at_sign(parser, "(")) {
            node = parse_call(parser, node);
        } else {
            return node;
        }
    }
}

/* ---- operators */

static struct jinja_node *parse_unary(struct jinja_parser *parser, bool with_filters)
{
    struct jinja_node *node;
    jinja_enter(parser->arena);
    if (jinja_skip_sign(parser, "-")) {
        node = binary(parser, JINJA_NODE_NEGATIVE, 0, parse_unary(parser, false), NULL);
    } else if (jinja_skip_sign(parser, "+")) {
        node = binary(parser, JINJA_NODE_POSITIVE, 0, parse_unary(parser, false), NULL);
    } else {
        node = jinja_parse_primary(parser);
    }
    node = parse_postfix(parser, node);
    if (with_filters) {
        node = parse_filters_and_tests(parser, node);
    }
    jinja_leave(parser->arena);
    return node;
}

static struct jinja_node *parse_power(struct jinja_parser *parser)
{
    struct jinja_node *left = parse_unary(parser, true);
    while (jinja_skip_sign(parser, "**")) {
        left = binary(parser, JINJA_NODE_ARITHMETIC, JINJA_POWER, left, parse_unary(parser, true));
    }
    return left;
}

static struct jinja_node *parse_product(struct jinja_parser *parser)
{
    static const struct {
        const char *sign;
        enum jinja_operator operation;
    } table[] = {{"*", JINJA_MULTIPLY}, {"/", JINJA_DIVIDE}, {"//", JINJA_FLOOR_DIVIDE}, {"%", JINJA_MODULO}};
    struct jinja_node *left = parse_power(parser);
    for (size_t i = 0; i < sizeof table / sizeof *table;) {
        if (jinja_skip_sign(parser, table[i].sign)) {
            left = binary(parser, JINJA_NODE_ARITHMETIC, (int)table[i].operation, left, parse_power(parser));
            i = 0;
        } else {
            i++;
        }
    }
    return left;
}

static struct jinja_node *parse_concat(struct jinja_parser *parser)
{
    struct jinja_node *first = parse_product(parser);
    if (!jinja_at_sign(parser, "~")) {
        return first;
    }
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_CONCAT), **last = &node->items.first;
    append(&last, first);
    for (node->items.count = 1; jinja_skip_sign(parser, "~"); node->items.count++) {
        append(&last, parse_product(parser));
    }
    return node;
}

static struct jinja_node *parse_sum(struct jinja_parser *parser)
{
    struct jinja_node *left = parse_concat(parser);
    for (;;) {
        if (jinja_skip_sign(parser, "+")) {
            left = binary(parser, JINJA_NODE_ARITHMETIC, JINJA_ADD, left, parse_concat(parser));
        } else if (jinja_skip_sign(parser, "-")) {
            left = binary(parser, JINJA_NODE_ARITHMETIC, JINJA_SUBTRACT, left, parse_concat(parser));
        } else {
            return left;
        }
    }
}

/* Steps over a comparison's sign; false where there is none. */
static bool skip_comparison(struct jinja_parser *parser, enum jinja_comparison *which)
{
    static const char *const signs[] = {
        [JINJA_EQUAL] = "==",      [JINJA_UNEQUAL] = "!=", [JINJA_LESS] = "<",
        [JINJA_LESS_EQUAL] = "<=", [JINJA_GREATER] = ">",  [JINJA_GREATER_EQUAL] = ">="};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (jinja_skip_sign(parser, signs[i])) {
            *which = (enum jinja_comparison)i;
            return true;
        }
    }
    *which = JINJA_IN;
    if (jinja_skip_name(parser, "in")) {
        return true;
    }
    bool not_in = jinja_at_name(parser, "not") && parser->token[1].kind == JINJA_TOKEN_NAME &&
                  strcmp(parser->token[1].text, "in") == 0;
    *which = JINJA_NOT_IN;
    if (not_in) {
        parser->token += 2;
    }
    return not_in;
}

static struct jinja_node *parse_compare(struct jinja_parser *parser)
{
    struct jinja_node *left = parse_sum(parser), *first = NULL, **last = &first;
    enum jinja_comparison which;
    while (skip_comparison(parser, &which)) {
        append(&last, binary(parser, JINJA_NODE_COMPARISON, (int)which, NULL, parse_sum(parser)));
    }
    return first ? binary(parser, JINJA_NODE_COMPARE, 0, left, first) : left;
}

static struct jinja_node *parse_not(struct jinja_parser *parser)
{
    if (!jinja_skip_name(parser, "not")) {
        return parse_compare(parser);
    }
    jinja_enter(parser->arena);
    struct jinja_node *node = binary(parser, JINJA_NODE_NOT, 0, parse_not(parser), NULL);
    jinja_leave(parser->arena);
    return node;
}

static struct jinja_node *parse_and(struct jinja_parser *parser)
{
    struct jinja_node *left = parse_not(parser);
    while (jinja_skip_name(parser, "and")) {
        left = binary(parser, JINJA_NODE_AND, 0, left, parse_not(parser));
    }
    return left;
}

static struct jinja_node *parse_or(struct jinja_parser *parser)
{
    struct jinja_node *left = parse_and(parser);
    while (jinja_skip_name(parser, "or")) {
        left = binary(parser, JINJA_NODE_OR, 0, left, parse_and(parser));
    }
    return left;
}

struct jinja_node *jinja_parse_expression(struct jinja_parser *parser)
{
    jinja_enter(parser->arena);
    const struct jinja_node *unknown = parser->unknown;
    struct jinja_node *node = parse_or(parser);
    while (jinja_skip_name(parser, "if")) {
        struct jinja_node *choice = jinja_node_new(parser, JINJA_NODE_CONDITIONAL);
        choice->choice.yes = node;
        choice->choice.test = parse_or(parser);
        if (jinja_skip_name(parser, "else")) {
            choice->choice.no = jinja_parse_expression(parser);
        }
        node = choice;
        parser->unknown = unknown;
    }
    jinja_leave(parser->arena);
    return node;
}

/* Whether the expressions without commas around them end here. */
static bool at_tuple_end(const struct jinja_parser *parser)
{
    return parser->token->kind == JINJA_TOKEN_PRINT_END || parser->token->kind == JINJA_TOKEN_BLOCK_END ||
           jinja_at_sign(parser, ")") || jinja_at_name(parser, "recursive");
}

struct jinja_node *jinja_parse_tuple(struct jinja_parser *parser, enum jinja_tuple_style style)
{
    struct jinja_node *first = NULL, **last = &first;
    size_t count = 0;
    bool comma = false;
    while (!at_tuple_end(parser)) {
        append(&last, style == JINJA_TUPLE_NO_CONDITIONAL ? parse_or(parser) : jinja_parse_expression(parser));
        count++;
        if (!jinja_skip_sign(parser, ",")) {
            break;
        }
        comma = true;
    }
    if (count == 1 && !comma) {
        return first;
    }
    if (count == 0 && style != JINJA_TUPLE_IN_PARENTHESES) {
        jinja_fail_expected(parser, "an expression");
    }
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_TUPLE);
    node->items.first = first;
    node->items.count = count;
    return node;
}
