-- Keeps the record of a trip, and what the engine has reported of it, for at least so long.
--
-- KEYS  trip, merged, events
-- ARGV  1 how long, ms; 0 asks only whether there is a record
-- Returns 1, or 0 when there is no record.
if redis.call('HEXISTS', KEYS[1], 'ops') == 0 then
  return 0
end
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left < tonumber(ARGV[1]) then
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return 1
