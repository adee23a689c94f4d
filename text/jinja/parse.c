/* Statements: text, {{ expressions }} and {% tags %} up to the tag that ends them. */
#include "text/jinja/string.h"
#include "text/jinja/syntax.h"
#include <stdio.h>
#include <string.h>

/* ---- tokens and nodes, for both parts of the parser */

struct jinja_node *jinja_node_new(struct jinja_parser *parser, enum jinja_node_kind kind)
{
    struct jinja_node *node = jinja_new(parser->arena, 1, sizeof *node);
    node->kind = kind;
    node->line = parser->token->line;
    node->place = parser->token->place;
    parser->arena->line = node->line;
    return node;
}

int jinja_name_index(struct jinja_parser *parser, const char *name)
{
    struct jinja_template *template = parser->template;
    jinja_charge(parser->arena, template->name_count / 16 + 1);
    for (size_t i = 0; i < template->name_count; i++) {
        if (strcmp(template->names[i], name) == 0) {
            return (int)i;
        }
    }
    JINJA_PUSH(parser->arena, template->names, template->name_count, template->name_capacity);
    template->names[template->name_count] = name;
    return (int)template->name_count++;
}

static bool token_is(const struct jinja_token *token, enum jinja_token_kind kind, const char *text)
{
    return token->kind == kind && strcmp(token->text, text) == 0;
}

bool jinja_at_sign(const struct jinja_parser *parser, const char *sign)
{
    return token_is(parser->token, JINJA_TOKEN_SIGN, sign);
}

bool jinja_at_name(const struct jinja_parser *parser, const char *name)
{
    return token_is(parser->token, JINJA_TOKEN_NAME, name);
}

bool jinja_skip_sign(struct jinja_parser *parser, const char *sign)
{
    bool there = jinja_at_sign(parser, sign);
    parser->token += there;
    return there;
}

bool jinja_skip_name(struct jinja_parser *parser, const char *name)
{
    bool there = jinja_at_name(parser, name);
    parser->token += there;
    return there;
}

void jinja_fail_expected(struct jinja_parser *parser, const char *what)
{
    const struct jinja_token *token = parser->token;
    parser->arena->line = token->line;
    if (token->kind == JINJA_TOKEN_END) {
        jinja_fail(parser->arena, "%s is missing at the end of the template", what);
    }
    if (token->kind == JINJA_TOKEN_DATA) {
        jinja_fail(parser->arena, "%s is missing before text", what);
    }
    jinja_fail(parser->arena, "%s is missing before '%.40s'", what, token->text);
}

void jinja_expect_sign(struct jinja_parser *parser, const char *sign)
{
    char what[8] = {'\'', sign[0], '\''};
    if (!jinja_skip_sign(parser, sign)) {
        jinja_fail_expected(parser, what);
    }
}

const char *jinja_expect_name(struct jinja_parser *parser)
{
    if (parser->token->kind != JINJA_TOKEN_NAME) {
        jinja_fail_expected(parser, "a name");
    }
    return parser->token++->text;
}

static void expect_word(struct jinja_parser *parser, const char *word)
{
    char what[32];
    snprintf(what, sizeof what, "'%s'", word);
    if (!jinja_skip_name(parser, word)) {
        jinja_fail_expected(parser, what);
    }
}

static void expect_block_end(struct jinja_parser *parser)
{
    if (parser->token->kind != JINJA_TOKEN_BLOCK_END) {
        jinja_fail_expected(parser, "'%}'");
    }
    parser->token++;
}

/* ---- bodies */

static struct jinja_node *parse_statement(struct jinja_parser *parser);

/* Whether a tag with one of the words (separated by blanks) comes next; steps after its "{%" then. */
static bool at_end_tag(struct jinja_parser *parser, const char *words)
{
    const struct jinja_token *name = parser->token + 1;
    if (parser->token->kind != JINJA_TOKEN_BLOCK_BEGIN || name->kind != JINJA_TOKEN_NAME) {
        return false;
    }
    for (const char *word = words; *word; word += strcspn(word, " "), word += *word == ' ') {
        if (strcspn(word, " ") == name->length && strncmp(word, name->text, name->length) == 0) {
            parser->token++;
            return true;
        }
    }
    return false;
}

/* Statements up to a tag with one of the `ends`, at whose word the parser stands then; NULL: up to the template's end.
 */
static struct jinja_node *parse_statements(struct jinja_parser *parser, const char *ends)
{
    struct jinja_node *first = NULL, **last = &first, *node;
    int line = parser->arena->line;
    while (!ends || !at_end_tag(parser, ends)) {
        const struct jinja_token *token = parser->token;
        if (token->kind == JINJA_TOKEN_END && !ends) {
            break;
        }
        if (token->kind == JINJA_TOKEN_END) {
            parser->arena->line = line;
            jinja_fail(parser->arena, "the tag that starts here is not closed: '%s' is missing", ends);
        }
        if (token->kind == JINJA_TOKEN_DATA) {
            node = jinja_node_new(parser, JINJA_NODE_DATA);
            node->constant = jinja_string_of(parser->arena, token->text, token->length,
                                             (struct jinja_origin){JINJA_LITERAL, -1, -1, token->place});
            parser->token++;
        } else if (token->kind == JINJA_TOKEN_PRINT_BEGIN) {
            node = jinja_node_new(parser, JINJA_NODE_PRINT);
            parser->token++;
            node->items.first = jinja_parse_tuple(parser, JINJA_TUPLE_WHOLE);
            node->items.count = 1;
            if (parser->token->kind != JINJA_TOKEN_PRINT_END) {
                jinja_fail_expected(parser, "'}}'");
            }
            parser->token++;
        } else {
            parser->token++;
            node = parse_statement(parser);
            expect_block_end(parser);
        }
        *last = node;
        last = &node->next;
    }
    return first;
}

/* The body of a tag that has just been read up to its "%}", and the word that ends it. */
static struct jinja_node *parse_body(struct jinja_parser *parser, const char *end)
{
    expect_block_end(parser);
    jinja_enter(parser->arena);
    struct jinja_node *body = parse_statements(parser, end);
    jinja_leave(parser->arena);
    return body;
}

/* The same for a body whose text is kept back: no break or continue may leave it. */
static struct jinja_node *parse_closed_body(struct jinja_parser *parser, const char *end)
{
    int loops = parser->loops;
    parser->loops = 0;
    struct jinja_node *body = parse_body(parser, end);
    parser->loops = loops;
    expect_word(parser, end);
    return body;
}

/* ---- tags; each starts after its word */

static struct jinja_node *parse_if(struct jinja_parser *parser, struct jinja_node *node)
{
    const struct jinja_node *unknown = parser->unknown;
    node->kind = JINJA_NODE_IF;
    for (struct jinja_node *branch = node;;) {
        branch->choice.test = jinja_parse_tuple(parser, JINJA_TUPLE_NO_CONDITIONAL);
        branch->choice.yes = parse_body(parser, "elif else endif");
        if (jinja_skip_name(parser, "elif")) {
            branch->choice.no = jinja_node_new(parser, JINJA_NODE_IF);
            branch = branch->choice.no;
            continue;
        }
        if (jinja_skip_name(parser, "else")) {
            branch->choice.no = parse_body(parser, "endif");
        }
        parser->unknown = unknown;
        expect_word(parser, "endif");
        return node;
    }
}

static bool can_assign(const struct jinja_node *target)
{
    if (target->kind == JINJA_NODE_NAME || target->kind == JINJA_NODE_ATTRIBUTE_TARGET) {
        return true;
    }
    if (target->kind != JINJA_NODE_TUPLE) {
        return false;
    }
    for (const struct jinja_node *item = target->items.first; item; item = item->next) {
        if (!can_assign(item)) {
            return false;
        }
    }
    return true;
}

static struct jinja_node *parse_target_item(struct jinja_parser *parser, bool with_attributes)
{
    const struct jinja_token *next = parser->token + 1;
    if (with_attributes && parser->token->kind == JINJA_TOKEN_NAME && token_is(next, JINJA_TOKEN_SIGN, ".")) {
        struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_ATTRIBUTE_TARGET);
        node->attribute.name = jinja_name_index(parser, parser->token->text);
        struct jinja_origin origin = {JINJA_LITERAL, -1, -1, parser->token->place};
        parser->token += 2;
        const struct jinja_token *name = parser->token;
        jinja_expect_name(parser);
        node->attribute.member = jinja_string_of(parser->arena, name->text, name->length, origin);
        return node;
    }
    return jinja_parse_primary(parser);
}

/* What stands left of '=' or 'in': a name, namespace.name, or several with commas between. */
static struct jinja_node *parse_target(struct jinja_parser *parser, bool with_attributes)
{
    struct jinja_node *node = parse_target_item(parser, with_attributes);
    if (jinja_at_sign(parser, ",")) {
        struct jinja_node *tuple = jinja_node_new(parser, JINJA_NODE_TUPLE), **last = &node->next;
        tuple->items.first = node;
        tuple->items.count = 1;
        while (jinja_skip_sign(parser, ",") && !jinja_at_name(parser, "in") && !jinja_at_sign(parser, "=")) {
            *last = parse_target_item(parser, with_attributes);
            last = &(*last)->next;
            tuple->items.count++;
        }
        node = tuple;
    }
    if (!can_assign(node)) {
        parser->arena->line = node->line;
        jinja_fail(parser->arena, "only names, namespace attributes and tuples of them can be assigned to");
    }
    return node;
}

static struct jinja_node *parse_for(struct jinja_parser *parser, struct jinja_node *node)
{
    node->kind = JINJA_NODE_FOR;
    node->loop.target = parse_target(parser, false);
    expect_word(parser, "in");
    node->loop.iterable = jinja_parse_tuple(parser, JINJA_TUPLE_NO_CONDITIONAL);
    if (jinja_skip_name(parser, "if")) {
        node->loop.condition = jinja_parse_expression(parser);
    }
    if (jinja_at_name(parser, "recursive")) {
        jinja_fail(parser->arena, "recursive loops are not supported");
    }
    parser->loops++;
    node->loop.body = parse_body(parser, "else endfor");
    parser->loops--;
    if (jinja_skip_name(parser, "else")) {
        node->loop.otherwise = parse_body(parser, "endfor");
    }
    expect_word(parser, "endfor");
    return node;
}

static struct jinja_node *parse_set(struct jinja_parser *parser, struct jinja_node *node)
{
    node->set.target = parse_target(parser, true);
    if (jinja_skip_sign(parser, "=")) {
        node->kind = JINJA_NODE_SET;
        node->set.value = jinja_parse_tuple(parser, JINJA_TUPLE_WHOLE);
        return node;
    }
    node->kind = JINJA_NODE_SET_BLOCK;
    if (jinja_skip_sign(parser, "|")) {
        node->set.value = jinja_parse_filters(parser);
    }
    node->set.body = parse_closed_body(parser, "endset");
    return node;
}

static void parse_parameters(struct jinja_parser *parser, struct jinja_macro_parts *parts)
{
    jinja_expect_sign(parser, "(");
    while (!jinja_at_sign(parser, ")")) {
        if (parts->parameter_count > 0) {
            jinja_expect_sign(parser, ",");
        }
        JINJA_PUSH(parser->arena, parts->parameters, parts->parameter_count, parts->parameter_capacity);
        struct jinja_parameter *parameter = &parts->parameters[parts->parameter_count];
        parameter->name = jinja_name_index(parser, jinja_expect_name(parser));
        parameter->otherwise = NULL;
        if (jinja_skip_sign(parser, "=")) {
            parameter->otherwise = jinja_parse_expression(parser);
        } else if (parts->parameter_count > 0 && parameter[-1].otherwise) {
            jinja_fail(parser->arena, "a parameter without a default stands after one with a default");
        }
        parts->parameter_count++;
    }
    jinja_expect_sign(parser, ")");
}

/* The body of a macro or call block, where the arguments of a macro around are out of reach. */
static void parse_macro_body(struct jinja_parser *parser, struct jinja_macro_parts *parts, const char *end)
{
    struct jinja_macro_parts *around = parser->macro;
    parser->macro = parts;
    parts->body = parse_closed_body(parser, end);
    parser->macro = around;
}

static struct jinja_node *parse_macro(struct jinja_parser *parser, struct jinja_node *node)
{
    struct jinja_macro_parts *parts = jinja_new(parser->arena, 1, sizeof *parts);
    node->kind = JINJA_NODE_MACRO;
    node->macro.parts = parts;
    parts->title = jinja_expect_name(parser);
    parts->name = jinja_name_index(parser, parts->title);
    parse_parameters(parser, parts);
    parse_macro_body(parser, parts, "endmacro");
    return node;
}

static struct jinja_node *parse_call_block(struct jinja_parser *parser, struct jinja_node *node)
{
    struct jinja_macro_parts *parts = jinja_new(parser->arena, 1, sizeof *parts);
    node->kind = JINJA_NODE_CALL_BLOCK;
    node->macro.parts = parts;
    parts->title = "caller";
    parts->name = -1;
    if (jinja_at_sign(parser, "(")) {
        parse_parameters(parser, parts);
    }
    node->macro.call = jinja_parse_expression(parser);
    if (node->macro.call->kind != JINJA_NODE_CALL) {
        jinja_fail(parser->arena, "a call block must hold a call: {%% call name(...) %%}");
    }
    parse_macro_body(parser, parts, "endcall");
    return node;
}

static struct jinja_node *parse_filter_block(struct jinja_parser *parser, struct jinja_node *node)
{
    node->kind = JINJA_NODE_FILTER_BLOCK;
    node->set.value = jinja_parse_filters(parser);
    node->set.body = parse_closed_body(parser, "endfilter");
    return node;
}

static struct jinja_node *parse_with(struct jinja_parser *parser, struct jinja_node *node)
{
    struct jinja_node **last = &node->set.value;
    node->kind = JINJA_NODE_WITH;
    while (parser->token->kind != JINJA_TOKEN_BLOCK_END) {
        if (node->set.value) {
            jinja_expect_sign(parser, ",");
        }
        *last = parse_target(parser, false);
        last = &(*last)->next;
        jinja_expect_sign(parser, "=");
        *last = jinja_parse_expression(parser);
        last = &(*last)->next;
    }
    node->set.body = parse_body(parser, "endwith");
    expect_word(parser, "endwith");
    return node;
}

static struct jinja_node *parse_generation(struct jinja_parser *parser, struct jinja_node *node)
{
    node->kind = JINJA_NODE_GENERATION;
    parser->template->has_generation = true;
    node->set.body = parse_closed_body(parser, "endgeneration");
    return node;
}

static struct jinja_node *parse_print(struct jinja_parser *parser, struct jinja_node *node)
{
    struct jinja_node **last = &node->items.first;
    node->kind = JINJA_NODE_PRINT;
    while (parser->token->kind != JINJA_TOKEN_BLOCK_END) {
        if (node->items.count++ > 0) {
            jinja_expect_sign(parser, ",");
        }
        *last = jinja_parse_expression(parser);
        last = &(*last)->next;
    }
    return node;
}

static struct jinja_node *parse_jump(struct jinja_parser *parser, struct jinja_node *node)
{
    node->kind = token_is(parser->token - 1, JINJA_TOKEN_NAME, "break") ? JINJA_NODE_BREAK : JINJA_NODE_CONTINUE;
    if (parser->loops == 0) {
        jinja_fail(parser->arena, "'%s' stands outside of a loop", parser->token[-1].text);
    }
    return node;
}

static struct jinja_node *parse_statement(struct jinja_parser *parser)
{
    static const struct {
        const char *word;
        struct jinja_node *(*parse)(struct jinja_parser *parser, struct jinja_node *node);
    } tags[] = {
        {"if", parse_if},
        {"for", parse_for},
        {"set", parse_set},
        {"macro", parse_macro},
        {"call", parse_call_block},
        {"with", parse_with},
        {"filter", parse_filter_block},
        {"generation", parse_generation},
        {"print", parse_print},
        {"break", parse_jump},
        {"continue", parse_jump},
    };
    struct jinja_node *node = jinja_node_new(parser, JINJA_NODE_PRINT);
    const char *word = jinja_expect_name(parser);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (strcmp(tags[i].word, word) == 0) {
            return tags[i].parse(parser, node);
        }
    }
    jinja_fail(parser->arena, "the tag '%s' is not supported here", word);
}

void jinja_parse(struct jinja_template *template, struct jinja_token *tokens)
{
    static const char *const fixed[JINJA_NAME_FIXED] = {[JINJA_NAME_LOOP] = "loop",
                                                        [JINJA_NAME_VARARGS] = "varargs",
                                                        [JINJA_NAME_KWARGS] = "kwargs",
                                                        [JINJA_NAME_CALLER] = "caller"};
    struct jinja_parser parser = {.arena = &template->arena, .template = template, .token = tokens};
    for (int i = 0; i < JINJA_NAME_FIXED; i++) {
        jinja_name_index(&parser, fixed[i]);
    }
    template->body = parse_statements(&parser, NULL);
    if (parser.unknown) {
        template->arena.line = parser.unknown->line;
        jinja_fail(&template->arena, "the %s '%s' is not supported",
                   parser.unknown->kind == JINJA_NODE_TEST ? "test" : "filter", parser.unknown->call.name);
    }
}
