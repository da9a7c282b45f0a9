-- The advisory lock of those who move points: log_apply(), settle(), and who marks a run deleted. Writers of points do not take it.
create or replace function points_lock() returns bigint
language sql immutable parallel safe
return 80::bigint << 48;
comment on function points_lock() is 'Key of the advisory lock of those who move points.';
