/*
 * The page in a real headless Chromium, by keyboard and by mouse. Skipped, aloud, where chromium or chromedriver is
 * missing. With ATTUNE_SCREENSHOTS set to a folder, pictures of the page are left there.
 */
#include "prefs-db/helper_prefs.h"
#include "prefs-db/helper_webdriver.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KINDS 3 /* of items, in turns: one answer, two, four */

static struct browser browser;

static void new_database(const char *name, int items, char token[PREFS_TOKEN_SIZE])
{
    struct prefs *store = new_store(name);
    struct err err = {""};
    const char *const texts[] = {
        "Use `qsort`:\n\n```c\nqsort(list, n, sizeof *list, by_age);\n```\n\nIt is **fast** enough.",
        "You could sort by hand:\n\n1. find the smallest\n2. put it first\n3. go on with the rest",
        "# Sorting\n\nI do not know. *Sorry.*", "> Sort the list\n\nPlease say which language you use."};
    static const size_t counts[KINDS] = {1, 2, 4};
    for (int i = 0; i < items; i++) {
        char prompt[128];
        snprintf(prompt, sizeof prompt, "Question %d: how do I sort a list of people by age in C?", i);
        add_texts(store, prompt, texts, counts[i % KINDS]);
    }
    assert_int_equal(
        prefs_set_guidelines(
            store, 1,
            "Prefer answers that are **correct**, then *clear*, then short.\n\n- Run the code in your head.\n"
            "- Say *tie* when you cannot tell.",
            &err),
        0);
    add_person(store, "ann", PREFS_ROLE_ADMIN, token);
    prefs_close(store);
}

static void open_page(const struct test_server *server, const char *path)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)server->port, path);
    browser_open(&browser, url);
}

/* Waits until so many judgments are stored and the page has taken its next task. */
static void wait_for_task(const char *path, int64_t judgments)
{
    const char *sql = "SELECT count(*) FROM judgment WHERE client='web'";
    for (int i = 0; i < 400 && number_of(path, sql) < judgments; i++) {
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    assert_int_equal(number_of(path, sql), judgments);
    browser_wait(&browser, "!document.querySelector('#task').hasAttribute('aria-busy')");
}

static void log_in(const struct test_server *server, const char *token)
{
    open_page(server, "/");
    browser_wait(&browser, "document.activeElement?.id === 'token'");
    browser_type(&browser, token);
    browser_type(&browser, "\n");
    browser_wait(&browser, "!document.querySelector('#task').hidden");
}

static void picture(const char *name)
{
    const char *folder = getenv("ATTUNE_SCREENSHOTS");
    char path[512];
    if (folder != NULL) {
        snprintf(path, sizeof path, "%s/%s.png", folder, name);
        browser_screenshot(&browser, path);
    }
}

static int64_t answer_count(void)
{
    return browser_number(&browser, "document.querySelectorAll('#answers .answer').length");
}

/* Twenty tasks without a mouse: all kinds, a tie, an unranked answer, a comment, a flag, a skip and an undo. */
static void test_by_keyboard(void **state)
{
    (void)state;
    const char *path = scratch_path("keyboard.db");
    char token[PREFS_TOKEN_SIZE];
    struct test_server server;
    new_database("keyboard.db", 24, token);
    server_begin(&server, path, 0, 0);
    log_in(&server, token);
    for (int i = 0; i < 20; i++) {
        static const char *const keys[KINDS] = {"2\n", "22\n", "32=1\n"};
        int64_t count = answer_count();
        if (i == 4) {
            browser_type(&browser, "cfine\x1b");
        }
        if (i == 5) {
            browser_type(&browser, "f\x1b");
            browser_wait(&browser, "!document.querySelector('#flag-dialog').open");
            browser_type(&browser, "f \x1b"); /* Space ticks the first box, which has the focus */
        }
        browser_type(&browser, i == 7 ? "s2" : count == 1 ? keys[0] : count == 2 ? keys[1] : keys[2]);
        wait_for_task(path, i + 1);
    }
    assert_int_equal(
        number_of(path,
                  "SELECT count(*) FROM judgment WHERE verdict='skip' AND skip_reason='I do not know the subject'"),
        1);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE comment='fine'"), 1);
    assert_int_equal(number_of(path, "SELECT count(*) FROM flag WHERE code='spam'"), 1);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE thumb=-1"), 7);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE strength=2"),
                     6); /* of seven pairs one was skipped */
    /* 3 first, then 2 and 1 tied, 4 unranked, by the positions that were shown. */
    assert_int_equal(
        number_of(path,
                  "SELECT count(*) FROM judgment j JOIN assignment a ON a.judgment_id=j.id WHERE length(j.ranks)=4 AND "
                  "substr(j.ranks,1+substr(a.shown,1,1),1)||substr(j.ranks,1+substr(a.shown,2,1),1)||"
                  "substr(j.ranks,1+substr(a.shown,3,1),1)||substr(j.ranks,1+substr(a.shown,4,1),1)='221-'"),
        6);
    /* The last one was a pair: undone, it stands there as it was said; then a tie instead. */
    browser_type(&browser, "u");
    wait_for_task(path, 21);
    browser_wait(&browser, "document.querySelector('input[name=pair]:checked')?.value === '2'");
    browser_type(&browser, "=\n");
    wait_for_task(path, 22);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE strength=0 AND ranks='11' AND revision=3"),
                     1);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE active_ms IS NULL AND verdict<>'withdrawn'"),
                     0);
    server_end(&server);
    assert_clean(path);
}

static void test_by_mouse(void **state)
{
    (void)state;
    const char *path = scratch_path("mouse.db");
    char token[PREFS_TOKEN_SIZE];
    struct test_server server;
    new_database("mouse.db", 9, token);
    server_begin(&server, path, 0, 0);
    browser_look(&browser, 1280, 1200, false); /* the whole board in sight */
    log_in(&server, token);
    for (int i = 0; i < 8; i++) {
        int64_t count = answer_count();
        if (count == 1) {
            browser_click(&browser, "input[name=thumb][value=\"1\"]");
        } else if (count == 2) {
            browser_click(&browser, "input[name=pair][value=\"-3\"]");
        } else {
            browser_drag(&browser, "[data-position=\"3\"]", ".gap-row.last .gap");
            browser_drag(&browser, "[data-position=\"0\"]", ".gap-row.last .gap");
            browser_drag(&browser, "[data-position=\"1\"]", "[data-drop=\"tier:0\"]");
            browser_click(&browser, "[data-chip=\"2\"] button");
            browser_click(&browser, "[data-chip=\"2\"] button");
            browser_click(&browser, "[data-chip=\"0\"] button:nth-of-type(3)");
        }
        browser_click(&browser, "#submit");
        wait_for_task(path, i + 1);
    }
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE thumb=1"), 3);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE strength=3"), 3);
    /* 4 and 2 tied at the top, 1 taken out again, 3 behind them (up moved it over 1). */
    assert_int_equal(
        number_of(path,
                  "SELECT count(*) FROM judgment j JOIN assignment a ON a.judgment_id=j.id WHERE length(j.ranks)=4 AND "
                  "substr(j.ranks,1+substr(a.shown,1,1),1)||substr(j.ranks,1+substr(a.shown,2,1),1)||"
                  "substr(j.ranks,1+substr(a.shown,3,1),1)||substr(j.ranks,1+substr(a.shown,4,1),1)='-121'"),
        2);
    browser_click(&browser, "#undo");
    wait_for_task(path, 9);
    browser_click(&browser, "#submit");
    wait_for_task(path, 10);
    server_end(&server);
    assert_clean(path);
}

/* The server dies with a judgment under way and comes back: it arrives once, also when the page was loaded anew in
 * between. */
static void test_survives_a_dead_server(void **state)
{
    (void)state;
    const char *path = scratch_path("dead.db");
    char token[PREFS_TOKEN_SIZE];
    struct test_server server;
    new_database("dead.db", 6, token);
    server_begin(&server, path, 0, 0);
    log_in(&server, token);
    browser_type(&browser, "1\n");
    wait_for_task(path, 1);
    server_kill(&server);
    browser_type(&browser, "1\n");
    browser_wait(&browser, "!document.querySelector('#waiting').hidden");
    picture("prefs-waiting");
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment"), 1);
    server_begin(&server, path, server.port, 0);
    browser_wait(&browser, "document.querySelector('#waiting').hidden");
    wait_for_task(path, 2);
    server_kill(&server);
    browser_type(&browser, "213\n");
    browser_wait(&browser, "!document.querySelector('#waiting').hidden");
    server_begin(&server, path, server.port, 0);
    open_page(&server, "/");
    browser_wait(&browser, "!document.querySelector('#task').hidden");
    wait_for_task(path, 3);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE verdict='ranked'"), 3);
    server_end(&server);
    assert_clean(path);
}

static const char hostile[] =
    "<script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 2\"><svg onload=\"window.pwned = 3\">\n"
    "[click](javascript:window.pwned=4) <a href=\"javascript:alert(1)\">x</a> ![i](http://127.0.0.1:1/x.png)\n"
    "```\"><script>window.pwned = 5</script>\n<iframe srcdoc=\"<script>parent.pwned = 6</script>\"></iframe>\n```\n"
    "invoice \xe2\x80\xae"
    "fdp.exe\xe2\x80\xac pay\xe2\x80\x8bpal, zero\xe2\x80\x8djoiner";

static void test_hostile_answers_are_only_text(void **state)
{
    (void)state;
    const char *path = scratch_path("hostile.db");
    char token[PREFS_TOKEN_SIZE];
    struct test_server server;
    struct prefs *store = new_store("hostile.db");
    struct strbuf line = {0}, stars = {0};
    for (int i = 0; i < 1 << 20; i++) {
        strbuf_putc(&line, 'x');
        strbuf_puts(&stars, i < 60000 ? "*a" : "");
    }
    const char *const texts[] = {hostile, line.data, stars.data};
    add_texts(store, hostile, texts, 3);
    add_person(store, "ann", PREFS_ROLE_ANNOTATOR, token);
    prefs_close(store);
    strbuf_free(&line);
    strbuf_free(&stars);
    server_begin(&server, path, 0, 0);
    log_in(&server, token);
    assert_int_equal(
        browser_number(&browser,
                       "document.querySelectorAll('main script, main img, main svg, main iframe, main a').length"),
        0);
    assert_int_equal(browser_number(&browser, "window.pwned === undefined"), 1);
    assert_int_equal(
        browser_number(&browser,
                       "document.querySelector('#prompt').textContent.includes('<script>window.pwned = 1</script>')"),
        1);
    assert_int_equal(browser_number(&browser, "document.querySelectorAll('#prompt .hidden-character').length"), 4);
    assert_int_equal(browser_number(&browser, "/[\\u202e\\u200b]/.test(document.querySelector('main').textContent)"),
                     0);
    assert_int_equal(browser_number(&browser, "document.documentElement.scrollWidth <= innerWidth"), 1);
    browser_type(&browser, "123\n");
    wait_for_task(path, 1);
    browser_wait(&browser, "!document.querySelector('#finished').hidden");
    server_end(&server);
}

/* Labels of three hands on the answers of three models, so that the overview has something to show. */
static void add_comparisons(const char *name)
{
    static const char *const handles[] = {"dora", "emil", "fay"}, *const names[] = {"large", "small", "base"};
    struct prefs *store = open_store(name);
    struct err err = {""};
    int64_t hands[3], models[3], item = 0;
    for (int i = 0; i < 3; i++) {
        hands[i] = add_person(store, handles[i], PREFS_ROLE_IMPORT, NULL);
        assert_int_equal(prefs_add_model(store, names[i], &models[i], &err), 0);
    }
    for (int i = 0; i < 90; i++) {
        struct prefs_new_item new_item = {
            .project = 1, .count = 2, .models = {models[i % 3], models[(i + 1) % 3]}, .state = PREFS_CLOSED};
        char prompt[64], texts[2][32];
        snprintf(prompt, sizeof prompt, "[{\"role\":\"user\",\"content\":\"compared %d\"}]", i);
        assert_int_equal(prefs_add_prompt(store, prompt, "en", 0, &new_item.prompt, &err), 0);
        for (int s = 0; s < 2; s++) {
            size_t length =
                (size_t)snprintf(texts[s], sizeof texts[s], "%.*s answer", 1 + (i + s) % 3 * 3, "some words");
            assert_int_equal(prefs_add_answer(store, new_item.prompt, texts[s], length, &new_item.answers[s], &err), 0);
        }
        assert_int_equal(prefs_add_item(store, &new_item, &item, NULL, NULL, &err), 0);
        for (int hand = 0; hand < 3; hand++) {
            bool first = i % 3 == 2 ? (i + hand) % 4 == 0 : (i * 7 + hand) % 5 != 0, added = false;
            const int ranks[PREFS_ANSWERS_MAX] = {first ? 1 : 2, first ? 2 : 1};
            assert_int_equal(prefs_add_label(store, item, hands[hand], ranks, -1, 0, &added, &err), 0);
        }
    }
    prefs_close(store);
}

static void test_looks(void **state)
{
    (void)state;
    const char *path = scratch_path("looks.db");
    char token[PREFS_TOKEN_SIZE];
    struct test_server server;
    new_database("looks.db", 9, token);
    add_comparisons("looks.db");
    server_begin(&server, path, 0, 0);
    log_in(&server, token);
    static const struct {
        const char *name;
        int width, height;
        bool dark;
    } looks[] = {{"light", 1280, 860, false}, {"dark", 1280, 860, true}, {"phone", 390, 844, false}};
    static const char *const kinds[KINDS] = {"thumb", "pair", "ranking"}, *const keys[KINDS] = {"1", "11", "2=1"};
    for (int kind = 0; kind < KINDS; kind++) {
        browser_type(&browser, keys[kind]);
        for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
            char name[64];
            browser_look(&browser, looks[i].width, looks[i].height, looks[i].dark);
            snprintf(name, sizeof name, "prefs-%s-%s", kinds[kind], looks[i].name);
            picture(name);
            assert_int_equal(browser_number(&browser, "document.documentElement.scrollWidth <= innerWidth"), 1);
        }
        browser_type(&browser, "\n");
        wait_for_task(path, kind + 1);
    }
    open_page(&server, "/overview");
    browser_wait(&browser, "document.querySelectorAll('#figures table').length >= 3");
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        char name[64];
        browser_look(&browser, looks[i].width, looks[i].height, looks[i].dark);
        snprintf(name, sizeof name, "prefs-overview-%s", looks[i].name);
        picture(name);
        assert_int_equal(browser_number(&browser, "document.querySelectorAll('#figures svg').length"), 3);
        assert_int_equal(browser_number(&browser, "document.documentElement.scrollWidth <= innerWidth"), 1);
    }
    server_end(&server);
}

static int begin(void **state)
{
    browser_begin(&browser);
    return scratch_setup(state);
}

static int end(void **state)
{
    browser_end(&browser);
    return scratch_teardown(state);
}

int main(void)
{
    if (!browser_installed()) {
        printf("skipped: chromium and chromedriver (Debian: chromium, chromium-driver) are not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_keyboard),
        cmocka_unit_test(test_by_mouse),
        cmocka_unit_test(test_survives_a_dead_server),
        cmocka_unit_test(test_hostile_answers_are_only_text),
        cmocka_unit_test(test_looks),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
