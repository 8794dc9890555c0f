-- Binds a key to a trip, unless it is bound to another one.
--
-- KEYS  key
-- ARGV  1 binding
--       2 how long it lasts, ms
--       3 a binding that may be replaced, as its record is gone; empty for none
-- Returns the binding of the key.
local bound = redis.call('GET', KEYS[1])
if bound and bound ~= ARGV[1] and bound ~= ARGV[3] then
  return bound
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
