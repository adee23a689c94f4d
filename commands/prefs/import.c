/* attune prefs import: records of a data set into the database. */
#include "base/args.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/prefs/command.h"
#include "prefs-db/labelling.h"
#include "text/data/preference.h"

#include <stdio.h>
#include <string.h>

/* Keys are hashes, so a commit rewrites index pages all over the file: few large commits are many times faster. */
#define BATCH_RECORDS   20000
#define UPDATE_RECORDS  500
#define REJECTS_PRINTED 20

_Static_assert(PREFERENCE_ANSWERS_MAX == PREFS_ANSWERS_MAX, "a record fits an item");

enum import_as { AS_LABELS, AS_ITEMS, AS_BOTH };

struct import {
    struct prefs *store;
    int64_t project, batch, annotator;
    enum import_as as;
    int64_t records, items, labels, known, rejected;
    struct progress progress;
    struct file_writer *rejects; /* NULL: not asked for, or failed */
};

static bool has_label(const struct preference *record)
{
    int ranked = 0;
    for (size_t i = 0; i < record->count; i++) {
        ranked += record->answers[i].rank > 0;
    }
    return record->count == 1 ? record->thumb != 0 : ranked >= 2;
}

/* The named annotator of the record, or the one that stands for the whole file. */
static int find_annotator(struct import *import, const struct preference *record, int64_t *annotator, struct err *err)
{
    struct prefs_annotator there;
    *annotator = import->annotator;
    if (record->annotator == NULL) {
        return 0;
    }
    if (prefs_find_annotator(import->store, record->annotator, &there, err) == 0) {
        *annotator = there.id;
        return 0;
    }
    return prefs_add_annotator(import->store, record->annotator, PREFS_ROLE_IMPORT, annotator, err);
}

static int add_label(struct import *import, const struct preference *record, int64_t item, const int *slots,
                     bool *added, struct err *err)
{
    int ranks[PREFS_ANSWERS_MAX] = {0};
    int64_t annotator = 0;
    for (size_t i = 0; i < record->count; i++) {
        ranks[slots[i]] = record->answers[i].rank;
    }
    int result = find_annotator(import, record, &annotator, err);
    return result != 0
               ? result
               : prefs_add_label(import->store, item, annotator, ranks, record->strength, record->thumb, added, err);
}

static int add_record(struct import *import, const struct preference *record, struct err *err)
{
    struct prefs_new_item item = {.project = import->project, .count = record->count};
    bool labelled = has_label(record) && import->as != AS_ITEMS;
    item.state = labelled && import->as == AS_LABELS ? PREFS_CLOSED : PREFS_OPEN;
    char *messages = json_dumps(record->messages, JSON_COMPACT);
    if (messages == NULL) {
        return err_set(err, "out of memory for a prompt");
    }
    int result = prefs_add_prompt(import->store, messages, record->lang, import->batch, &item.prompt, err);
    mem_free(messages);
    for (size_t i = 0; result == 0 && i < record->count; i++) {
        result = prefs_add_answer(import->store, item.prompt, record->answers[i].text, record->answers[i].length,
                                  &item.answers[i], err);
        if (result == 0) {
            result = prefs_add_model(import->store, record->answers[i].model, &item.models[i], err);
        }
    }
    int slots[PREFS_ANSWERS_MAX];
    bool new_item = false, new_label = false;
    int64_t id = 0;
    if (result == 0) {
        result = prefs_add_item(import->store, &item, &id, slots, &new_item, err);
    }
    if (result == 0 && labelled) {
        result = add_label(import, record, id, slots, &new_label, err);
    }
    if (result == 0) {
        import->items += new_item;
        import->labels += new_label;
        import->known += !new_item && !new_label;
    }
    return result;
}

/* The reason stands in *err. */
static int report_reject(struct import *import, struct err *err)
{
    import->rejected++;
    if (import->rejected <= REJECTS_PRINTED) {
        log_warn("left out: %s", err->text);
    } else if (import->rejected == REJECTS_PRINTED + 1) {
        log_warn("more records are left out; --rejects FILE lists them all");
    }
    if (import->rejects == NULL) {
        return 0;
    }
    size_t length = strlen(err->text);
    if (file_write(import->rejects, err->text, length, err) == 0 && file_write(import->rejects, "\n", 1, err) == 0) {
        return 0;
    }
    file_write_abort(import->rejects);
    import->rejects = NULL;
    return -1;
}

static int commit_batch(struct import *import, struct err *err)
{
    return prefs_batch_commit(import->store, err) != 0 || prefs_batch_begin(import->store, err) != 0 ? -1 : 0;
}

/* Every record of the file. The caller's batch is open before and after; on failure it is to be rolled back. */
static int import_records(struct import *import, struct preference_reader *reader, const char *path, struct err *err)
{
    const struct preference *record = NULL;
    int got;
    char note[64];
    while ((got = preference_next(reader, &record, err)) != PREFERENCE_END) {
        if (got < 0) {
            return -1;
        }
        import->records++;
        if (got == PREFERENCE_RECORD) {
            int result = add_record(import, record, err);
            if (result == PREFS_REFUSED) {
                err_prefix(err, "%s:%lld", path, (long long)record->line);
                result = report_reject(import, err);
            }
            if (result != 0) {
                return -1;
            }
        } else if (report_reject(import, err) != 0) {
            return -1;
        }
        if (import->records % UPDATE_RECORDS == 0) {
            snprintf(note, sizeof note, "%lld rejected", (long long)import->rejected);
            progress_update(&import->progress, import->records, note);
        }
        if (import->records % BATCH_RECORDS == 0 && commit_batch(import, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int run_import(struct import *import, struct preference_reader *reader, const char *path, struct err *err)
{
    if (prefs_batch_begin(import->store, err) != 0) {
        return -1;
    }
    if (prefs_import_begin(import->store, path, &import->batch, err) != 0) {
        prefs_batch_rollback(import->store);
        return -1;
    }
    progress_begin(&import->progress, "importing", 0);
    int result = import_records(import, reader, path, err);
    progress_end(&import->progress);
    if (result == 0) {
        result =
            prefs_import_done(import->store, import->batch, preference_format_name(preference_reader_format(reader)),
                              import->records, import->items + import->labels, import->rejected, err);
    }
    if (result != 0) {
        prefs_batch_rollback(import->store);
        return -1;
    }
    return prefs_batch_commit(import->store, err);
}

static int import_file(struct import *import, const char *path, enum preference_format format, const char *handle)
{
    struct err err;
    struct preference_reader *reader = NULL;
    struct prefs_annotator there;
    int result = prefs_find_annotator(import->store, handle, &there, &err);
    if (result == 0) {
        import->annotator = there.id;
    } else if (result == PREFS_REFUSED) {
        result = prefs_add_annotator(import->store, handle, PREFS_ROLE_IMPORT, &import->annotator, &err);
    }
    if (result != 0 || preference_open(&reader, path, format, &err) != 0) {
        return prefs_fail(&err);
    }
    result = run_import(import, reader, path, &err);
    format = preference_reader_format(reader);
    preference_close(reader);
    if (result != 0) {
        prefs_fail(&err);
        fprintf(stderr, "What was read before is kept; running the import again adds only the rest.\n");
        return ARGS_FAILURE;
    }
    printf("%s: format %s, %lld records: %lld new items, %lld new labels, %lld known already, %lld left out\n", path,
           preference_format_name(format), (long long)import->records, (long long)import->items,
           (long long)import->labels, (long long)import->known, (long long)import->rejected);
    if (import->records > 0 && import->rejected == import->records) {
        fprintf(stderr, "attune prefs: every record was left out\n");
        return ARGS_FAILURE;
    }
    return 0;
}

int prefs_command_import(int argc, char **argv)
{
    static const char *const uses[] = {"labels", "items", "both", NULL}; /* enum import_as */
    const char *path = NULL, *file = NULL, *format_name = "auto", *project = NULL, *handle = "import", *rejects = NULL;
    int as = 0;
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &path},
        {.name = "FILE", .help = "the data set", .text = &file},
    };
    const struct args_option options[] = {
        {.name = "format",
         .argument = "NAME",
         .help = "auto, trl, trl-implicit, sharegpt, hh, oasst, tldr, ultrafeedback, kto or pairs",
         .text = &format_name},
        {.name = "as",
         .argument = "labels|items|both",
         .help = "keep the file's labels (the default), or ask annotators about its answers, or both",
         .choice = &as,
         .choices = uses},
        {.name = "annotator",
         .argument = "NAME",
         .help = "who made the labels of a file that does not say (default: import)",
         .text = &handle},
        {.name = "rejects",
         .argument = "FILE",
         .help = "write the records that were left out, with reasons",
         .text = &rejects},
        {.name = "project", .argument = "NAME", .help = "the project the items belong to", .text = &project},
    };
    const struct args_command command = {
        .name = "attune prefs import",
        .summary =
            "Reads a .json or .jsonl file, plain or gzip. A record that is in the database already adds nothing, so "
            "a file can be imported again, also after an interruption. Records that cannot be used are listed and "
            "left out.",
        .operands = operands,
        .operand_count = sizeof operands / sizeof *operands,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct import import = {.as = (enum import_as)as};
    enum preference_format format = PREFERENCE_AUTO;
    struct err err;
    if (preference_format_find(&format, format_name, &err) != 0) {
        prefs_fail(&err);
        return ARGS_USAGE;
    }
    status = prefs_open_project(&import.store, path, PREFS_WRITE, project, &import.project);
    if (status >= 0) {
        return status;
    }
    struct file_writer writer;
    if (rejects != NULL && file_write_begin(&writer, rejects, &err) != 0) {
        prefs_close(import.store);
        return prefs_fail(&err);
    }
    import.rejects = rejects != NULL ? &writer : NULL;
    status = import_file(&import, file, format, handle);
    if (import.rejects != NULL && file_write_commit(&writer, &err) != 0) {
        file_write_abort(&writer);
        status = status == 0 ? prefs_fail(&err) : status;
    }
    prefs_close(import.store);
    return status;
}
