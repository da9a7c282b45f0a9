#ifndef VERSION_H
#define VERSION_H
/* From git describe or the file VERSION, at build. */
extern const char tallyd_version[];
#endif
