-- Stores a record. Finals that are stored already stand.
--
-- KEYS  trip
-- ARGV  1 meta
--       2 number of ops
--       3 how long the trip's id is good for, ms: so long an unfinished record is kept
--       4 how long a complete record is kept, ms
--       5... op and value of each final
local trip = KEYS[1]
redis.call('HDEL', trip, 'gone')
redis.call('HSET', trip, 'meta', ARGV[1], 'ops', ARGV[2])
for i = 5, #ARGV, 2 do
  redis.call('HSETNX', trip, ARGV[i], ARGV[i + 1])
end
local complete = redis.call('HLEN', trip) == ARGV[2] + 2
redis.call('PEXPIRE', trip, complete and ARGV[4] or ARGV[3])
return 1
