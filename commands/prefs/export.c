/* attune prefs export: labels as JSON lines. */
#include "base/args.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/prefs/command.h"
#include "prefs-db/rankings.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HANDLES_MAX  64
#define WRITE_AT     ((size_t)1 << 16)

struct preference_export {
    struct strbuf line;
    json_t *messages; /* of the prompt at hand */
    int64_t written, left_out;
};

static void put_member(struct strbuf *out, const char *before, const char *text, size_t length)
{
    strbuf_puts(out, before);
    strbuf_put_json(out, text, length);
}

/* [{"role":"assistant","content":"..."}] */
static void put_answer_list(struct strbuf *out, const char *before, const struct prefs_ranked_answer *answer)
{
    strbuf_puts(out, before);
    put_member(out, "[{\"role\":\"assistant\",\"content\":", answer->text, answer->length);
    strbuf_puts(out, "}]");
}

/* The prompt's messages with the answer after them. */
static void put_conversation(struct strbuf *out, const char *before, const char *messages,
                             const struct prefs_ranked_answer *answer)
{
    strbuf_puts(out, before);
    strbuf_append(out, messages, strlen(messages) - 1); /* without the closing bracket */
    put_member(out, ",{\"role\":\"assistant\",\"content\":", answer->text, answer->length);
    strbuf_puts(out, "}]");
}

static bool write_trl(struct preference_export *export, const struct prefs_pair *pair)
{
    strbuf_printf(&export->line, "{\"prompt\":%s", pair->ranking->messages);
    put_answer_list(&export->line, ",\"chosen\":", pair->chosen);
    put_answer_list(&export->line, ",\"rejected\":", pair->rejected);
    strbuf_puts(&export->line, "}\n");
    return true;
}

static bool write_trl_implicit(struct preference_export *export, const struct prefs_pair *pair)
{
    put_conversation(&export->line, "{\"chosen\":", pair->ranking->messages, pair->chosen);
    put_conversation(&export->line, ",\"rejected\":", pair->ranking->messages, pair->rejected);
    strbuf_puts(&export->line, "}\n");
    return true;
}

static bool has_marker(const char *text)
{
    return strstr(text, "\n\nHuman:") != NULL || strstr(text, "\n\nAssistant:") != NULL;
}

/* The transcript of the prompt; false where a role or a text has no place in one. */
static bool make_transcript(struct strbuf *out, const json_t *messages)
{
    size_t i;
    const json_t *message;
    json_array_foreach(messages, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *content = json_string_value(json_object_get(message, "content"));
        bool user = strcmp(role, "user") == 0;
        if ((!user && strcmp(role, "assistant") != 0) || (i == 0 && !user) || has_marker(content)) {
            return false;
        }
        strbuf_printf(out, "\n\n%s: %s", user ? "Human" : "Assistant", content);
    }
    strbuf_puts(out, "\n\nAssistant: ");
    return true;
}

static bool write_hh(struct preference_export *export, const struct prefs_pair *pair)
{
    struct strbuf chosen = {0}, rejected = {0};
    bool fits = make_transcript(&chosen, export->messages) && !has_marker(pair->chosen->text) &&
                !has_marker(pair->rejected->text);
    if (fits) {
        strbuf_append(&rejected, chosen.data, chosen.length);
        strbuf_append(&chosen, pair->chosen->text, pair->chosen->length);
        strbuf_append(&rejected, pair->rejected->text, pair->rejected->length);
        put_member(&export->line, "{\"chosen\":", strbuf_text(&chosen), chosen.length);
        put_member(&export->line, ",\"rejected\":", strbuf_text(&rejected), rejected.length);
        strbuf_puts(&export->line, "}\n");
        export->line.failed = export->line.failed || chosen.failed || rejected.failed;
    }
    strbuf_free(&chosen);
    strbuf_free(&rejected);
    return fits;
}

static bool write_pairs(struct preference_export *export, const struct prefs_pair *pair)
{
    const struct prefs_ranking *ranking = pair->ranking;
    strbuf_printf(&export->line, "{\"prompt\":%s", ranking->messages);
    put_member(&export->line, ",\"chosen\":", pair->chosen->text, pair->chosen->length);
    put_member(&export->line, ",\"rejected\":", pair->rejected->text, pair->rejected->length);
    strbuf_printf(&export->line, ",\"tie\":%s,\"rank_gap\":%d", pair->tie ? "true" : "false", pair->rank_gap);
    if (ranking->strength >= 0) {
        strbuf_printf(&export->line, ",\"strength\":%d", ranking->strength);
    }
    if (ranking->lang != NULL) {
        put_member(&export->line, ",\"lang\":", ranking->lang, strlen(ranking->lang));
    }
    put_member(&export->line, ",\"annotator\":", ranking->handle, strlen(ranking->handle));
    strbuf_printf(&export->line, ",\"judgment\":%lld,\"split\":\"%s\"}\n", (long long)ranking->judgment,
                  ranking->split);
    return true;
}

static bool write_kto(struct preference_export *export, const struct prefs_ranking *ranking)
{
    if (ranking->count != 1) {
        return false;
    }
    strbuf_printf(&export->line, "{\"prompt\":%s", ranking->messages);
    put_answer_list(&export->line, ",\"completion\":", &ranking->answers[0]);
    strbuf_printf(&export->line, ",\"label\":%s}\n", ranking->thumb > 0 ? "true" : "false");
    return true;
}

/* {"message_id","text","role","lang" of one message of the path to the answers; ids are made of the judgment's. */
static void put_node(struct preference_export *export, const struct prefs_ranking *ranking, size_t turn, bool asks,
                     const char *text, size_t length)
{
    strbuf_printf(&export->line, "{\"message_id\":\"judgment-%lld-%zu\"", (long long)ranking->judgment, turn);
    put_member(&export->line, ",\"text\":", text, length);
    strbuf_printf(&export->line, ",\"role\":\"%s\"", asks ? "prompter" : "assistant");
    if (ranking->lang != NULL) {
        put_member(&export->line, ",\"lang\":", ranking->lang, strlen(ranking->lang));
    }
}

/* Roles of a tree alternate from the prompter to the prompter. */
static bool fits_tree(const struct prefs_ranking *ranking, const json_t *messages)
{
    size_t count = json_array_size(messages);
    for (size_t i = 0; i < count; i++) {
        const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
        if (strcmp(role, i % 2 == 0 ? "user" : "assistant") != 0) {
            return false;
        }
    }
    return count % 2 == 1 && ranking->count >= 2;
}

static bool write_oasst(struct preference_export *export, const struct prefs_ranking *ranking)
{
    if (!fits_tree(ranking, export->messages)) {
        return false;
    }
    strbuf_printf(&export->line,
                  "{\"message_tree_id\":\"judgment-%lld\",\"tree_state\":\"ready_for_export\",\"prompt\":",
                  (long long)ranking->judgment);
    size_t turns = json_array_size(export->messages);
    for (size_t i = 0; i < turns; i++) {
        const json_t *content = json_object_get(json_array_get(export->messages, i), "content");
        put_node(export, ranking, i, i % 2 == 0, json_string_value(content), json_string_length(content));
        strbuf_puts(&export->line, ",\"replies\":[");
    }
    for (size_t s = 0; s < ranking->count; s++) {
        strbuf_puts(&export->line, s > 0 ? "," : "");
        put_node(export, ranking, turns + s, false, ranking->answers[s].text, ranking->answers[s].length);
        if (ranking->answers[s].rank > 0) {
            strbuf_printf(&export->line, ",\"rank\":%d", ranking->answers[s].rank - 1);
        }
        strbuf_puts(&export->line, ",\"replies\":[]}");
    }
    for (size_t i = 0; i < turns; i++) {
        strbuf_puts(&export->line, "]}");
    }
    strbuf_puts(&export->line, "}\n");
    return true;
}

static const struct export_format {
    const char *name;
    bool (*pair)(struct preference_export *export, const struct prefs_pair *pair);          /* one line a pair, */
    bool (*ranking)(struct preference_export *export, const struct prefs_ranking *ranking); /* or one a ranking */
    bool with_ties;
} formats[] = {
    {"trl", write_trl, NULL, false}, {"trl-implicit", write_trl_implicit, NULL, false},
    {"hh", write_hh, NULL, false},   {"oasst", NULL, write_oasst, true},
    {"kto", NULL, write_kto, true},  {"pairs", write_pairs, NULL, true},
};

/* Every item with its answers and their ids, judged or not: for 'gold add' and 'scores'. */
static int write_answers(struct preference_export *export, struct prefs *store, int64_t project,
                         struct file_writer *writer, struct err *err)
{
    struct prefs_item_view view = {0};
    int got;
    while ((got = prefs_next_item(store, project, view.item, &view, err)) == 1) {
        strbuf_clear(&export->line);
        strbuf_printf(&export->line, "{\"item\":%lld,\"state\":\"%s\",\"prompt\":%s,\"answers\":[",
                      (long long)view.item, view.state, strbuf_text(&view.messages));
        for (size_t i = 0; i < view.count; i++) {
            strbuf_printf(&export->line, "%s{\"answer\":%lld", i > 0 ? "," : "", (long long)view.answers[i]);
            put_member(&export->line, ",\"text\":", view.texts.data + view.starts[i],
                       strlen(view.texts.data + view.starts[i]));
            strbuf_putc(&export->line, '}');
        }
        strbuf_puts(&export->line, "]}\n");
        export->written++;
        if (strbuf_check(&export->line, err) != 0 ||
            file_write(writer, export->line.data, export->line.length, err) != 0) {
            got = -1;
            break;
        }
    }
    prefs_item_view_free(&view);
    return got;
}

static int set_messages(struct preference_export *export, const struct prefs_ranking *ranking, struct err *err)
{
    json_decref(export->messages);
    export->messages = json_read_text(ranking->messages, strlen(ranking->messages), "a prompt in the database", err);
    return export->messages == NULL ? -1 : 0;
}

static int write_lines(struct preference_export *export, struct prefs_rankings *rankings,
                       const struct export_format *format, struct file_writer *writer, struct err *err)
{
    struct prefs_pair pair;
    int got;
    while ((got = format->pair != NULL ? prefs_rankings_next_pair(rankings, &pair, err)
                                       : prefs_rankings_next(rankings, &pair.ranking, err)) == 1) {
        if (set_messages(export, pair.ranking, err) != 0) {
            return -1;
        }
        bool written = format->pair == NULL ? format->ranking(export, pair.ranking)
                                            : (format->with_ties || !pair.tie) && format->pair(export, &pair);
        export->written += written;
        export->left_out += !written;
        if (export->line.length >= WRITE_AT) {
            if (strbuf_check(&export->line, err) != 0 ||
                file_write(writer, export->line.data, export->line.length, err) != 0) {
                return -1;
            }
            strbuf_clear(&export->line);
        }
    }
    return got < 0 || strbuf_check(&export->line, err) != 0
               ? -1
               : file_write(writer, strbuf_text(&export->line), export->line.length, err);
}

/* "a,b,c" in place. */
static size_t split_handles(char *list, const char *handles[HANDLES_MAX])
{
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word != NULL && count < HANDLES_MAX;
         word = strtok_r(NULL, ",", &rest)) {
        handles[count++] = word;
    }
    return count;
}

static int export_labels(struct preference_export *export, struct prefs *store, const struct prefs_query *query,
                         const struct export_format *format, struct file_writer *writer, struct err *err)
{
    struct prefs_rankings *rankings = NULL;
    int result = prefs_rankings_open(&rankings, store, query, err);
    if (result == 0) {
        result = write_lines(export, rankings, format, writer, err);
        prefs_rankings_close(rankings);
    }
    return result;
}

/* Standard output is a writer without a file beside it. */
static int export_to(struct preference_export *export, struct prefs *store, const struct prefs_query *query,
                     const struct export_format *format, const char *path, struct err *err)
{
    struct file_writer writer = {.path = "standard output", .stream = stdout};
    if (path != NULL && file_write_begin(&writer, path, err) != 0) {
        return -1;
    }
    int result = format == NULL ? write_answers(export, store, query->project, &writer, err)
                                : export_labels(export, store, query, format, &writer, err);
    if (path == NULL) {
        return result == 0 && fflush(stdout) != 0 ? err_set_errno(err, "cannot write the export") : result;
    }
    if (result == 0) {
        result = file_write_commit(&writer, err);
    }
    if (result != 0) {
        file_write_abort(&writer);
    }
    return result;
}

int prefs_command_export(int argc, char **argv)
{
    static const char *const splits[] = {"train", "valid", "test", NULL};
    const char *names[COUNT(formats) + 2] = {NULL}, *path = NULL, *out = NULL, *project = NULL, *annotators = NULL;
    struct prefs_query query = {0};
    int format_index = -1, split = -1;
    for (size_t i = 0; i < COUNT(formats); i++) {
        names[i] = formats[i].name;
    }
    names[COUNT(formats)] = "answers";
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
    };
    const struct args_option options[] = {
        {.name = "format",
         .argument = "NAME",
         .help = "trl, trl-implicit, hh, oasst, kto, pairs; or answers: all items, with ids",
         .choice = &format_index,
         .choices = names},
        {.name = "out", .argument = "FILE", .help = "where to write (default: standard output)", .text = &out},
        {.name = "split",
         .argument = "NAME",
         .help = "only train, valid or test; a prompt is in one of them",
         .choice = &split,
         .choices = splits},
        {.name = "annotators", .argument = "A,B", .help = "only labels of these", .text = &annotators},
        {.name = "min-agreement",
         .argument = "X",
         .help = "leave out items whose annotators agree less (0 to 1)",
         .real = &query.min_agreement,
         .least = 0,
         .most = 1},
        {.name = "with-gold", .help = "gold items too", .flag = &query.with_gold},
        {.name = "project", .argument = "NAME", .help = "the project to export", .text = &project},
    };
    const struct args_command command = {
        .name = "attune prefs export",
        .summary =
            "Writes labels that count: submitted, not undone, no repeats. Ties go to the formats that have them (oasst "
            "and pairs); rankings become all their pairs in the others. --format is needed.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    if (format_index < 0) {
        fprintf(stderr, "attune prefs export: say which --format\n");
        return ARGS_USAGE;
    }
    const struct export_format *format = format_index < (int)COUNT(formats) ? &formats[format_index] : NULL;
    query.split = split >= 0 ? splits[split] : NULL;
    struct prefs *store = NULL;
    status = prefs_open_project(&store, path, PREFS_READ, project, &query.project);
    if (status >= 0) {
        return status;
    }
    struct err err;
    struct preference_export export = {0};
    const char *handles[HANDLES_MAX];
    char *list = annotators == NULL ? NULL : mem_copy_string(annotators, strlen(annotators), &err);
    int result = annotators != NULL && list == NULL ? -1 : 0;
    if (list != NULL) {
        query.annotators = handles;
        query.annotator_count = split_handles(list, handles);
    }
    if (result == 0) {
        result = export_to(&export, store, &query, format, out, &err);
    }
    if (result == 0) {
        log_info("%lld lines written, %lld left out that the format cannot hold", (long long)export.written,
                 (long long)export.left_out);
    }
    strbuf_free(&export.line);
    json_decref(export.messages);
    mem_free(list);
    prefs_close(store);
    return result != 0 ? prefs_fail(&err) : 0;
}
