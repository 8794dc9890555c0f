-- Keeps the record of a trip, and what the engine has reported of it, for at least so long, or lets them go: a complete record is kept no longer than the
-- retention then.
--
-- KEYS  trip, merged, events
-- ARGV  1 how long, ms; 0 lets them go
--       2 the retention, ms; 0: there is none, or the record outlasts it
-- Returns 1, or 0 when there is no record.
local ops = redis.call('HGET', KEYS[1], 'ops')
if not ops then
  return 0
end
local long, retention = tonumber(ARGV[1]), tonumber(ARGV[2])
local goes = long == 0 and retention > 0 and redis.call('HLEN', KEYS[1]) == ops + 2
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if goes and left > retention then
    redis.call('PEXPIRE', key, retention)
  elseif left >= 0 and left < long then
    redis.call('PEXPIRE', key, long)
  end
end
return 1
