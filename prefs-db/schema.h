/*
 * prefs-db/schema.h - prefs-db/schema.sql as a string; the build makes it (cmake/embed.cmake).
 */
#ifndef ATTUNE_PREFS_DB_SCHEMA_H
#define ATTUNE_PREFS_DB_SCHEMA_H

extern const char prefs_schema_sql[];

#endif
