-- Frees a key that is bound to a trip, or may be so later: the claim may be on its way still, over another connection. One that is bound to
-- another trip stays as it is, and keeps that claim away itself.
--
-- KEYS  key
-- ARGV  1 the trip's id, the end of its binding
--       2 what the key holds from now on
--       3 for how long, ms
local bound = redis.call('GET', KEYS[1])
if not bound or string.sub(bound, -#ARGV[1]) == ARGV[1] or #bound == #ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
