/*
 * attune prefs label: the labelling page's work in a terminal, for instance over ssh.
 *
 * A judgment is one line: the answers' letters from best to worst, "=" between equals ("b a=c": b wins, a and c tie; d,
 * not named, stays unranked). For one answer it is "+" or "-". Text of models is printed with control characters made
 * visible, so that it cannot steer the terminal.
 */
#include "base/args.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "commands/prefs/command.h"
#include "prefs-db/labelling.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define LINE_CHARS 4096

struct labelling {
    struct prefs *store;
    int64_t project, annotator;
    struct prefs_settings settings;
    struct prefs_progress progress;
    bool colours;
};

/* Bidi controls, zero-width characters and tags: invisible, and able to make a text read as another. */
static bool is_hidden(int c)
{
    return (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
           c == 0xFEFF || c == 0x061C || (c >= 0xE0000 && c <= 0xE007F);
}

static void print_safely(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        int c = 0;
        size_t size = utf8_read(text + i, length - i, &c);
        if (c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f && !(c >= 0x80 && c < 0xA0) && !is_hidden(c))) {
            fwrite(text + i, 1, size, stdout);
        } else {
            printf("<U+%04X>", (unsigned)(c < 0 ? 0xFFFD : c));
        }
        i += size;
    }
    putchar('\n');
}

static void print_heading(const struct labelling *labelling, const char *text)
{
    printf(labelling->colours ? "\n\033[1m%s\033[0m\n" : "\n== %s\n", text);
}

static int print_task(const struct labelling *labelling, const struct prefs_task *task, struct err *err)
{
    json_t *messages = json_read_text(strbuf_text(&task->messages), task->messages.length, "the prompt", err);
    if (messages == NULL) {
        return -1;
    }
    printf("\n----- %lld judged, %lld remaining -----\n", (long long)labelling->progress.judged,
           (long long)labelling->progress.remaining);
    size_t i;
    const json_t *message;
    json_array_foreach(messages, i, message)
    {
        const json_t *content = json_object_get(message, "content");
        print_heading(labelling, json_string_value(json_object_get(message, "role")));
        print_safely(json_string_value(content), json_string_length(content));
    }
    json_decref(messages);
    for (size_t p = 0; p < task->count; p++) {
        char name[16];
        const char *answer = prefs_task_answer(task, p);
        snprintf(name, sizeof name, "answer %c", (char)('a' + p));
        print_heading(labelling, name);
        print_safely(answer, strlen(answer));
    }
    return 0;
}

/* "b a=c" -> ranks. NULL, or what is wrong with the line. */
static const char *read_ranks(const char *line, size_t count, int ranks[PREFS_ANSWERS_MAX])
{
    int rank = 0;
    bool tie = false;
    memset(ranks, 0, PREFS_ANSWERS_MAX * sizeof *ranks);
    for (const char *c = line; *c != '\0'; c++) {
        if (isspace((unsigned char)*c) || *c == '>') {
            continue;
        }
        if (*c == '=') {
            if (rank == 0) {
                return "an '=' stands between two answers";
            }
            tie = true;
            continue;
        }
        int answer = tolower((unsigned char)*c) - 'a';
        if (answer < 0 || (size_t)answer >= count || ranks[answer] != 0) {
            return "name each answer once by its letter, best first, '=' between equals";
        }
        rank += tie ? 0 : 1;
        tie = false;
        ranks[answer] = rank;
    }
    return tie ? "an '=' stands between two answers" : NULL;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int new_nonce(unsigned char nonce[PREFS_NONCE_SIZE], struct err *err)
{
    return getrandom(nonce, PREFS_NONCE_SIZE, 0) == PREFS_NONCE_SIZE
               ? 0
               : err_set_errno(err, "cannot read random numbers from the system");
}

/* A line of the terminal without its newline: 1, 0 at the end of input. */
static int read_line(const char *prompt, char line[LINE_CHARS])
{
    printf("%s", prompt);
    fflush(stdout);
    if (fgets(line, LINE_CHARS, stdin) == NULL) {
        putchar('\n');
        return 0;
    }
    line[strcspn(line, "\n")] = '\0';
    return 1;
}

static void print_help(const struct labelling *labelling, size_t count)
{
    if (count == 1) {
        printf("+  good      -  bad\n");
    } else {
        printf("b a=c   b is best, a and c are equal; an answer that is not named stays unranked\n");
    }
    printf("s REASON  skip%s    u  undo the last one    g  guidelines    q  quit\n"
           "After a judgment, \"# text\" is a comment%s.\n",
           labelling->settings.allow_skip ? "" : " (not allowed here)",
           count == 2 ? ", and !1 to !4 says how much better" : "");
}

static int print_guidelines(const struct labelling *labelling, struct err *err)
{
    struct strbuf text = {0};
    int64_t version = 0;
    int result = prefs_get_guidelines(labelling->store, labelling->project, &text, &version, err);
    if (result == 0) {
        print_safely(version > 0 ? strbuf_text(&text) : "There are no guidelines.", version > 0 ? text.length : 24);
    }
    strbuf_free(&text);
    return result;
}

/* Takes "# comment" and "!2" off the line. */
static void split_line(char *line, struct prefs_judgment *judgment)
{
    char *comment = strchr(line, '#');
    if (comment != NULL) {
        *comment = '\0';
        judgment->comment = comment + 1 + strspn(comment + 1, " ");
    }
    char *strength = strchr(line, '!');
    judgment->strength = -1;
    if (strength != NULL && strength[1] >= '0' && strength[1] <= '9') {
        judgment->strength = strength[1] - '0';
        strength[0] = strength[1] = ' ';
    }
}

enum step { STEP_AGAIN, STEP_NEXT, STEP_QUIT, STEP_FAILED };

static enum step submit(struct labelling *labelling, const struct prefs_judgment *judgment, struct err *err)
{
    int64_t id = 0;
    int result = prefs_submit(labelling->store, labelling->annotator, judgment, &id, err);
    if (result == PREFS_REFUSED) {
        printf("%s\n", err->text);
        return STEP_AGAIN;
    }
    return result == 0 ? STEP_NEXT : STEP_FAILED;
}

static enum step undo(struct labelling *labelling, struct err *err)
{
    unsigned char nonce[PREFS_NONCE_SIZE];
    int result = new_nonce(nonce, err) != 0 ? -1
                                            : prefs_undo(labelling->store, labelling->project, labelling->annotator,
                                                         nonce, PREFS_CLIENT_TTY, err);
    if (result == 0) {
        printf("There is nothing to undo.\n");
        return STEP_AGAIN;
    }
    return result == 1 ? STEP_NEXT : STEP_FAILED;
}

/* One line of the annotator about the task. */
static enum step take_line(struct labelling *labelling, const struct prefs_task *task, char *line, int64_t started,
                           struct err *err)
{
    struct prefs_judgment judgment = {.assignment = task->assignment, .client = PREFS_CLIENT_TTY};
    const char *word = line + strspn(line, " \t");
    bool command = word[0] != '\0' && (word[1] == '\0' || strncmp(word, "s ", 2) == 0);
    if (word[0] == '\0' || (command && (word[0] == 'h' || word[0] == '?'))) {
        print_help(labelling, task->count);
        return STEP_AGAIN;
    }
    if (command && word[0] == 'q') {
        return STEP_QUIT;
    }
    if (command && word[0] == 'u') {
        return undo(labelling, err);
    }
    if (command && word[0] == 'g') {
        return print_guidelines(labelling, err) == 0 ? STEP_AGAIN : STEP_FAILED;
    }
    if (new_nonce(judgment.nonce, err) != 0) {
        return STEP_FAILED;
    }
    judgment.active_ms = judgment.wall_ms = milliseconds() - started;
    if (command && word[0] == 's') {
        judgment.verdict = PREFS_SKIP;
        judgment.skip_reason = word[1] == '\0' ? "no reason given" : word + 2;
        return submit(labelling, &judgment, err);
    }
    split_line(line, &judgment);
    if (task->count == 1) {
        judgment.thumb = word[0] == '+' ? 1 : word[0] == '-' ? -1 : 0;
        return submit(labelling, &judgment, err);
    }
    const char *wrong = read_ranks(word, task->count, judgment.ranks);
    if (wrong != NULL) {
        printf("%s; '?' helps\n", wrong);
        return STEP_AGAIN;
    }
    return submit(labelling, &judgment, err);
}

static enum step label_one(struct labelling *labelling, struct err *err)
{
    struct prefs_task task = {0};
    char line[LINE_CHARS];
    int got = prefs_get_progress(labelling->store, labelling->project, labelling->annotator, &labelling->progress, err);
    got = got != 0 ? -1 : prefs_next_task(labelling->store, labelling->project, labelling->annotator, &task, err);
    if (got == 0) {
        printf("Nothing is left to label. Thank you.\n");
        return STEP_QUIT;
    }
    if (got < 0 || print_task(labelling, &task, err) != 0) {
        prefs_task_free(&task);
        return STEP_FAILED;
    }
    int64_t started = milliseconds();
    enum step step = STEP_AGAIN;
    while (step == STEP_AGAIN) {
        step = read_line(task.count == 1 ? "+ or - (? helps): " : "best first (? helps): ", line) == 0
                   ? STEP_QUIT
                   : take_line(labelling, &task, line, started, err);
    }
    prefs_task_free(&task);
    return step;
}

int prefs_command_label(int argc, char **argv)
{
    const char *path = NULL, *name = NULL, *project = NULL;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
        {.name = "NAME", .help = "the annotator", .text = &name},
    };
    const struct args_option options[] = {
        {.name = "project", .argument = "NAME", .help = "the project to label", .text = &project},
    };
    const struct args_command command = {
        .name = "attune prefs label",
        .summary =
            "Labels in the terminal as the annotator NAME. A judgment is a line such as \"b a=c\": best first, '=' "
            "between equals; '?' lists what else a line may be.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct labelling labelling = {.colours = log_colours()};
    struct prefs_annotator annotator;
    struct err err;
    status = prefs_open_project(&labelling.store, path, PREFS_WRITE, project, &labelling.project);
    if (status >= 0) {
        return status;
    }
    int result = prefs_find_annotator(labelling.store, name, &annotator, &err);
    result = result != 0 ? result : prefs_get_settings(labelling.store, labelling.project, &labelling.settings, &err);
    enum step step = result != 0 ? STEP_FAILED : STEP_NEXT;
    labelling.annotator = result == 0 ? annotator.id : 0;
    while (step == STEP_NEXT) {
        step = label_one(&labelling, &err);
    }
    prefs_close(labelling.store);
    return step == STEP_FAILED ? prefs_fail(&err) : 0;
}
