#ifndef BASE_LINK_H
#define BASE_LINK_H
/*
 * One accepted connection as bytes: what http.c needs of the network, and nothing of Kore. net.c implements it on Kore's connections;
 * the fuzzer links a fake instead.
 */
#include <sys/types.h>
#include <sys/uio.h>
#include "base/text.h"

struct link;

/* Bytes read, 0 at the peer's end of input, -1 with errno (EAGAIN: wait for readiness). */
ssize_t link_read(struct link *, void *bytes, size_t n) must_check;
/* Bytes taken, -1 with errno. more: further bytes follow at once. */
ssize_t link_send(struct link *, const struct iovec *parts, int count, bool more) must_check;
/* As link_send(), from fd at *offset, which moves on. */
ssize_t link_sendfile(struct link *, int fd, off_t *offset, size_t n) must_check;
/* Sends FIN and keeps reading. */
void link_end(struct link *);
/* The last call for this link. reset: the peer gets RST instead of FIN. */
void link_close(struct link *, bool reset);

enum link_state { LINK_OPEN, LINK_HALF /* the peer sent FIN */, LINK_GONE /* reset, timed out, closed */ };
enum link_state link_state(const struct link *);
/* Bytes sent, but not yet acknowledged by the peer; -1 when that cannot be known. */
int64_t link_unacked(const struct link *);

/* What http.c gives to the network: a new connection (NULL = refuse it), readiness (LOOP_READ, LOOP_WRITE; trouble: an error or FIN came, see link_state()),
 * and its end at the network's own wish, after which `link` is not valid. Readiness is edge-triggered. */
void *http_connected(struct link *, struct text peer);
void http_ready(void *conn, int bits, bool trouble);
void http_lost(void *conn);
#endif
