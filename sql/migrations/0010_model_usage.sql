-- Bytes and files of logged models, which lie beside the runs and not below them. A new table: no lock on the others.

create table model_usage (
  model bigint primary key
, bytes bigint not null default 0
, files bigint not null default 0
, approximate boolean not null default false
, updated_time bigint not null
);
comment on table model_usage is 'Bytes and files of each logged model''s artifacts, counted at each upload and deletion.';
comment on column model_usage.model is 'logged_models.id.';
comment on column model_usage.bytes is 'Stored bytes.';
comment on column model_usage.files is 'Files.';
comment on column model_usage.approximate is 'True when a client may have written without the server''s knowledge.';
comment on column model_usage.updated_time is 'Milliseconds since 1970.';
