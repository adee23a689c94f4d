#include "prefs-db/assets.h"

#include <string.h>

extern const char asset_label_html[], asset_label_js[], asset_ranking_js[], asset_client_js[], asset_decision_js[],
    asset_render_js[], asset_style_css[], asset_overview_html[], asset_overview_js[];
extern const size_t asset_label_html_size, asset_label_js_size, asset_ranking_js_size, asset_client_js_size,
    asset_decision_js_size, asset_render_js_size, asset_style_css_size, asset_overview_html_size,
    asset_overview_js_size;

static const struct {
    const char *path, *type, *bytes;
    const size_t *size;
} table[] = {
    {"/", "text/html; charset=utf-8", asset_label_html, &asset_label_html_size},
    {"/overview", "text/html; charset=utf-8", asset_overview_html, &asset_overview_html_size},
    {"/label.js", "text/javascript; charset=utf-8", asset_label_js, &asset_label_js_size},
    {"/ranking.js", "text/javascript; charset=utf-8", asset_ranking_js, &asset_ranking_js_size},
    {"/client.js", "text/javascript; charset=utf-8", asset_client_js, &asset_client_js_size},
    {"/decision.js", "text/javascript; charset=utf-8", asset_decision_js, &asset_decision_js_size},
    {"/render.js", "text/javascript; charset=utf-8", asset_render_js, &asset_render_js_size},
    {"/overview.js", "text/javascript; charset=utf-8", asset_overview_js, &asset_overview_js_size},
    {"/style.css", "text/css; charset=utf-8", asset_style_css, &asset_style_css_size},
};

const struct asset *asset_find(const char *path, struct asset *found)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(path, table[i].path) == 0) {
            *found = (struct asset){table[i].path, table[i].type, table[i].bytes, *table[i].size};
            return found;
        }
    }
    return NULL;
}
