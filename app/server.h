#ifndef SERVER_H
#define SERVER_H
/* Kore's parent and its workers. Returns the exit status: 0 after a drain. argv is overwritten with process titles. */
int server_run(int argc, char **argv);
#endif
