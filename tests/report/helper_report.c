#include "helper_report.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "recipe/stage.h"
#include "report/report.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char folder[300];

void begin_run(const char *name)
{
    struct err err;
    snprintf(folder, sizeof folder, "%s", temporary("%s", name));
    assert_int_equal(file_remove_tree(folder, &err), 0);
    assert_int_equal(file_make_dirs(folder, &err), 0);
}

const char *run_folder(void)
{
    return folder;
}

static const char *path_in_run(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

void put_file(const char *name, const char *text)
{
    struct err err;
    assert_int_equal(file_write_whole(path_in_run(name), text, strlen(text), &err), 0);
}

void put_recipe(const struct recipe_stage *stage, const char *yaml)
{
    struct err err;
    struct recipe *recipe = recipe_of(stage, yaml, NULL);
    assert_int_equal(recipe_write(recipe, path_in_run("recipe.resolved.yaml"), &err), 0);
    recipe_free(recipe);
}

const char *read_page(const char *path)
{
    static char page[8 << 20];
    struct strbuf text = {0};
    struct err err;
    if (file_read(&text, path, sizeof page - 1, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(strlen(strbuf_text(&text)), text.length);
    strcpy(page, strbuf_text(&text));
    strbuf_free(&text);
    assert_page(page);
    return page;
}

const char *make_page(void)
{
    struct err err;
    if (report_write(folder, &all_stages, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return read_page(path_in_run(REPORT_FILE));
}

const char *why_no_page(void)
{
    static struct err err;
    if (report_write(folder, &all_stages, &err) == 0) {
        fail_msg("a report was made of a broken folder");
    }
    assert_false(file_exists(path_in_run(REPORT_FILE)));
    return err.text;
}

/* ---- the page ---- */

#define DEPTH_MAX 64
#define TAG_MAX   32

static bool is_void(const char *name)
{
    return strcmp(name, "meta") == 0 || strcmp(name, "br") == 0;
}

/* Reads the attributes behind a tag's name and returns where the tag ends; *closed: by "/>". */
static const char *read_attributes(const char *at, bool *closed)
{
    *closed = false;
    while (*at != '>') {
        at += strspn(at, " \n");
        if (*at == '/') {
            *closed = true;
            at++;
            continue;
        }
        if (*at == '>') {
            break;
        }
        size_t name = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
        if (name == 0) {
            fail_msg("an attribute was expected at: %.80s", at);
        }
        if (strncmp(at, "on", 2) == 0 || strncmp(at, "src", 3) == 0) {
            fail_msg("an attribute that loads or runs something: %.80s", at);
        }
        at += name;
        if (strncmp(at, "=\"", 2) != 0) {
            fail_msg("an attribute without a quoted value: %.80s", at - name);
        }
        at += 2;
        if (strncmp(at - 2 - name, "href", 4) == 0 && *at != '#') {
            fail_msg("a link that leads out of the page: %.80s", at);
        }
        at = strchr(at, '"');
        assert_non_null(at);
        at++;
    }
    return at + 1;
}

/* Text up to the next tag: no entity but those that are written, no control characters. */
static const char *read_text(const char *at)
{
    for (; *at && *at != '<'; at++) {
        if ((unsigned char)*at < 0x20 && *at != '\n' && *at != '\t') {
            fail_msg("a control character in: %.80s", at);
        }
        if (*at == '&' && strncmp(at, "&lt;", 4) != 0 && strncmp(at, "&gt;", 4) != 0 && strncmp(at, "&amp;", 5) != 0 &&
            strncmp(at, "&quot;", 6) != 0 && strncmp(at, "&#39;", 5) != 0) {
            fail_msg("an entity that nobody wrote: %.80s", at);
        }
    }
    return at;
}

void assert_page(const char *page)
{
    char open[DEPTH_MAX][TAG_MAX];
    int depth = 0;
    assert_memory_equal(page, "<!DOCTYPE html>", 15);
    for (const char *at = page + 15; *(at = read_text(at));) {
        bool closing = at[1] == '/', closed;
        char name[TAG_MAX];
        size_t length = 0;
        at += closing ? 2 : 1;
        for (; isalnum((unsigned char)*at) && length + 1 < sizeof name; at++) {
            name[length++] = *at;
        }
        name[length] = '\0';
        if (length == 0) {
            fail_msg("no tag at: %.80s", at);
        }
        at = read_attributes(at, &closed);
        if (closing) {
            if (depth == 0 || strcmp(open[depth - 1], name) != 0) {
                fail_msg("</%s> closes <%s> at: %.80s", name, depth ? open[depth - 1] : "", at);
            }
            depth--;
        } else if (!closed && !is_void(name)) {
            assert_true(depth < DEPTH_MAX);
            strcpy(open[depth++], name);
            if (strcmp(name, "style") == 0 || strcmp(name, "script") == 0) {
                assert_non_null(at = strstr(at, strcmp(name, "style") == 0 ? "</style" : "</script"));
            }
        }
    }
    assert_int_equal(depth, 0);
    assert_int_equal(count_of(page, "<script"), 1);
    assert_lacks(page, "<img", "<link", "<iframe", "http://www.w3.org/1999", "https://", "url(", "@import", NULL);
}

void assert_lacks(const char *page, ...)
{
    va_list texts;
    va_start(texts, page);
    for (const char *text; (text = va_arg(texts, const char *));) {
        const char *found = strstr(page, text);
        if (found) {
            fail_msg("'%s' is in the page: %.80s", text, found);
        }
    }
    va_end(texts);
}

void assert_order(const char *page, ...)
{
    va_list texts;
    const char *at = page;
    va_start(texts, page);
    for (const char *text; (text = va_arg(texts, const char *));) {
        const char *found = strstr(at, text);
        if (!found) {
            fail_msg("'%s' is %s", text, strstr(page, text) ? "too early in the page" : "not in the page");
        }
        at = found + strlen(text);
    }
    va_end(texts);
}

const char *path_of(const char *page, const char *name)
{
    static char path[1 << 20];
    char head[200];
    snprintf(head, sizeof head, "data-name=\"%s\" d=\"", name);
    const char *at = strstr(page, head);
    if (!at) {
        fail_msg("there is no curve '%s'", name);
    }
    at += strlen(head);
    size_t length = strcspn(at, "\"");
    assert_true(length < sizeof path);
    memcpy(path, at, length);
    path[length] = '\0';
    return path;
}

size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) {
        count++;
    }
    return count;
}
