/* The spans of a rendered chat. */
#include "base/mem.h"
#include "text/chat_template/internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How far from an answer's text its end-of-turn token, and what asked for it, are looked for. */
#define END_BYTES_MAX     16384
#define PROMPT_BYTES_MAX  8192
#define PROMPT_PIECES_MAX 16

/* How a template asks for an answer. */
struct chat_prompt {
    struct jinja_output asked; /* a user's message, with add_generation_prompt */
    size_t start;  /* in its text: where what asks for the answer begins; at the end where there is nothing */
    char *heading; /* without a generation prompt: the words before an answer, NULL: none */
    size_t heading_length;
    bool refused; /* the template does not take the probe, so nothing is known */
};

struct finder {
    const struct jinja_output *rendered;
    const struct chat_renderer *renderer;
    const struct chat_options *options;
    const json_t *messages;
    struct chat_prompt prompt;
    struct chat_span *spans;
    size_t count, capacity;
};

/* ---- which messages train */

static bool trains(const struct finder *finder, int32_t message)
{
    static const char *const assistant[] = {"assistant"};
    const char *const *roles = finder->options->roles ? finder->options->roles : assistant;
    size_t count = finder->options->roles ? finder->options->role_count : 1;
    const char *role = "assistant"; /* of a generation block outside of any message */
    if (message >= 0) {
        role = json_string_value(json_object_get(json_array_get(finder->messages, (size_t)message), "role"));
    }
    for (size_t i = 0; role && i < count; i++) {
        if (strcmp(roles[i], role) == 0) {
            return true;
        }
    }
    return false;
}

static bool any_trains(const struct finder *finder)
{
    for (size_t i = 0; i < json_array_size(finder->messages); i++) {
        if (trains(finder, (int32_t)i)) {
            return true;
        }
    }
    return false;
}

static bool is_assistant(const struct finder *finder, int32_t message)
{
    const char *role = json_string_value(json_object_get(json_array_get(finder->messages, (size_t)message), "role"));
    return role && strcmp(role, "assistant") == 0;
}

/* ---- text and its runs */

static size_t run_start(const struct jinja_output *output, size_t run)
{
    return run > 0 ? output->runs[run - 1].end : 0;
}

/* The run that holds byte `at`, or the number of runs after the last. */
static size_t run_at(const struct jinja_output *output, size_t at)
{
    size_t low = 0, high = output->run_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (output->runs[middle].end <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Whether a run is text that came out of messages, not out of the template. */
static bool is_told(struct jinja_origin origin)
{
    return origin.source == JINJA_CONTENT || origin.source == JINJA_HEADER;
}

/* Whether a run belongs to another message than `message`, by what it holds or by the turn it was written in. */
static bool is_of_another(struct jinja_origin origin, int32_t message)
{
    return (origin.message >= 0 && origin.message != message) || (origin.turn >= 0 && origin.turn != message);
}

/* Whether a run is what a message says, in its own turn; quoted in another's, it is not what that one's author wrote.
 */
static bool is_core(struct jinja_origin origin)
{
    return origin.source == JINJA_CONTENT && !is_of_another(origin, origin.message);
}

static size_t find_text(const struct jinja_output *output, size_t from, size_t to, const char *text, size_t length)
{
    const char *found = memmem(output->text.data + from, to - from, text, length);
    return found ? (size_t)(found - output->text.data) : SIZE_MAX;
}

/* The last occurrence in from..to. */
static size_t find_last_text(const struct jinja_output *output, size_t from, size_t to, const char *text, size_t length)
{
    for (size_t at = to >= length ? to - length + 1 : 0; at-- > from;) {
        if (memcmp(output->text.data + at, text, length) == 0) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* ---- the end of a turn */

/* Length of a word in angle brackets, like <end_of_turn>, </s> and <|im_end|>, at the start of the text; 0: none. */
static size_t bracketed_word(const char *text, size_t length)
{
    if (length < 3 || text[0] != '<') {
        return 0;
    }
    for (size_t i = 1; i < length && !strchr(" \t\r\n<", text[i]); i++) {
        if (text[i] == '>') {
            return i > 1 ? i + 1 : 0;
        }
    }
    return 0;
}

/* Length of the longest special token at the start of the text, 0: none. */
static size_t special_token(const struct chat_options *options, const char *text, size_t length)
{
    size_t longest = options->eos_token ? strlen(options->eos_token) : 0;
    if (longest > length || (longest > 0 && memcmp(text, options->eos_token, longest) != 0)) {
        longest = 0;
    }
    for (size_t i = 0; options->special_tokens && i < options->special_token_count; i++) {
        const char *token = options->special_tokens[i];
        if (token[0] != text[0]) {
            continue;
        }
        size_t size = strlen(token);
        if (size > longest && size <= length && memcmp(text, token, size) == 0) {
            longest = size;
        }
    }
    return longest == 0 && !options->special_tokens ? bracketed_word(text, length) : longest;
}

/* Whether a token like </tool_call> or [/THINK] closes what was opened in from..at (as <tool_call> or <tool_call=...>),
 * and so ends no turn. */
static bool closes_tag(const struct jinja_output *output, size_t from, size_t at, size_t length)
{
    const char *token = output->text.data + at;
    char open[64];
    if (length < 4 || length >= sizeof open || token[1] != '/') {
        return false;
    }
    open[0] = token[0];
    memcpy(open + 1, token + 2, length - 3);
    return find_text(output, from, at, open, length - 2) != SIZE_MAX;
}

/* The end of the text that a template writes after a core, up to what belongs to another message. */
static size_t literal_end(const struct jinja_output *output, int32_t message, size_t core_end, bool own_turn)
{
    size_t end = core_end;
    for (size_t run = run_at(output, core_end); run < output->run_count; run++) {
        struct jinja_origin origin = output->runs[run].origin;
        if (is_told(origin) || is_of_another(origin, message) || (own_turn && origin.turn != message)) {
            break;
        }
        end = output->runs[run].end;
    }
    return end;
}

/*
 * Sets span->end and ->closed for the turn whose core ends at `core_end`: after its end-of-turn token. Where there is
 * none, the literal text of the turn still belongs to it (it closes what the answer opened), but not the blanks at its
 * end.
 */
static void end_turn(const struct finder *finder, struct chat_span *span, size_t core_end)
{
    const struct jinja_output *output = finder->rendered;
    size_t limit = literal_end(output, span->message, core_end, false);
    if (limit - core_end > END_BYTES_MAX) {
        limit = core_end + END_BYTES_MAX;
    }
    for (size_t at = core_end; at < limit; at++) {
        size_t length = special_token(finder->options, output->text.data + at, limit - at);
        if (length == 0 || closes_tag(output, span->start, at, length)) {
            continue;
        }
        at += length;
        /* <|tool_calls_end|><|end_of_sentence|>: what follows at once in the same turn. */
        while (at < limit && output->runs[run_at(output, at)].origin.turn == span->message &&
               (length = special_token(finder->options, output->text.data + at, limit - at)) > 0) {
            at += length;
        }
        span->end = at;
        span->closed = true;
        return;
    }
    span->end = literal_end(output, span->message, core_end, true);
    while (span->end > core_end && strchr(" \t\n", output->text.data[span->end - 1])) {
        span->end--;
    }
}

/* ---- what asks for an answer */

static json_t *probe_messages(bool with_answer, struct err *err)
{
    json_t *probe = with_answer ? json_pack("[{s:s,s:s},{s:s,s:s}]", "role", "user", "content", "question", "role",
                                            "assistant", "content", "answer")
                                : json_pack("[{s:s,s:s}]", "role", "user", "content", "question");
    if (!probe) {
        err_set(err, "out of memory while preparing a chat");
    }
    return probe;
}

/* Renders a probe. A template may refuse it (it asks for a system message, say): then *out is empty. */
static int render_probe(const struct finder *finder, bool with_answer, bool add_generation_prompt,
                        struct jinja_output *out, struct err *err)
{
    struct err refused = {0};
    json_t *probe = probe_messages(with_answer, err);
    *out = (struct jinja_output){0};
    if (!probe) {
        return -1;
    }
    long failures = mem_failures();
    int result = finder->renderer->render(finder->renderer, probe, add_generation_prompt, out, &refused);
    json_decref(probe);
    if (result == 0 || mem_failures() == failures) {
        return 0;
    }
    jinja_output_free(out);
    return err_set(err, "%s", refused.text);
}

/* Where the rendering with a generation prompt begins to differ from the one without, run by run. */
static size_t first_difference(const struct jinja_output *asked, const struct jinja_output *plain)
{
    for (size_t run = 0; run < asked->run_count; run++) {
        size_t start = run_start(asked, run), end = asked->runs[run].end;
        if (run == plain->run_count) {
            return start;
        }
        struct jinja_origin a = asked->runs[run].origin, b = plain->runs[run].origin;
        bool same =
            end <= plain->text.length && memcmp(asked->text.data + start, plain->text.data + start, end - start) == 0;
        if (a.source != b.source || a.place != b.place || !same) {
            return start;
        }
    }
    return asked->text.length;
}

static bool has_word(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z') {
            return true;
        }
    }
    return false;
}

/* The literal text with words before a plain answer, in its turn, as prompt->heading. */
static int learn_heading(struct finder *finder, struct err *err)
{
    struct jinja_output answered;
    if (render_probe(finder, true, false, &answered, err) != 0) {
        return -1;
    }
    size_t run = 0, start = SIZE_MAX;
    for (; run < answered.run_count; run++) {
        struct jinja_origin origin = answered.runs[run].origin;
        if (origin.source == JINJA_CONTENT && origin.message == 1) {
            break;
        }
        bool in_turn = origin.turn == 1;
        if (in_turn && start == SIZE_MAX) {
            start = run_start(&answered, run);
        } else if (is_told(origin) && !in_turn) {
            start = SIZE_MAX;
        }
    }
    int result = 0;
    finder->prompt.refused = run == answered.run_count; /* or the template asks for another form of content */
    size_t end = run < answered.run_count ? run_start(&answered, run) : 0;
    if (start < end && has_word(answered.text.data + start, end - start)) {
        finder->prompt.heading_length = end - start;
        finder->prompt.heading = mem_copy_string(answered.text.data + start, end - start, err);
        result = finder->prompt.heading ? 0 : -1;
    }
    jinja_output_free(&answered);
    return result;
}

static int learn_prompt(struct finder *finder, struct err *err)
{
    struct chat_prompt *prompt = &finder->prompt;
    struct jinja_output plain;
    if (render_probe(finder, false, true, &prompt->asked, err) != 0) {
        return -1;
    }
    if (render_probe(finder, false, false, &plain, err) != 0) {
        return -1;
    }
    prompt->start = first_difference(&prompt->asked, &plain);
    jinja_output_free(&plain);
    return prompt->start < prompt->asked.text.length ? 0 : learn_heading(finder, err);
}

/*
 * Where what asks for the answer ends, in the bytes from..core-1 before an answer; SIZE_MAX: it is not there. Where
 * only its first literals stand (it also opens a thought, say, and this turn has none), after those; at last without
 * the white space at its end ("assistant\n" where the turn goes on as "assistant<tool_call>").
 */
static size_t prompt_end(const struct finder *finder, size_t from, size_t core)
{
    const struct jinja_output *output = finder->rendered, *asked = &finder->prompt.asked;
    size_t prompt = finder->prompt.start;
    const char *text = asked->text.data + prompt;
    size_t pieces = 0;
    for (size_t run = asked->run_count; run-- > 0 && asked->runs[run].end > prompt && pieces < PROMPT_PIECES_MAX;
         pieces++) {
        size_t length = asked->runs[run].end - prompt;
        size_t at = find_last_text(output, from, core, text, length);
        if (at != SIZE_MAX) {
            return at + length;
        }
    }
    size_t words = asked->text.length - prompt;
    while (words > 0 && strchr(" \n", text[words - 1])) {
        words--;
    }
    size_t at = words > 0 ? find_last_text(output, from, core, text, words) : SIZE_MAX;
    return at == SIZE_MAX ? SIZE_MAX : at + words;
}

/* Where the trained bytes start whose core starts at `core`. */
static size_t turn_start(const struct finder *finder, int32_t message, size_t core)
{
    const struct jinja_output *output = finder->rendered;
    const struct chat_prompt *prompt = &finder->prompt;
    size_t first = core, own = core; /* starts of the text before it: any, and of the same turn */
    for (size_t run = run_at(output, core); run-- > 0 && core - first < PROMPT_BYTES_MAX;) {
        struct jinja_origin origin = output->runs[run].origin;
        if (is_told(origin) && is_of_another(origin, message)) {
            break;
        }
        first = run_start(output, run);
        if (origin.turn == message && own == output->runs[run].end) {
            own = first;
        }
    }
    if (prompt->start < prompt->asked.text.length) {
        size_t end = prompt_end(finder, first, core);
        return end == SIZE_MAX ? core : end;
    }
    /* No generation prompt: the model writes the whole turn, except for its heading. */
    if (!prompt->heading) {
        return prompt->refused ? core : own;
    }
    size_t at = find_text(output, own, core, prompt->heading, prompt->heading_length);
    return at == SIZE_MAX ? core : at + prompt->heading_length;
}

/* ---- collecting */

static int add_span(struct finder *finder, struct chat_span span, struct err *err)
{
    struct chat_span *spans = mem_grow(finder->spans, &finder->capacity, finder->count + 1, sizeof *spans, err);
    if (!spans) {
        return -1;
    }
    finder->spans = spans;
    finder->spans[finder->count++] = span;
    return 0;
}

/* Whether a message's spans come from the origins of its bytes: it trains, and not by generation blocks. */
static bool trains_by_origin(const struct finder *finder, int32_t message)
{
    return trains(finder, message) &&
           !(jinja_has_generation(finder->renderer->template) && is_assistant(finder, message));
}

static int add_core(struct finder *finder, int32_t message, size_t start, size_t end, struct err *err)
{
    if (message < 0 || !trains_by_origin(finder, message)) {
        return 0;
    }
    struct chat_span span = {.message = message};
    span.start = turn_start(finder, message, start);
    end_turn(finder, &span, end);
    return add_span(finder, span, err);
}

static int add_cores(struct finder *finder, struct err *err)
{
    const struct jinja_output *output = finder->rendered;
    int32_t message = -1; /* whose core is open */
    size_t start = 0, end = 0;
    for (size_t run = 0; run < output->run_count; run++) {
        struct jinja_origin origin = output->runs[run].origin;
        bool core = is_core(origin);
        if (message >= 0 && is_of_another(origin, message)) {
            if (add_core(finder, message, start, end, err) != 0) {
                return -1;
            }
            message = -1;
        }
        if (core && message < 0) {
            message = origin.message;
            start = run_start(output, run);
        }
        if (core) {
            end = output->runs[run].end;
        }
    }
    return add_core(finder, message, start, end, err);
}

/* A turn without any text of its message, runs from..to-1: what trains is the token that ends it. */
static int add_empty_turn(struct finder *finder, int32_t message, size_t from, size_t to, struct err *err)
{
    const struct jinja_output *output = finder->rendered;
    for (size_t run = from; run < to; run++) {
        if (is_core(output->runs[run].origin)) {
            return 0;
        }
    }
    if (message < 0 || !trains_by_origin(finder, message)) {
        return 0;
    }
    struct chat_span span = {.message = message};
    span.start = turn_start(finder, message, output->runs[to - 1].end);
    end_turn(finder, &span, span.start);
    return span.closed ? add_span(finder, span, err) : 0;
}

static int add_empty_turns(struct finder *finder, struct err *err)
{
    const struct jinja_output *output = finder->rendered;
    for (size_t from = 0, to = 0; from < output->run_count; from = to) {
        int32_t turn = output->runs[from].origin.turn;
        while (to < output->run_count && output->runs[to].origin.turn == turn) {
            to++;
        }
        if (add_empty_turn(finder, turn, from, to, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The message of a generation block that was written outside of a loop over messages: that of its first bytes that have
 * one. */
static int32_t block_message(const struct finder *finder, const struct jinja_generation *block)
{
    const struct jinja_output *output = finder->rendered;
    if (block->message >= 0) {
        return block->message;
    }
    for (size_t run = run_at(output, block->start); run < output->run_count && run_start(output, run) < block->end;
         run++) {
        if (is_told(output->runs[run].origin)) {
            return output->runs[run].origin.message;
        }
    }
    return -1;
}

static int add_blocks(struct finder *finder, struct err *err)
{
    for (size_t i = 0; i < finder->rendered->generation_count; i++) {
        const struct jinja_generation *block = &finder->rendered->generations[i];
        int32_t message = block_message(finder, block);
        struct chat_span span = {block->start, block->end, message, true};
        if (trains(finder, message) && (message < 0 || is_assistant(finder, message)) &&
            add_span(finder, span, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_spans(const void *a, const void *b)
{
    const struct chat_span *left = a, *right = b;
    if (left->start != right->start) {
        return left->start < right->start ? -1 : 1;
    }
    return (left->end > right->end) - (left->end < right->end);
}

/* Puts the spans in order, cuts what overlaps and drops what is empty. */
static void tidy_spans(struct finder *finder)
{
    size_t count = 0, last_end = 0;
    if (finder->count > 1) {
        qsort(finder->spans, finder->count, sizeof *finder->spans, compare_spans);
    }
    for (size_t i = 0; i < finder->count; i++) {
        struct chat_span span = finder->spans[i];
        if (span.start < last_end) {
            span.start = last_end;
        }
        if (span.start >= span.end) {
            continue;
        }
        last_end = span.end;
        finder->spans[count++] = span;
    }
    finder->count = count;
}

int chat_find_spans(struct chat_text *out, const struct jinja_output *rendered, const struct chat_renderer *renderer,
                    const json_t *messages, struct err *err)
{
    struct finder finder = {
        .rendered = rendered, .renderer = renderer, .options = renderer->options, .messages = messages};
    int result = 0;
    if (any_trains(&finder)) {
        result = learn_prompt(&finder, err);
    }
    if (result == 0) {
        result = add_cores(&finder, err);
    }
    if (result == 0) {
        result = add_empty_turns(&finder, err);
    }
    if (result == 0) {
        result = add_blocks(&finder, err);
    }
    tidy_spans(&finder);
    jinja_output_free(&finder.prompt.asked);
    mem_free(finder.prompt.heading);
    if (result != 0) {
        mem_free(finder.spans);
        return -1;
    }
    out->spans = finder.spans;
    out->span_count = finder.count;
    return 0;
}
