-- Advisory locks about points. Who writes metrics and latest_metrics (log_write(), log_apply()) holds points_lock() shared, who changes the marks beside them (settle(), a run's deletion) holds it alone.
create or replace function points_lock() returns bigint
language sql immutable parallel safe
return 80::bigint << 48;
comment on function points_lock() is 'Key of the advisory lock between writers of points and those who change the marks beside them.';

-- One log_apply() at a time.
create or replace function apply_lock() returns bigint
language sql immutable parallel safe
return (80::bigint << 48) | 1;
comment on function apply_lock() is 'Key of the advisory lock of log_apply().';
