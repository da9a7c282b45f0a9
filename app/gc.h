#ifndef GC_H
#define GC_H
/* tallyd gc: removes for good what was deleted longer ago than --older-than. Exit status. */
int gc_run(void);
#endif
