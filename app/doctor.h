#ifndef DOCTOR_H
#define DOCTOR_H
/* `tallyd doctor`: looks at database, schema, clock, ports and artifact store one by one and says what to do about each. Blocks. Returns 0 when nothing is wrong. */
int doctor_run(void);
#endif
