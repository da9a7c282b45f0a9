#ifndef SUPERVISE_H
#define SUPERVISE_H
/*
 * The first process of `tallyd serve`, parent of everything: takes the locks (port, data folder), starts the embedded PostgreSQL when no --database
 * was given and starts it again when it dies, migrates, prints the start lines, and runs the server (Kore's parent) as its child.
 * SIGTERM and SIGINT go on to the server, then to PostgreSQL. A server that keeps dying ends the whole with a clear word.
 * config->database is set to the embedded cluster's socket before server() is called.
 */

/* Calls server() in a forked child, whose exit status is what it returns: 0 after a drain. Returns the exit status of tallyd.
 * The child is still what tallyd was started as (root or not): server() drops to config->user itself; NULL or "" = already that account.
 * When the supervisor dies, the child gets SIGTERM. server() ends on SIGTERM by draining. */
int supervise_run(int (*server)(void));

/* For commands that need the database for a moment (migrate, gc, doctor, routes need none): starts the embedded cluster when there is none running, calls work(), stops it again. */
int supervise_with_database(int (*work)(void));
#endif
