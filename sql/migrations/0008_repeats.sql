-- An answered create keeps its row for a while, with the time: an equal request that came before and still waits somewhere is its repetition, one that came after is a call of its own.
-- The functions take that request's time; their old forms go, the new ones come with sql/functions.

alter table repeats drop column answered, add column answered_us bigint;
alter table repeats set (fillfactor = 70);
comment on column repeats.created_at is 'When the create was committed. Answered rows are dropped after two minutes, others after ten.';
comment on column repeats.answered_us is 'When the client had acknowledged the answer, in microseconds since 1970 by the server''s clock; an equal request that arrived later is an honest second call.';

drop function if exists run_create(bytea, text, bigint, text, text, bigint, integer[], text[]);
drop function if exists experiment_create(bytea, text, text, text, bigint, jsonb);
drop function if exists registered_model_create(bytea, text, text, text, bigint, jsonb);
drop function if exists model_version_create(bytea, text, text, text, text, text, text, text, bigint, jsonb);
drop function if exists logged_model_create(bytea, text, bigint, text, text, text, bigint, jsonb, jsonb);
