#ifndef BASE_LOOP_H
#define BASE_LOOP_H
/* What the start layer alone needs of the loop; timers and descriptors are in base/http.h. */
#include <stdint.h>
/* One turn of Kore's loop, for the drain after Kore's own loop ended. */
void loop_turn(int64_t most_ms);
/* Makes the loop work in a process without Kore's workers (tallyd gc): only loop_turn() turns it. */
void loop_alone(void);
#endif
