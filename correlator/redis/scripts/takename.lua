-- Gives who has a name, and the right to complete that op for a while. A second run of the same turn gives them again.
--
-- The end of that while is what is left of the name's time by then: the server's clock measures both.
--
-- KEYS  name
-- ARGV  1 how long, ms
--       2 turn, hexadecimal: which Take this is
-- Returns "who", and what it holds, with task and data; "busy" when somebody else has the right; "final" and what it holds; or nothing.
local call, name = redis.call, KEYS[1]
local left = call('PTTL', name)
if left == -1 then
  call('UNLINK', name) -- it has no end, so it is not ours
end
if left < 0 then
  return {}
end
local known = call('HMGET', name, 'who', 'task', 'data', 'lease', 'final')
if not known[1] then
  return known[5] and {'final', known[5]} or {} -- beside a "who" it is not ours
end
local ends, turn = string.match(known[4] or '', '^(-?%d+) (%x+)$')
if ends and left > tonumber(ends) and turn ~= ARGV[2] then
  return {'busy'}
end
call('HSET', name, 'lease', string.format('%d %s', left - ARGV[1], ARGV[2]))
return {'who', known[1], known[2], known[3]}
