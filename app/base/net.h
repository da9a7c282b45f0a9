#ifndef BASE_NET_H
#define BASE_NET_H
/* Listening sockets and accepted connections, on Kore's listener and connection structs. */
#include <stdbool.h>
#include <stddef.h>

/* In the parent, before any worker: refuses (false, said on stderr) when something listens there already, then makes one SO_REUSEPORT socket for each worker.
 * They are made here, so that a worker that is started again keeps its backlog, and ports under 1024 work. */
bool net_listen(const char *host, int port, size_t workers);
/* In worker `index` (from 0): takes its socket, closes the others, begins to accept. */
void net_accept_start(size_t index, unsigned most_connections);
/* Accepts what waits in the backlog, then closes the socket. */
void net_accept_stop(void);
#endif
