#ifndef MIGRATE_H
#define MIGRATE_H
#include <stdbool.h>

/* Brings config->database to this binary's schema under an advisory lock, blocking. Says why on stderr and returns false when it cannot or must not. */
bool migrate_run(bool quiet);
/* The newest migration's number this binary knows. */
int migrate_version(void);
#endif
