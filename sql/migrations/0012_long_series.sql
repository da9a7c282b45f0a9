-- log_write() is told which series are long: they are sealed as they come. Its old form goes, the new one comes with sql/functions.

drop function if exists log_write(text[], integer[], integer[], bigint[], bigint[], double precision[], integer[], integer[], bigint[], bigint[], double precision[]
  , integer[], integer[], text[], integer[], integer[], text[], integer[], text[], text[], bigint[], bigint[], double precision[], text[], text[]);
