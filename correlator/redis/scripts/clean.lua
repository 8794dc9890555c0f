-- Removes what a home has settled. A record stays, and so does the mark of a forgotten trip.
-- The entries of a trip go in one step with the trip: a callback that is stored again meanwhile has both, or neither.
--
-- KEYS  inbox, trips
-- ARGV  for each trip: -1 while its callbacks are needed, 0 when it is over, or how long it is to be marked as
--       forgotten, ms; the number of its entries that were heard; these entries
local inbox, at = KEYS[1], 1
local most = 1000 -- arguments of one command: Lua's stack has an end
local heard, over = {}, {}
for i = 2, #KEYS do
  local trip, forgotten, entries = KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  for entry = at + 2, at + 1 + entries do
    heard[#heard + 1] = ARGV[entry]
  end
  at = at + 2 + entries
  if forgotten >= 0 then
    local known = redis.call('HMGET', trip, 'ops', 'gone')
    if not known[1] and not known[2] then
      if forgotten > 0 then
        redis.call('UNLINK', trip)
        redis.call('HSET', trip, 'gone', '1')
        redis.call('PEXPIRE', trip, forgotten)
      else
        over[#over + 1] = trip
      end
    end
  end
end
for i = 1, #heard, most do
  redis.call('HDEL', inbox, unpack(heard, i, math.min(i + most - 1, #heard)))
end
for i = 1, #over, most do
  redis.call('UNLINK', unpack(over, i, math.min(i + most - 1, #over)))
end
return 1
