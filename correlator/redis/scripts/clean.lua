-- Removes what a home has settled. A record stays, and so does the mark of a forgotten trip.
--
-- KEYS  inbox, trips
-- ARGV  one for each trip: how long it is to be marked as forgotten, ms, 0 for not; then the inbox's entries that were heard
local trips = #KEYS - 1
for i = 1, trips do
  local trip, forgotten = KEYS[i + 1], ARGV[i]
  local known = redis.call('HMGET', trip, 'ops', 'gone')
  if not known[1] and not known[2] then
    redis.call('UNLINK', trip)
    if forgotten ~= '0' then
      redis.call('HSET', trip, 'gone', '1')
      redis.call('PEXPIRE', trip, forgotten)
    end
  end
end
if #ARGV > trips then
  redis.call('HDEL', KEYS[1], unpack(ARGV, trips + 1))
end
return 1
