/* The part of rankings/source.h that reads a prefs.db, through prefs-db/rankings.h. */
#include "base/mem.h"
#include "prefs-db/rankings.h"
#include "rankings/source.h"

#include <math.h>
#include <string.h>

_Static_assert(PREFS_ANSWERS_MAX == RANKING_ANSWERS_MAX, "a ranking fits a judgment");

struct ranking_prefs {
    struct prefs *store;
    struct prefs_rankings *rankings; /* of the project being read; NULL: the next one is to be opened */
    struct prefs_query query;
    bool all_projects;
    struct strbuf projects; /* 'a', 'b' */
    char *path, *split;
    const char **handles; /* of the entry's annotators; borrows the entry */

    /* Annotators seen, by id. */
    int64_t *annotators;
    size_t annotator_count, annotator_capacity;
};

static const char *const split_names[] = {"train", "valid", "test"};

static int check_split(const struct recipe_dataset *entry, struct err *err)
{
    for (size_t i = 0; entry->split && i < 3; i++) {
        if (strcmp(entry->split, split_names[i]) == 0) {
            return 0;
        }
    }
    return !entry->split ? 0
                         : err_set(err, "%s has no split '%s'; the splits of a prefs.db are train, valid and test",
                                   entry->path, entry->split);
}

static int check_format(const struct recipe_dataset *entry, struct err *err)
{
    const char *format = entry->format;
    if (format && strcmp(format, "prefs") != 0 && strcmp(format, "auto") != 0) {
        return err_set(err, "%s is a prefs.db, and no file of format '%s'; leave format out", entry->path, format);
    }
    return 0;
}

static int open_store(struct ranking_prefs *prefs, const struct recipe_dataset *entry, struct err *err)
{
    prefs->path = mem_copy_string(entry->path, strlen(entry->path), err);
    prefs->split = entry->split ? mem_copy_string(entry->split, strlen(entry->split), err) : NULL;
    if (!prefs->path || (entry->split && !prefs->split) ||
        prefs_open(&prefs->store, entry->path, PREFS_READ, err) != 0) {
        return -1;
    }
    prefs->query = (struct prefs_query){.split = prefs->split, .min_agreement = entry->min_agreement};
    if (entry->annotators.count > 0) {
        prefs->handles = mem_alloc(entry->annotators.count, sizeof *prefs->handles, err);
        if (!prefs->handles) {
            return -1;
        }
        memcpy(prefs->handles, entry->annotators.items, entry->annotators.count * sizeof *prefs->handles);
        prefs->query.annotators = prefs->handles;
        prefs->query.annotator_count = entry->annotators.count;
    }
    prefs->all_projects = !entry->project;
    return prefs->all_projects ? 0 : prefs_find_project(prefs->store, entry->project, &prefs->query.project, err);
}

/* The rankings of the query's project. */
static int open_rankings(struct ranking_prefs *prefs, struct err *err)
{
    strbuf_puts(&prefs->projects, prefs->projects.length > 0 ? ", '" : "'");
    if (prefs_project_name(prefs->store, prefs->query.project, &prefs->projects, err) != 0) {
        return -1;
    }
    strbuf_putc(&prefs->projects, '\'');
    return prefs_rankings_open(&prefs->rankings, prefs->store, &prefs->query, err);
}

/* 1, 0 where there are no more projects, -1. */
static int next_project(struct ranking_prefs *prefs, struct err *err)
{
    prefs_rankings_close(prefs->rankings);
    prefs->rankings = NULL;
    if (!prefs->all_projects) {
        return 0;
    }
    int got = prefs_next_project(prefs->store, prefs->query.project, &prefs->query.project, err);
    if (got == 1) {
        return open_rankings(prefs, err) == 0 ? 1 : -1;
    }
    return got;
}

int ranking_prefs_open(struct ranking_prefs **out, const struct recipe_dataset *entry, struct err *err)
{
    if (check_format(entry, err) != 0 || check_split(entry, err) != 0) {
        return -1;
    }
    struct ranking_prefs *prefs = mem_alloc(1, sizeof *prefs, err);
    if (!prefs) {
        return -1;
    }
    if (open_store(prefs, entry, err) != 0 ||
        (prefs->all_projects ? next_project(prefs, err) < 0 : open_rankings(prefs, err) != 0)) {
        ranking_prefs_close(prefs);
        return -1;
    }
    *out = prefs;
    return 0;
}

void ranking_prefs_close(struct ranking_prefs *prefs)
{
    if (!prefs) {
        return;
    }
    prefs_rankings_close(prefs->rankings);
    prefs_close(prefs->store);
    strbuf_free(&prefs->projects);
    mem_free(prefs->handles);
    mem_free(prefs->annotators);
    mem_free(prefs->split);
    mem_free(prefs->path);
    mem_free(prefs);
}

static int note_annotator(struct ranking_prefs *prefs, int64_t annotator, struct err *err)
{
    for (size_t i = prefs->annotator_count; i-- > 0;) {
        if (prefs->annotators[i] == annotator) {
            return 0;
        }
    }
    int64_t *annotators =
        mem_grow(prefs->annotators, &prefs->annotator_capacity, prefs->annotator_count + 1, sizeof *annotators, err);
    if (!annotators) {
        return -1;
    }
    prefs->annotators = annotators;
    annotators[prefs->annotator_count++] = annotator;
    return 0;
}

static int copy_ranking(struct ranking_judgment *judgment, const struct prefs_ranking *ranking, struct err *err)
{
    char where[64];
    snprintf(where, sizeof where, "the prompt of judgment %lld", (long long)ranking->judgment);
    judgment->messages = json_read_text(ranking->messages, strlen(ranking->messages), where, err);
    judgment->annotator = judgment->messages ? mem_copy_string(ranking->handle, strlen(ranking->handle), err) : NULL;
    if (!judgment->annotator) {
        return -1;
    }
    judgment->thumb = ranking->thumb;
    judgment->strength = ranking->strength;
    judgment->margin = NAN;
    judgment->place = judgment->number = ranking->judgment;
    for (size_t i = 0; i < ranking->count; i++) {
        const struct prefs_ranked_answer *answer = &ranking->answers[i];
        if (ranking_judgment_add(judgment, answer->text, answer->length, answer->rank, err) != 0) {
            return -1;
        }
        judgment->answers[i].position = answer->position;
    }
    return 0;
}

int ranking_prefs_next(struct ranking_prefs *prefs, struct ranking_judgment *judgment, struct err *err)
{
    const struct prefs_ranking *ranking;
    int got = 0;
    while (prefs->rankings && (got = prefs_rankings_next(prefs->rankings, &ranking, err)) == 0) {
        got = next_project(prefs, err);
        if (got != 1) {
            break;
        }
    }
    if (got != 1) {
        return got < 0 ? -1 : RANKING_END;
    }
    return note_annotator(prefs, ranking->annotator, err) == 0 && copy_ranking(judgment, ranking, err) == 0
               ? RANKING_JUDGMENT
               : -1;
}

void ranking_prefs_describe(const struct ranking_prefs *prefs, struct strbuf *sentence)
{
    strbuf_printf(sentence, "project %s, ", strbuf_text(&prefs->projects));
    if (prefs->split) {
        strbuf_printf(sentence, "split %s, ", prefs->split);
    }
    strbuf_printf(sentence, "judgments of %zu annotator%s", prefs->annotator_count,
                  prefs->annotator_count == 1 ? "" : "s");
}

int ranking_prefs_empty(const struct ranking_prefs *prefs, struct err *err)
{
    if (prefs->projects.length == 0) {
        return err_set(err, "%s is empty: it has no project yet; 'attune prefs import' fills it", prefs->path);
    }
    bool narrowed = prefs->split || prefs->handles || prefs->query.min_agreement > 0;
    return err_set(err,
                   "%s holds no judgment that counts in project %s%s; have answers labelled (attune prefs serve), or "
                   "import labels (attune prefs import)",
                   prefs->path, strbuf_text(&prefs->projects),
                   narrowed ? " with the entry's split, annotators and min_agreement" : "");
}
