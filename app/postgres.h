#ifndef POSTGRES_H
#define POSTGRES_H
/* The private PostgreSQL cluster in data_dir/postgres: unix socket only, never as root. Used by the supervisor alone; blocks. */
#include <stdbool.h>
#include <sys/types.h>

/* Finds PostgreSQL, makes the folders and the cluster when there is none. False: said why on stderr. */
bool postgres_prepare(void);
/* Starts it as our child and waits until it takes connections. 0: it did not come up, said why. */
pid_t postgres_start(void);
/* Asks it to end in good order and waits. */
void postgres_stop(pid_t pid);
/* libpq's address of the cluster; valid after postgres_prepare() or postgres_locate(). */
const char *postgres_uri(void);
void postgres_locate(void);
/* "15.20", as PostgreSQL names itself. */
const char *postgres_version(void);
/* In a forked child: become config->user when we are root. */
void account_enter(void);
/* Makes the folder, belonging to config->user. False: said why. */
bool folder_make(const char *path, mode_t mode);
#endif
