-- Frees a key that is bound to a trip. One that is bound to another stays as it is.
--
-- KEYS  key
-- ARGV  1 the trip's id, the end of its binding
local bound = redis.call('GET', KEYS[1])
if bound and string.sub(bound, -#ARGV[1]) == ARGV[1] then
  redis.call('UNLINK', KEYS[1])
end
return 1
