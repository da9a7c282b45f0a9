/*
 * Accepted connections, on Kore's: it accepts, keeps them and closes their sockets; reading and writing is ours. Kore's own read path takes a
 * half-closed client for a lost one, reads into a buffer per connection, and asks for zero bytes when that is full (4.1.0).
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <kore.h>

#include <linux/sockios.h>

#include "base/http.h"
#include "base/link.h"
#include "base/log.h"
#include "base/net.h"

#define BACKLOG 4096
#define FULL_WAIT_MS 50

/* Owned by its Kore connection (hdlr_extra would be freed by Kore's allocator, so `peers` holds it). */
struct link {
	struct connection *c;
	void *conn; /* http.c's */
	char peer[INET6_ADDRSTRLEN];
};

static int *sockets;
static size_t socket_count;
static int lock_fd = -1;
static struct addrinfo *address;
static struct listener *listener;
static unsigned most;
static bool full;

/* Kore looks it up by name. */
__attribute__((visibility("default"))) void net_on_connect(struct connection *);

static int
bound(bool shared)
{
	int on = 1;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1) ||
	    bind(fd, address->ai_addr, address->ai_addrlen) == -1 || listen(fd, BACKLOG) == -1) {
		int why = errno;

		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

/* Held as long as the parent lives. With SO_REUSEPORT alone a second server would start unseen and take half of the connections. */
static bool
lock_port(const char *host, int port)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int n = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "tallyd/%.80s:%d", host, port);

	lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return lock_fd != -1 && bind(lock_fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0;
}

bool
net_listen(const char *host, int port, size_t workers)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	char service[16];
	int probe, failed;

	snprintf(service, sizeof(service), "%d", port);
	failed = getaddrinfo(host, service, &hints, &address);
	if (failed != 0) {
		fprintf(stderr, "tallyd: --host %s: %s\n", host, gai_strerror(failed));
		return false;
	}
	if (!lock_port(host, port)) {
		fprintf(stderr, "tallyd: another tallyd serves %s port %d\n", host, port);
		return false;
	}
	probe = bound(false);
	if (probe == -1) {
		fprintf(stderr, "tallyd: cannot listen on %s port %d: %s\n", host, port, strerror(errno));
		return false;
	}
	close(probe);
	sockets = calloc(workers, sizeof(*sockets));
	PRECOND(sockets != NULL);
	for (socket_count = 0; socket_count < workers; socket_count++) {
		sockets[socket_count] = bound(true);
		if (sockets[socket_count] == -1) {
			fprintf(stderr, "tallyd: cannot listen on %s port %d: %s\n", host, port, strerror(errno));
			return false;
		}
	}
	return true;
}

static void
accept_again(void *unused)
{
	(void)unused;
	full = false;
	if (listener != NULL)
		kore_platform_event_schedule(listener->fd, EPOLLIN, 0, listener);
}

/* Kore's own handler would spin while the worker is full: the socket stays readable. */
static void
on_accept(void *arg, int error)
{
	static int64_t said_ms;
	struct listener *l = arg;
	unsigned active = worker_active_connections;

	if (full || listener == NULL)
		return;
	errno = 0;
	if (active < most)
		kore_listener_accept(l, error);
	if (active >= most || errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		full = true;
		kore_platform_event_schedule(l->fd, 0, 0, l);
		(void)loop_after(FULL_WAIT_MS, accept_again, NULL);
		if (log_due(&said_ms))
			log_warn("%u connections are open: no more for the moment", worker_active_connections);
	}
	l->evt.flags = 0;
}

void
net_accept_start(size_t index, unsigned most_connections)
{
	struct kore_server *server = kore_server_lookup("tallyd");

	PRECOND(server != NULL && index < socket_count);
	for (size_t i = 0; i < socket_count; i++)
		if (i != index)
			close(sockets[i]);
	/* It stays the parent's lock. */
	close(lock_fd);
	most = most_connections;
	/* Kore sizes its pools by this at the worker's start; they grow from there. */
	worker_max_connections = most_connections;
	listener = kore_listener_create(server);
	listener->fd = sockets[index];
	listener->family = address->ai_family;
	listener->connect = kore_runtime_getcall("net_on_connect");
	PRECOND(listener->connect != NULL);
	listener->evt.handle = on_accept;
}

void
net_accept_stop(void)
{
	int fd;

	if (listener == NULL)
		return;
	listener->evt.flags |= KORE_EVENT_READ;
	if (worker_active_connections < most)
		kore_listener_accept(listener, 0);
	fd = listener->fd;
	listener->fd = -1;
	listener = NULL;
	/* The parent has it open too: only this ends the listening. */
	(void)shutdown(fd, SHUT_RDWR);
	close(fd);
}

static void
on_event(void *arg, int error)
{
	struct connection *c = arg;
	struct link *link = c->hdlr_extra;
	int flags = c->evt.flags;
	int bits = 0;

	c->evt.flags = 0;
	if (link == NULL || c->state == CONN_STATE_DISCONNECTING)
		return;
	if ((flags & KORE_EVENT_READ) != 0)
		bits |= LOOP_READ;
	if ((flags & KORE_EVENT_WRITE) != 0)
		bits |= LOOP_WRITE;
	http_ready(link->conn, bits, error != 0);
}

static void
on_disconnect(struct connection *c)
{
	struct link *link = c->hdlr_extra;

	c->hdlr_extra = NULL;
	if (link == NULL)
		return;
	if (link->conn != NULL)
		http_lost(link->conn);
	free(link);
}

void
net_on_connect(struct connection *c)
{
	struct link *link = calloc(1, sizeof(*link));

	PRECOND(link != NULL);
	link->c = c;
	if (c->family == AF_INET)
		inet_ntop(AF_INET, &c->addr.ipv4.sin_addr, link->peer, sizeof(link->peer));
	else if (c->family == AF_INET6)
		inet_ntop(AF_INET6, &c->addr.ipv6.sin6_addr, link->peer, sizeof(link->peer));
	c->evt.handle = on_event;
	c->disconnect = on_disconnect;
	c->hdlr_extra = link;
	c->idle_timer.length = UINT64_MAX / 2; /* http.c has its own deadlines */
	link->conn = http_connected(link, text_from(link->peer));
	if (link->conn == NULL)
		kore_connection_disconnect(c);
}

ssize_t
link_read(struct link *link, void *bytes, size_t n)
{
	ssize_t got;

	do
		got = recv(link->c->fd, bytes, n, 0);
	while (got == -1 && errno == EINTR);
	return got;
}

ssize_t
link_send(struct link *link, const struct iovec *parts, int count, bool more)
{
	int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	struct msghdr m = { .msg_iovlen = (size_t)count };
	ssize_t sent;

	if (count == 1)
		return send(link->c->fd, parts[0].iov_base, parts[0].iov_len, flags);
	memcpy(&m.msg_iov, &parts, sizeof(parts));
	sent = sendmsg(link->c->fd, &m, flags);
	return sent;
}

ssize_t
link_sendfile(struct link *link, int fd, off_t *offset, size_t n)
{
	return sendfile(link->c->fd, fd, offset, n);
}

void
link_end(struct link *link)
{
	(void)shutdown(link->c->fd, SHUT_WR);
}

void
link_close(struct link *link, bool reset)
{
	struct connection *c = link->c;

	if (reset) {
		struct linger hard = { .l_onoff = 1, .l_linger = 0 };

		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	}
	link->conn = NULL;
	kore_connection_disconnect(c);
}

enum link_state
link_state(const struct link *link)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(link->c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == -1)
		return LINK_GONE;
	switch (info.tcpi_state) {
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		return LINK_OPEN;
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
	case TCP_CLOSING:
	case TCP_TIME_WAIT:
		return LINK_HALF;
	default:
		return LINK_GONE;
	}
}

int64_t
link_unacked(const struct link *link)
{
	int queued = 0;

	return ioctl(link->c->fd, SIOCOUTQ, &queued) == -1 ? -1 : queued;
}
