#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H
struct buf;
/* In the parent, before the workers are forked. */
void engine_prepare(int workers);
/* In a worker (0 ..), once the loop is up. */
void engine_start(int worker);
/* No new requests will come: ends what would never end by itself. */
void engine_drain(void);
void engine_stop(void);
void engine_routes(struct buf *);
#endif
