-- Removes a field of a hash that holds this text, and no other.
--
-- KEYS  hash
-- ARGV  1 field
--       2 text
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
