#ifndef BASE_JOBS_H
#define BASE_JOBS_H
/* Background work in the database (sql/functions/jobs.sql): every worker of every server asks now and then, an advisory lock lets one in. In a worker, once the database layer is started. */
void jobs_start(void);
#endif
