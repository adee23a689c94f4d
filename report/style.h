/*
 * report/style.h - report/report.css and report/report.js, compiled in (cmake/embed.cmake).
 */
#ifndef ATTUNE_REPORT_STYLE_H
#define ATTUNE_REPORT_STYLE_H

extern const char report_style[], report_script[]; /* zero-terminated */

#endif
