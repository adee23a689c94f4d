/*
 * A scratch folder, a database with items in it, and a server of it in a process of its own, for the tests of prefs-db.
 */
#ifndef ATTUNE_TESTS_PREFS_DB_HELPER_PREFS_H
#define ATTUNE_TESTS_PREFS_DB_HELPER_PREFS_H

#include "prefs-db/labelling.h"
#include "prefs-db/store.h"
#include <stdint.h>
#include <sys/types.h>

/* Group setup and teardown of cmocka: makes and removes the folder. */
int scratch_setup(void **state);
int scratch_teardown(void **state);
/* The path of a name in the folder, valid until the eighth call from now. */
const char *scratch_path(const char *name);
/* Where the folder should lie instead of the system's (a small file system, say); NULL: back again. */
const char *scratch_folder(void);

/* A fresh database of this name, open for writing, with project 'default', id 1. */
struct prefs *new_store(const char *name);
struct prefs *open_store(const char *name);
/* Adds `count` open items of k answers each ("answer <s> to prompt <i>"), from prompt `first` on. */
void add_items(struct prefs *store, int64_t first, int64_t count, size_t k);
/* An item with these texts; returns its id. */
int64_t add_texts(struct prefs *store, const char *prompt, const char *const *texts, size_t count);
int64_t add_person(struct prefs *store, const char *handle, enum prefs_role role, char token[PREFS_TOKEN_SIZE]);
/* A judgment of a task that ranks the answers as shown, 1, 2, ..., with a random nonce. */
struct prefs_judgment ranked_as_shown(const struct prefs_task *task);
/* Runs SQL that gives one number, on a connection of its own. */
int64_t number_of(const char *path, const char *sql);
/* Asserts that prefs_check() finds nothing. */
void assert_clean(const char *path);

struct test_server {
    pid_t process;
    uint16_t port;
};
/* Serves a database on 127.0.0.1 in a child process; port 0 takes a free one. Requests must be complete in `seconds`
 * (0: the default). */
void server_begin(struct test_server *server, const char *path, uint16_t port, int seconds);
/* kill -9. */
void server_kill(struct test_server *server);
void server_end(struct test_server *server);

#endif
