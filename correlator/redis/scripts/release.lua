-- Drops the record of a trip. Those who wait for it hear that, and can read what is final, and the events, for a while.
--
-- KEYS  trip, watchers, left, merged, events
-- ARGV  1 how long it can be read, ms
--       2 what is published to those who watch
--       3 the mark of what is released
local trip, watchers, left = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HEXISTS', trip, 'ops') == 0 then
  return 0
end
local channels = redis.call('SMEMBERS', watchers)
if #channels == 0 then
  redis.call('UNLINK', trip, KEYS[4], KEYS[5])
  return 1
end
redis.call('RENAME', trip, left)
redis.call('HSET', left, 'released', ARGV[3])
for _, key in ipairs({left, KEYS[4], KEYS[5]}) do
  redis.call('PEXPIRE', key, ARGV[1])
end
redis.call('UNLINK', watchers)
for _, channel in ipairs(channels) do
  redis.call('PUBLISH', channel, ARGV[2])
end
return 1
