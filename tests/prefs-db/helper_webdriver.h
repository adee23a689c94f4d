/*
 * A headless Chromium, driven through chromedriver by the W3C WebDriver protocol: JSON over HTTP, so that no Python is
 * needed.
 */
#ifndef ATTUNE_TESTS_PREFS_DB_HELPER_WEBDRIVER_H
#define ATTUNE_TESTS_PREFS_DB_HELPER_WEBDRIVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct browser {
    pid_t driver;
    uint16_t port;
    char session[64];
};

/* Whether chromium and chromedriver are installed. */
bool browser_installed(void);
void browser_begin(struct browser *browser);
void browser_end(struct browser *browser);

void browser_open(struct browser *browser, const char *url);
/* Types into whatever has the focus. "\n" is Enter, "\b" Backspace, "\x1b" Escape, "\t" Tab. */
void browser_type(struct browser *browser, const char *keys);
/* With the mouse, on the middle of the first element of a CSS selector. */
void browser_click(struct browser *browser, const char *selector);
void browser_drag(struct browser *browser, const char *from, const char *to);
/* The value of a JavaScript expression. Number: 0 for anything else; truth as in JavaScript. */
json_t *browser_value(struct browser *browser, const char *expression);
int64_t browser_number(struct browser *browser, const char *expression);
/* Waits until an expression is true; the test fails after 20 seconds. */
void browser_wait(struct browser *browser, const char *expression);
/* Width and height of the window's inside, and the colour scheme that the page sees. */
void browser_look(struct browser *browser, int width, int height, bool dark);
/* Writes a PNG. */
void browser_screenshot(struct browser *browser, const char *path);

#endif
