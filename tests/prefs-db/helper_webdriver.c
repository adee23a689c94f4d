#include "prefs-db/helper_webdriver.h"
#include "base/file.h"
#include "http/helper_http.h"
#include "support/cmocka.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 20
#define POLL_MS      25

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
}

static bool program_exists(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        char file[512];
        snprintf(file, sizeof file, "%.*s/%s", (int)length, at, name);
        if (access(file, X_OK) == 0) {
            return true;
        }
        at += length + (at[length] == ':');
    }
    return false;
}

bool browser_installed(void)
{
    return program_exists("chromium") && program_exists("chromedriver");
}

/* One command; the value of its answer (to be released), or the test fails with what the driver said. */
static json_t *command(struct browser *browser, const char *method, const char *path, json_t *parameters)
{
    struct strbuf request = {0}, body = {0};
    char *json = parameters == NULL ? NULL : json_dumps(parameters, JSON_COMPACT);
    strbuf_printf(
        &request,
        "%s /session%s%s%s HTTP/1.1\r\nHost: localhost:%u\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        method, browser->session[0] != '\0' ? "/" : "", browser->session, path, (unsigned)browser->port,
        json == NULL ? (size_t)0 : strlen(json), json == NULL ? "" : json);
    int status = http_raw(browser->port, strbuf_text(&request), NULL, &body);
    json_t *answer = json_loads(strbuf_text(&body), JSON_DECODE_ANY, NULL);
    if (status != 200) {
        fail_msg("%s %s %s: %d %.300s", method, path, json == NULL ? "" : json, status, strbuf_text(&body));
    }
    free(json);
    json_decref(parameters);
    strbuf_free(&request);
    strbuf_free(&body);
    json_t *value = json_incref(json_object_get(answer, "value"));
    json_decref(answer);
    return value;
}

void browser_begin(struct browser *browser)
{
    char port[32];
    *browser = (struct browser){.port = (uint16_t)(20000 + getpid() % 20000)};
    snprintf(port, sizeof port, "--port=%u", (unsigned)browser->port);
    fflush(NULL);
    browser->driver = fork();
    assert_true(browser->driver >= 0);
    if (browser->driver == 0) {
        setpgid(0, 0); /* so that the browser it starts can be ended with it */
        execlp("chromedriver", "chromedriver", port, "--silent", (char *)NULL);
        _exit(127);
    }
    setpgid(browser->driver, browser->driver);
    int socket = -1;
    for (int i = 0; i < WAIT_SECONDS * 1000 / POLL_MS && (socket = http_connect(browser->port)) < 0; i++) {
        pause_briefly();
    }
    assert_true(socket >= 0);
    close(socket);
    json_t *made = command(browser, "POST", "",
                           json_pack("{s:{s:{s:{s:[s,s,s,s,s]}}}}", "capabilities", "alwaysMatch", "goog:chromeOptions",
                                     "args", "--headless=new", "--no-sandbox", "--disable-gpu",
                                     "--disable-dev-shm-usage", "--hide-scrollbars"));
    snprintf(browser->session, sizeof browser->session, "%s", json_string_value(json_object_get(made, "sessionId")));
    json_decref(made);
}

void browser_end(struct browser *browser)
{
    json_decref(command(browser, "DELETE", "", NULL));
    kill(-browser->driver, SIGTERM);
    waitpid(browser->driver, NULL, 0);
}

void browser_open(struct browser *browser, const char *url)
{
    json_decref(command(browser, "POST", "/url", json_pack("{s:s}", "url", url)));
}

/* Code points of WebDriver's keys (17.4.2 of the specification). */
static const char *key_of(char character, char plain[2])
{
    switch (character) {
    case '\n':
        return "\xee\x80\x87";
    case '\b':
        return "\xee\x80\x83";
    case '\x1b':
        return "\xee\x80\x8c";
    case '\t':
        return "\xee\x80\x84";
    default:
        plain[0] = character;
        plain[1] = '\0';
        return plain;
    }
}

void browser_type(struct browser *browser, const char *keys)
{
    json_t *actions = json_array();
    for (const char *at = keys; *at != '\0'; at++) {
        char plain[2];
        const char *key = key_of(*at, plain);
        json_array_append_new(actions, json_pack("{s:s, s:s}", "type", "keyDown", "value", key));
        json_array_append_new(actions, json_pack("{s:s, s:s}", "type", "keyUp", "value", key));
    }
    json_decref(
        command(browser, "POST", "/actions",
                json_pack("{s:[{s:s, s:s, s:o}]}", "actions", "type", "key", "id", "keys", "actions", actions)));
}

json_t *browser_value(struct browser *browser, const char *expression)
{
    char *script = NULL;
    assert_true(asprintf(&script, "return (%s);", expression) > 0);
    json_t *value = command(browser, "POST", "/execute/sync", json_pack("{s:s, s:[]}", "script", script, "args"));
    free(script);
    return value;
}

int64_t browser_number(struct browser *browser, const char *expression)
{
    json_t *value = browser_value(browser, expression);
    int64_t number = json_is_true(value) ? 1 : (int64_t)json_number_value(value);
    json_decref(value);
    return number;
}

void browser_wait(struct browser *browser, const char *expression)
{
    char *truth = NULL;
    assert_true(asprintf(&truth, "!!(%s)", expression) > 0);
    for (int i = 0; i < WAIT_SECONDS * 1000 / POLL_MS; i++) {
        if (browser_number(browser, truth) == 1) {
            free(truth);
            return;
        }
        pause_briefly();
    }
    json_t *page = browser_value(browser, "document.body.innerText.slice(0, 600)");
    fail_msg("waited in vain for %s on the page\n%s", expression, json_string_value(page));
}

/* The element's middle in the window, scrolled into sight. */
static void middle_of(struct browser *browser, const char *selector, int *x, int *y)
{
    char *expression = NULL;
    assert_true(asprintf(&expression,
                         "(() => { const e = document.querySelector('%s'); e.scrollIntoView({block: 'center'});"
                         "const r = e.getBoundingClientRect(); return [Math.round(r.x + r.width / 2), Math.round(r.y + "
                         "r.height / 2)]; })()",
                         selector) > 0);
    json_t *point = browser_value(browser, expression);
    *x = (int)json_integer_value(json_array_get(point, 0));
    *y = (int)json_integer_value(json_array_get(point, 1));
    json_decref(point);
    free(expression);
}

static json_t *move_to(int x, int y, int duration)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:s}", "type", "pointerMove", "duration", duration, "x", x, "y", y, "origin",
                     "viewport");
}

static void mouse(struct browser *browser, json_t *actions)
{
    json_decref(command(browser, "POST", "/actions",
                        json_pack("{s:[{s:s, s:s, s:{s:s}, s:o}]}", "actions", "type", "pointer", "id", "mouse",
                                  "parameters", "pointerType", "mouse", "actions", actions)));
}

void browser_click(struct browser *browser, const char *selector)
{
    int x = 0, y = 0;
    middle_of(browser, selector, &x, &y);
    mouse(browser, json_pack("[o, {s:s, s:i}, {s:s, s:i}]", move_to(x, y, 0), "type", "pointerDown", "button", 0,
                             "type", "pointerUp", "button", 0));
}

void browser_drag(struct browser *browser, const char *from, const char *to)
{
    int from_x = 0, from_y = 0, to_x = 0, to_y = 0;
    middle_of(browser, to, &to_x, &to_y);
    middle_of(browser, from, &from_x, &from_y);
    mouse(browser, json_pack("[o, {s:s, s:i}, o, o, {s:s, s:i}]", move_to(from_x, from_y, 0), "type", "pointerDown",
                             "button", 0, move_to((from_x + to_x) / 2, (from_y + to_y) / 2, 50),
                             move_to(to_x, to_y, 50), "type", "pointerUp", "button", 0));
}

void browser_look(struct browser *browser, int width, int height, bool dark)
{
    json_decref(
        command(browser, "POST", "/goog/cdp/execute",
                json_pack("{s:s, s:{s:i, s:i, s:i, s:b}}", "cmd", "Emulation.setDeviceMetricsOverride", "params",
                          "width", width, "height", height, "deviceScaleFactor", 1, "mobile", width < 600)));
    json_decref(command(browser, "POST", "/goog/cdp/execute",
                        json_pack("{s:s, s:{s:[{s:s, s:s}]}}", "cmd", "Emulation.setEmulatedMedia", "params",
                                  "features", "name", "prefers-color-scheme", "value", dark ? "dark" : "light")));
}

static int digit(char character)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(alphabet, character);
    return character == '\0' || at == NULL ? -1 : (int)(at - alphabet);
}

void browser_screenshot(struct browser *browser, const char *path)
{
    json_t *value = command(browser, "GET", "/screenshot", NULL);
    struct strbuf bytes = {0};
    struct err err = {""};
    unsigned bits = 0, count = 0;
    for (const char *at = json_string_value(value); digit(*at) >= 0; at++) {
        bits = bits << 6 | (unsigned)digit(*at);
        count += 6;
        if (count >= 8) {
            count -= 8;
            strbuf_putc(&bytes, (char)(bits >> count & 255));
        }
    }
    assert_int_equal(file_write_whole(path, bytes.data, bytes.length, &err), 0);
    strbuf_free(&bytes);
    json_decref(value);
}
