-- Keeps what came of an attempt.
-- KEYS  the subscription
-- ARGV  2 the attempt
-- Returns 1, 0 when there is none.
if call('EXISTS', KEYS[1]) == 0 then
  return 0
end
call('HDEL', KEYS[1], 'last') -- a full Redis allows this, and after it whatever the script writes
call('HSET', KEYS[1], 'last', ARGV[2])
return 1
