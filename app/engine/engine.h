#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H
struct buf;
/* In a worker, once the loop is up. */
void engine_start(void);
/* No new requests will come: ends what would never end by itself. */
void engine_drain(void);
void engine_stop(void);
void engine_routes(struct buf *);
#endif
