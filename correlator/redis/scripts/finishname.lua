-- Ends the right that a Take gave, if the name is this op's: the name is open again, or finished. A second run does nothing: somebody else may
-- have the right by then.
--
-- KEYS  name
-- ARGV  1 what says that it is finished: tag, owner
--       2 "1": it is; "0": it is open again
--       3 turn, hexadecimal: which Finish this is
local call, name = redis.call, KEYS[1]
local known = call('HMGET', name, 'who', 'opened')
if not known[1] or string.sub(known[1], 17, 50) ~= string.sub(ARGV[1], 17, 50) then
  return 0
end
if ARGV[2] == '1' then
  call('HSET', name, 'final', ARGV[1])
  call('HDEL', name, 'who', 'task', 'data', 'lease', 'opened')
elseif known[2] ~= ARGV[3] then
  call('HDEL', name, 'lease')
  call('HSET', name, 'opened', ARGV[3])
end
return 1
