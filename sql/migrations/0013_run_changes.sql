-- Servers remember which number a run has, so that logging need not look it up, and prove by run_changes that it is still active. New table, two triggers.

create table run_changes (latest bigint not null);
insert into run_changes values (1);
comment on table run_changes is 'One row, that changes with the state of any run.';
comment on column run_changes.latest is 'Drawn by lot whenever runs or experiments are deleted or restored: as long as it stays the same, a run that was active still is.';

-- By lot and not counted: a database that was set back (a replica that takes over, a backup) must not come to a number that servers know from before.
-- Before the rows are touched, behind points_lock(): everyone takes the two in this order. Runs that `tallyd gc` removes have been deleted long before.
create function run_changes_draw() returns trigger
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(points_lock());
  update run_changes set latest = (random() * 9e18)::bigint;
  return null;
end
$$;
comment on function run_changes_draw() is 'Notes a change in run_changes.';

create trigger run_changes before update of lifecycle on runs for each statement execute function run_changes_draw();
create trigger run_changes before update of deleted_time on experiments for each statement execute function run_changes_draw();

-- log_apply() can stop in between; its new form comes with sql/functions.
drop function if exists log_apply(bigint);
