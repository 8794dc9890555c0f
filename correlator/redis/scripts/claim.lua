-- Binds a key to a trip, unless it is bound to another one, or this binding has been undone: then it comes too late.
--
-- KEYS  key
-- ARGV  1 binding
--       2 how long it lasts, ms
--       3 what may be replaced: a binding whose record is gone, or what is not ours; empty for none
--       4 what the key holds when this binding has been undone
-- Returns what the key holds.
local bound = redis.call('GET', KEYS[1])
if bound and bound ~= ARGV[1] and bound ~= ARGV[3] and (bound == ARGV[4] or #bound ~= #ARGV[4]) then
  return bound
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
