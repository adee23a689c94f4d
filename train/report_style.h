/*
 * train/report_style.h - train/report.css and train/report.js, compiled in (train/report.cmake).
 */
#ifndef ATTUNE_TRAIN_REPORT_STYLE_H
#define ATTUNE_TRAIN_REPORT_STYLE_H

extern const char report_style[], report_script[]; /* zero-terminated */

#endif
