-- The advisory lock of a run, apart from every other use of advisory locks here.
create or replace function run_lock(run bigint) returns bigint
language sql immutable parallel safe
return (77::bigint << 48) | run;
comment on function run_lock(bigint) is 'Key of a run''s advisory lock, see settle().';
